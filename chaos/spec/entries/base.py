"""What every entry of a schedule has."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from chaos.spec.fields import DurationNs, Model, Wrong
from chaos.units import format_duration

SECOND_NS = 1_000_000_000


class ScheduleEntry(Model):
    """What every entry of a schedule has."""

    at_ns: Annotated[DurationNs, Field(alias="at")]
    """When, counted from the first operation."""

    is_step: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The fault's or the step's name."""
        return str(getattr(self, "fault", None) or getattr(self, "step", ""))

    def asked(self) -> dict[str, Any]:
        """The entry as its YAML says it, defaults filled in."""
        return self.resolved()


class FaultEntry(ScheduleEntry):
    """What every fault of a schedule has."""

    when_unavailable: Literal["refuse", "skip"] | None = None
    """What to do where the host cannot do this; left out, what the experiment says."""


class Lasting(FaultEntry):
    """An entry with a duration."""

    for_ns: Annotated[DurationNs, Field(alias="for", gt=0)]
    """How long it lasts before it is healed; at least 500ms."""

    @field_validator("for_ns")
    @classmethod
    def _long_enough_to_measure(cls, value: int) -> int:
        if value < SECOND_NS // 2:
            raise Wrong(
                f"expected at least 500ms, got {format_duration(value)}",
                "a shorter fault cannot be proven by measuring it",
            )
        return value


class Instant(FaultEntry):
    """An entry that is over when it is done."""

    @property
    def for_ns(self) -> None:
        """It has no duration."""
        return
