"""Entries of the resource family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from chaos.spec.entries.base import Lasting
from chaos.spec.entries.process import ProcessName
from chaos.spec.fields import SizeBytes, TargetField, Whole, Wrong
from chaos.units import format_percent, parse_percent, shown

LIMIT_BYTES_MIN = 6 << 20  # engines take no less


def _part(value: Any) -> float:
    """A share of a whole: `0.7` or `70%`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        share = parse_percent(value)
    if not 0 < share < 1:
        raise Wrong(f"expected a share between 0 and 1, got {shown(value)}", "write 0.5 or 50%")
    return share


Part = Annotated[
    float,
    PlainValidator(_part),
    PlainSerializer(format_percent, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"},
            ],
            "examples": [0.5, "70%"],
        }
    ),
]


class MemorySqueezeEntry(Lasting):
    """Less memory: the kernel gives the database's containers no more than a limit."""

    fault: Literal["memory-squeeze"]
    target: TargetField
    limit_bytes: Annotated[SizeBytes | None, Field(alias="limit")] = None
    """What each of the node's containers may use, at least 6MiB; give this or `share`."""
    share: Part | None = None
    """The same as a share of what it uses when the fault begins."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> MemorySqueezeEntry:
        if (self.limit_bytes is None) == (self.share is None):
            got = "neither" if self.share is None else "both"
            raise Wrong(f"expected either `limit:` or `share:`, got {got}", "keep one")
        if self.limit_bytes is not None and self.limit_bytes < LIMIT_BYTES_MIN:
            raise Wrong("expected a limit of at least 6MiB", "engines take no less")
        return self


class CpuStealEntry(Lasting):
    """Other load takes a share of the one core that the database is then confined to."""

    fault: Literal["cpu-steal"]
    target: TargetField
    share: Part
    """How much of that core is taken."""


class ConnectionExhaustionEntry(Lasting):
    """Connections that nobody uses are opened to the database until it takes no more."""

    fault: Literal["connection-exhaustion"]
    target: TargetField
    count: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """Stop at this many; left out, when the database refuses (at most 12,000)."""


class FdExhaustionEntry(Lasting):
    """The database's processes may open no further file or connection."""

    fault: Literal["fd-exhaustion"]
    target: TargetField
    process: ProcessName | None = None
    """Only the processes of this name."""


MODELS = (MemorySqueezeEntry, CpuStealEntry, ConnectionExhaustionEntry, FdExhaustionEntry)
