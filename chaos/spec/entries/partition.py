"""Entries of the partition family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from chaos.spec.entries.base import SECOND_NS, Lasting
from chaos.spec.fields import ITEMS, DurationNs, Model, SideField, TargetField, Wrong
from chaos.spec.load import WrittenInt
from chaos.units import format_duration, shown

Members = Annotated[tuple[SideField, ...], ITEMS]
FORMS = ("isolate", "between", "bridge", "ring", "halves")


def _port(value: Any) -> Any:
    """A port's name, or its number."""
    number = int(value) if isinstance(value, WrittenInt) else value
    if isinstance(number, str) or (type(number) is int and 1 <= number <= 65535):
        return number
    raise Wrong(f"expected a port's name or a number from 1 to 65535, got {shown(value)}")


Port = Annotated[
    str | int,
    BeforeValidator(_port),
    WithJsonSchema({"anyOf": [
        {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"},
        {"type": "integer", "minimum": 1, "maximum": 65535},
    ]}),
]  # fmt: skip


class Flap(Model):
    """Cut and whole by turns, beginning with cut."""

    up_ns: Annotated[DurationNs, Field(alias="up")]
    """How long packets pass; at least 500ms."""
    down_ns: Annotated[DurationNs, Field(alias="down")]
    """How long they are dropped; at least 500ms."""

    @field_validator("up_ns", "down_ns")
    @classmethod
    def _long_enough_to_measure(cls, value: int) -> int:
        if value < SECOND_NS // 2:
            raise Wrong(
                f"expected at least 500ms, got {format_duration(value)}",
                "a shorter turn cannot be proven by measuring it",
            )
        return value


class PartitionEntry(Lasting):
    """Packets between two sides are dropped."""

    fault: Literal["partition"]
    isolate: TargetField | None = None
    """Cut these nodes off from all the others; give this or one of the four below."""
    between: Annotated[tuple[Members, Members], ITEMS] | None = None
    """Two sides, each a list of targets or clients@ZONE."""
    bridge: TargetField | None = None
    """This one node sees all; the others, in two random halves, see only it and their half."""
    ring: Literal["majorities"] | None = None
    """Each node hears a majority, and no two the same one."""
    halves: Literal["random"] | None = None
    """Two random halves that do not see each other."""
    one_way: bool = False
    """Drop only what the first side (the isolated nodes, the first half) sends to the other."""
    direction: Literal["in", "out"] | None = None
    """With isolate and one_way: what is dropped, to (`in`) or from (`out`) the isolated nodes."""
    clients: Literal["untouched", "by-zone"] = "untouched"
    """by-zone: clients share the lot of the nodes in their zone. Not with between."""
    ports: Annotated[tuple[Port, ...], ITEMS] = ()
    """Drop only what goes to or comes from these ports: names of the system's ports, or numbers."""
    flap: Flap | None = None
    """Cut and heal by turns until `for` is over."""

    @property
    def ways(self) -> frozenset[str]:
        """Which packets are dropped: `forward` from the first side, `backward` from the second."""
        if not self.one_way:
            return frozenset({"forward", "backward"})
        return frozenset({"backward" if self.direction == "in" else "forward"})

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> PartitionEntry:
        given = [form for form in FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            *most, last = (f"`{form}:`" for form in FORMS)
            got = " and ".join(f"`{form}:`" for form in given) or "none"
            raise Wrong(f"expected one of {', '.join(most)} and {last}, got {got}", "keep one")
        if self.between is not None and not all(self.between):
            raise Wrong("expected two sides with at least one member each")
        if self.between is not None and self.clients == "by-zone":
            raise Wrong("`clients: by-zone` does not go with `between:`",
                        "write clients@ZONE into the sides")  # fmt: skip
        if self.one_way and (self.bridge is not None or self.ring is not None):
            raise Wrong(f"`one_way:` does not go with `{given[0]}:`")
        if self.direction and (self.isolate is None or not self.one_way):
            raise Wrong("`direction:` belongs to `isolate:` with `one_way: true`")
        return self


MODELS = (PartitionEntry,)
