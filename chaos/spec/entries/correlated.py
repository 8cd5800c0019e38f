"""Entries of the correlated family: many things at once, or one after the other."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from chaos.spec.entries.base import Instant, Lasting
from chaos.spec.fields import DurationNs, TargetField, Wrong
from chaos.spec.target import PLACES, Target
from chaos.units import format_duration, shown

EVERY_NS_MIN = 500_000_000  # a database takes about this long to start and answer


def _places(value: Any) -> tuple[Target, ...]:
    found = tuple(map(Target.parse, value if isinstance(value, list | tuple) else [value]))
    if not found:
        raise Wrong("expected at least one place, got an empty list")
    for target in found:
        if target.kind not in PLACES or target.group:
            raise Wrong(
                f"expected zone:NAME, region:NAME or provider:NAME, got {shown(str(target))}",
                "`fault: kill` is for nodes",
            )
    return found


_PLACE_SCHEMA = {"type": "string", "pattern": rf"^({'|'.join(PLACES)}):[A-Za-z0-9][A-Za-z0-9_-]*$"}
PlacesField = Annotated[
    tuple[Target, ...],
    PlainValidator(_places),
    PlainSerializer(lambda places: [str(place) for place in places], return_type=list[str]),
    WithJsonSchema(
        {"anyOf": [_PLACE_SCHEMA, {"type": "array", "items": _PLACE_SCHEMA, "minItems": 1}]}
    ),
]


class OutageEntry(Lasting):
    """Whole places are gone: their nodes are killed, and their clients reach nobody."""

    fault: Literal["outage"]
    target: PlacesField
    """zone:NAME, region:NAME or provider:NAME, or a list of them."""


class LockoutEntry(Lasting):
    """Access to whole places is lost for good: as an outage, and the data there is deleted."""

    fault: Literal["lockout"]
    target: PlacesField
    """provider:NAME, region:NAME or zone:NAME, or a list of them."""


class MaintenanceWaveEntry(Instant):
    """Restart in order, zone after zone, as in a planned maintenance; it has no duration."""

    fault: Literal["maintenance-wave"]
    target: TargetField = Target.parse("all")
    gap_ns: Annotated[DurationNs, Field(alias="gap")] = 0
    """How long to wait between two zones."""
    wait: bool = True
    """Go on only when every node of the zone answers again; the wave ends where one does not."""


class RestartStormEntry(Lasting):
    """Each target goes down and up again and again, at random moments; it ends running."""

    fault: Literal["restart-storm"]
    target: TargetField
    every_ns: Annotated[DurationNs, Field(alias="every")] = 3_000_000_000
    """From one time to the next, in the mean, of each target; at least 500ms."""
    how: Literal["kill", "restart"] = "kill"
    """kill: SIGKILL and a start; restart: in order."""

    @model_validator(mode="after")
    def _often_enough(self) -> RestartStormEntry:
        if not EVERY_NS_MIN <= self.every_ns <= self.for_ns:
            raise Wrong(
                f"expected `every:` of 500ms to `for:`, {format_duration(self.for_ns)}, got"
                f" {format_duration(self.every_ns)}",
            )
        return self


MODELS = (OutageEntry, LockoutEntry, MaintenanceWaveEntry, RestartStormEntry)
