"""Entries of the partition family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from chaos.spec.entries.base import Lasting
from chaos.spec.fields import ITEMS, SideField, TargetField, Wrong

Members = Annotated[tuple[SideField, ...], ITEMS]


class PartitionEntry(Lasting):
    """Packets between two sides are dropped."""

    fault: Literal["partition"]
    isolate: TargetField | None = None
    """Cut these nodes off from all the others; give this or `between`."""
    between: Annotated[tuple[Members, Members], ITEMS] | None = None
    """Two sides, each a list of targets or clients@ZONE."""
    one_way: bool = False
    """Drop only what the first side (or the isolated nodes) sends to the other."""
    direction: Literal["in", "out"] | None = None
    """With isolate and one_way: what is dropped, to (`in`) or from (`out`) the isolated nodes."""
    clients: Literal["untouched", "by-zone"] = "untouched"
    """With isolate: by-zone puts the clients of the isolated nodes' zones on their side."""

    @property
    def ways(self) -> frozenset[str]:
        """Which packets are dropped: `forward` from the first side, `backward` from the second."""
        if not self.one_way:
            return frozenset({"forward", "backward"})
        return frozenset({"backward" if self.direction == "in" else "forward"})

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> PartitionEntry:
        if (self.isolate is None) == (self.between is None):
            got = "neither" if self.isolate is None else "both"
            raise Wrong(f"expected either `isolate:` or `between:`, got {got}", "keep one")
        if self.between is not None and not all(self.between):
            raise Wrong("expected two sides with at least one member each")
        if self.between is not None and self.clients == "by-zone":
            raise Wrong(
                "`clients: by-zone` belongs to `isolate:`", "write clients@ZONE into the sides"
            )
        if self.direction and (self.isolate is None or not self.one_way):
            raise Wrong("`direction:` belongs to `isolate:` with `one_way: true`")
        return self


MODELS = (PartitionEntry,)
