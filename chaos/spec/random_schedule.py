"""`random:` of an experiment: faults drawn from a seed instead of written down one by one."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer, model_validator

from chaos.spec.entries import FAULT_ENTRIES, Entry
from chaos.spec.entries.base import SECOND_NS, ScheduleEntry
from chaos.spec.fields import ITEMS, DurationNs, Model, Number, RatePerS, Whole, Wrong
from chaos.units import format_duration, shown

# An entry of a mix is read as an ordinary entry at this time and of this length; both are drawn
# later. Long, so that what lies within a fault (the steps of a flapping link) fits.
_PLACEHOLDER = {"at": "0s", "for": "1h"}
P95 = NormalDist().inv_cdf(0.95)


class LogNormal(Model):
    """Durations whose logarithm is normal: many short ones and a long tail."""

    median_ns: Annotated[DurationNs, Field(alias="median", gt=0)]
    """Half of them are shorter."""
    p95_ns: Annotated[DurationNs, Field(alias="p95", gt=0)]
    """One in twenty is longer."""

    @model_validator(mode="after")
    def _in_order(self) -> LogNormal:
        if self.p95_ns < self.median_ns:
            raise Wrong(
                "expected a p95 of at least the median, got "
                f"{format_duration(self.p95_ns)} and {format_duration(self.median_ns)}"
            )
        return self


class Lengths(Model):
    """How long drawn faults last: one of these, or a plain duration."""

    exactly_ns: Annotated[DurationNs | None, Field(alias="exactly")] = None
    """Always this long."""
    uniform: Annotated[tuple[DurationNs, DurationNs] | None, ITEMS] = None
    """Anything between two durations."""
    exponential_ns: Annotated[DurationNs | None, Field(alias="exponential")] = None
    """Exponential, with this mean."""
    lognormal: LogNormal | None = None
    """Log-normal, by its median and its 95th percentile."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Lengths:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise Wrong(
                "expected one of `exactly:`, `uniform:`, `exponential:` or `lognormal:`, got "
                f"{len(given) or 'none'}",
                "write a duration such as 2s, or {uniform: [1s, 5s]}",
            )
        if self.uniform is not None and self.uniform[0] > self.uniform[1]:
            raise Wrong("expected the shorter duration first", "swap them")
        return self

    def at(self, share: float) -> float:
        """The length in ns that `share` (0 ≤ share < 1) of all lengths do not exceed."""
        if self.uniform is not None:
            return self.uniform[0] + share * (self.uniform[1] - self.uniform[0])
        if self.exponential_ns is not None:
            return -self.exponential_ns * math.log1p(-share)
        if self.lognormal is not None:
            median, p95 = self.lognormal.median_ns, self.lognormal.p95_ns
            z = NormalDist().inv_cdf(min(max(share, 1e-12), 1 - 1e-12))
            return float(median * (p95 / median) ** (z / P95))
        return float(self.exactly_ns or 0)


def _lengths(value: Any) -> Any:
    return value if isinstance(value, dict | Lengths) else {"exactly": value}


LengthsField = Annotated[
    Lengths, BeforeValidator(_lengths, json_schema_input_type=DurationNs | Lengths)
]


class MixEntry(Model):
    """A fault of a mix: as in a schedule, with a weight, and without `at`."""

    weight: Annotated[Number, Field(gt=0, le=1e9)] = 1.0
    """How often it is drawn, relative to the others."""
    lengths: Annotated[LengthsField | None, Field(alias="for")] = None
    """How long it lasts; left out, what `for` of `random` says."""
    entry: Entry
    """The fault, with times that stand for those drawn later."""

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise Wrong(f"expected a mapping with the key `fault:`, got {shown(value)}")
        if "at" in value:
            raise Wrong("the time of a fault in a mix is drawn", "leave `at:` out")
        if "step" in value:
            raise Wrong("operators' steps are not drawn", "write it into `schedule:` with a time")
        own = {key: value[key] for key in ("weight", "for") if key in value}
        fault = {key: given for key, given in value.items() if key not in own}
        model = FAULT_ENTRIES.get(str(value.get("fault")))
        if model is not None and "for_ns" not in model.model_fields and "for" in own:
            raise Wrong(f"`{value['fault']}` has no duration", "leave `for:` out")
        times = {k: v for k, v in _PLACEHOLDER.items() if k == "at" or _lasts(model)}
        return {**own, "entry": {**fault, **times}}

    @model_serializer(mode="wrap")
    def _join(self, handler: Any) -> dict[str, Any]:
        found = handler(self)
        fault = found.pop("entry")
        return {**{k: v for k, v in fault.items() if k not in _PLACEHOLDER}, **found}

    @property
    def lasting(self) -> bool:
        """Whether it has a duration: a restart has none."""
        return self.entry.for_ns is not None

    def at(self, at_ns: int, for_ns: int) -> ScheduleEntry:
        """The fault at a time, and of a length if it has one. ValidationError if it cannot be."""
        times = {"at": format_duration(at_ns), "for": format_duration(for_ns)}
        asked = self.entry.model_dump(mode="json", exclude_none=True)
        kept = {key: value for key, value in asked.items() if key not in _PLACEHOLDER}
        new = {key: value for key, value in times.items() if key == "at" or self.lasting}
        found: ScheduleEntry = type(self.entry).model_validate({**new, **kept})
        return found


def _lasts(model: type[ScheduleEntry] | None) -> bool:
    return model is not None and "for_ns" in model.model_fields


class RandomSchedule(Model):
    """Faults drawn from a seed: which, when and for how long."""

    preset: Literal["measured"] | None = None
    """A mix, its durations and its rate from published measurements; instead of `mix`."""
    compression: Annotated[Number, Field(ge=1, le=100_000)] | None = None
    """With `preset`: how many seconds of the record are one here; 60, a minute a second."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] | None = None
    """Left out, the run's own seed."""
    rate: RatePerS | None = None
    """How many faults there are in the mean, such as 6/m; give this or `count`."""
    count: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """Exactly how many faults there are."""
    lengths: Annotated[LengthsField | None, Field(alias="for")] = None
    """How long they last, where the mix does not say: 2s, {uniform: [1s, 5s]}, …"""
    longest_ns: Annotated[DurationNs | None, Field(alias="longest")] = None
    """No fault lasts longer; left out, as long as there is time."""
    from_ns: Annotated[DurationNs | None, Field(alias="from")] = None
    """None begins earlier; left out, the first tenth of the load is quiet."""
    until_ns: Annotated[DurationNs | None, Field(alias="until")] = None
    """All have ended by then; left out, the last tenth of the load is quiet."""
    overlap: Annotated[Whole, Field(ge=1, le=16)] = 1
    """How many drawn faults may be active at once."""
    gap_ns: Annotated[DurationNs, Field(alias="gap")] = SECOND_NS
    """The least time between a fault's end and the begin of the next in its place."""
    mix: Annotated[tuple[MixEntry, ...], ITEMS] = ()
    """What is drawn from."""

    @model_validator(mode="after")
    def _whole(self) -> RandomSchedule:
        if (self.preset is None) == (not self.mix):
            got, fix = ("both", "keep one") if self.mix else ("neither", "add one")
            raise Wrong(f"expected either `preset:` or `mix:`, got {got}", fix)
        if self.preset is None and self.compression is not None:
            raise Wrong("`compression:` belongs to `preset:`", "leave it out")
        if self.count is not None and self.rate is not None:
            raise Wrong("expected either `rate:` or `count:`, got both", "keep one")
        if self.preset is None and self.count is None and self.rate is None:
            raise Wrong("expected either `rate:` or `count:`, got neither", "write rate: 6/m")
        if self.preset is not None and self.lengths is not None:
            raise Wrong("a preset has durations of its own", "leave `for:` out, or write a `mix:`")
        for each in self.mix:
            if each.lasting and each.lengths is None and self.lengths is None:
                raise Wrong(
                    f"expected how long `{each.entry.name}` lasts, found nothing",
                    "add `for:` to it or beside `mix:`, such as 2s or {uniform: [1s, 5s]}",
                )
        if self.longest_ns is not None and self.longest_ns < SECOND_NS // 2:
            got = shown(format_duration(self.longest_ns))
            raise Wrong(f"expected `longest:` of at least 500ms, got {got}")
        return self
