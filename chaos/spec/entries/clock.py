"""Entries of the clock family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from chaos.spec.entries.base import SECOND_NS, Lasting
from chaos.spec.fields import DurationNs, Number, SignedDurationNs, TargetField, Wrong
from chaos.units import format_duration

HOUR_NS = 3600 * SECOND_NS
BY_HOURS_MAX = 8760
OVER_NS_MIN = SECOND_NS // 10
SPEED_MAX = 1_000_000  # a skew faster than this is a step
EVERY_NS_MIN = SECOND_NS // 100
LEAP_NS_MIN = 3 * SECOND_NS
PPM_MAX = 500_000


def _by(value: int) -> int:
    if value == 0 or abs(value) > BY_HOURS_MAX * HOUR_NS:
        raise Wrong(
            f"expected a time other than zero, at most {BY_HOURS_MAX}h, "
            f"got {format_duration(value)}"
        )
    return value


By = Annotated[SignedDurationNs, AfterValidator(_by)]


class _Clock(Lasting):
    target: TargetField
    """Nodes whose clocks are wrong while it lasts; monotonic time stays true."""


class ClockStepEntry(_Clock):
    """The clock jumps, forwards or (with a minus) backwards, and back when it is healed."""

    fault: Literal["clock-step"]
    by_ns: Annotated[By, Field(alias="by")]
    """How far, such as 1h or -5m."""


class ClockBackEntry(_Clock):
    """The clock jumps backwards, and forwards again when it is healed."""

    fault: Literal["clock-back"]
    by_ns: Annotated[DurationNs, AfterValidator(_by), Field(alias="by")]
    """How far back, such as 5m."""


class ClockSkewEntry(_Clock):
    """The clock becomes wrong evenly, without a jump, and then stays so."""

    fault: Literal["clock-skew"]
    by_ns: Annotated[By, Field(alias="by")]
    """How far, such as 300ms or -2s."""
    over_ns: Annotated[DurationNs, Field(alias="over")]
    """How long it takes to get there; at least 100ms, at most `for`."""

    @model_validator(mode="after")
    def _gets_there(self) -> ClockSkewEntry:
        if not OVER_NS_MIN <= self.over_ns <= self.for_ns:
            raise Wrong(
                f"expected `over:` from 100ms to `for:` ({format_duration(self.for_ns)}), "
                f"got {format_duration(self.over_ns)}",
                "write `clock-step` for a jump",
            )
        if abs(self.by_ns) > SPEED_MAX * self.over_ns:
            raise Wrong("a clock that is skewed so fast jumps", "write `clock-step`")
        if -self.by_ns >= self.over_ns:
            raise Wrong(
                f"a clock that loses {format_duration(-self.by_ns)} within "
                f"{format_duration(self.over_ns)} runs backwards",
                "give it more time with `over:`, or write `clock-back`",
            )
        return self


class ClockDriftEntry(_Clock):
    """The clock runs too fast or (with a minus) too slow."""

    fault: Literal["clock-drift"]
    ppm: Number
    """Microseconds a second, such as 200 or -1000."""

    @model_validator(mode="after")
    def _in_range(self) -> ClockDriftEntry:
        if not 0 < abs(self.ppm) <= PPM_MAX:
            raise Wrong(f"expected `ppm:` from -{PPM_MAX} to {PPM_MAX} and not 0, got {self.ppm:g}")
        return self


class ClockStrobeEntry(_Clock):
    """The clock jumps to and fro."""

    fault: Literal["clock-strobe"]
    by_ns: Annotated[By, Field(alias="by")]
    """How far, such as 1s or -200ms."""
    every_ns: Annotated[DurationNs, Field(alias="every")]
    """How long it is wrong, and then right, and so on; at least 10ms, at most half of `for`."""

    @model_validator(mode="after")
    def _strobes(self) -> ClockStrobeEntry:
        if not EVERY_NS_MIN <= self.every_ns <= self.for_ns // 2:
            raise Wrong(
                f"expected `every:` from 10ms to half of `for:` "
                f"({format_duration(self.for_ns // 2)}), got {format_duration(self.every_ns)}"
            )
        return self


class ClockLeapEntry(_Clock):
    """At the next whole second the clock goes back one second, as for a leap second."""

    fault: Literal["clock-leap"]

    @model_validator(mode="after")
    def _long_enough(self) -> ClockLeapEntry:
        if self.for_ns < LEAP_NS_MIN:
            raise Wrong(
                f"expected `for:` of at least 3s, got {format_duration(self.for_ns)}",
                "the next whole second has to come, and to be told twice",
            )
        return self


MODELS = (
    ClockStepEntry,
    ClockBackEntry,
    ClockSkewEntry,
    ClockDriftEntry,
    ClockStrobeEntry,
    ClockLeapEntry,
)
