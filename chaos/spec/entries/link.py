"""Entries of the link family: what happens to packets on their way between places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from chaos.spec.entries.base import Lasting
from chaos.spec.fields import ITEMS, BitsPerS, DurationNs, Number, Share, SideField, Wrong
from chaos.spec.target import Side
from chaos.units import format_percent

Members = Annotated[tuple[SideField, ...], Field(min_length=1), ITEMS]
MOST_HELD_BACK = 0.5  # of packets: beyond, those not held back are the odd ones
Rate = Annotated[Share, Field(gt=0)]


class LinkEntry(Lasting):
    """What happens to packets on some links; each direction is a link of its own."""

    between: Annotated[tuple[Members, Members], ITEMS] | None = None
    """Both directions between two sides, each a list of targets or clients@ZONE."""
    from_: Annotated[Members | None, Field(alias="from")] = None
    """Only what these send, …"""
    to: Members | None = None
    """… and these receive."""

    @property
    def sides(self) -> tuple[Sequence[Side], Sequence[Side]]:
        """The first side and the second; one way it goes from the first to the second."""
        return self.between or (self.from_ or (), self.to or ())

    @property
    def both_ways(self) -> bool:
        """Whether the second side's packets are meant, too."""
        return self.between is not None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> LinkEntry:
        one_way = self.from_ is not None, self.to is not None
        if self.between is not None and any(one_way):
            raise Wrong("expected either `between:` or `from:` and `to:`, got both", "keep one")
        if self.between is None and not all(one_way):
            got = "`from:` alone" if one_way[0] else "`to:` alone" if one_way[1] else "neither"
            raise Wrong(f"expected `between:`, or `from:` and `to:`, got {got}")
        if all(member.target is None for side in self.sides for member in side):
            raise Wrong("client zones do not talk to each other: expected nodes on one side")
        return self


class DelayEntry(LinkEntry):
    """Packets take longer, in order."""

    fault: Literal["delay"]
    delay_ns: Annotated[DurationNs, Field(alias="delay", gt=0)]
    """One way, in the mean."""
    jitter_ns: Annotated[DurationNs, Field(alias="jitter")] = 0
    """How far the delay varies: half the width (uniform), else the standard deviation."""
    distribution: Literal["uniform", "normal", "pareto"] = "normal"
    """How the delay varies; pareto has a long tail."""


class LossEntry(LinkEntry):
    """Packets are lost."""

    fault: Literal["loss"]
    rate: Rate
    """Of all packets."""
    burst: Annotated[Number, Field(ge=1)] | None = None
    """How many are lost in a row, in the mean; left out, each by itself."""

    @model_validator(mode="after")
    def _bursts_fit(self) -> LossEntry:
        if self.burst is not None and self.rate < 1 and self.burst < self.rate / (1 - self.rate):
            raise Wrong(
                f"at {format_percent(self.rate)} more are lost in a row than {self.burst:g}",
                f"write `burst: {self.rate / (1 - self.rate) + 1:.0f}` or more, or leave it out",
            )
        return self


class DuplicateEntry(LinkEntry):
    """Packets come twice."""

    fault: Literal["duplicate"]
    rate: Rate
    """Of all packets."""


class ReorderEntry(LinkEntry):
    """Packets are overtaken by those sent after them."""

    fault: Literal["reorder"]
    rate: Rate
    """Of all packets, at most 50%: so many are held back."""
    by_ns: Annotated[DurationNs, Field(alias="by", ge=1_000_000)] = 10_000_000
    """For how long; 10ms, and at least 1ms."""

    @field_validator("rate")
    @classmethod
    def _some_are_not_held_back(cls, value: float) -> float:
        if value > MOST_HELD_BACK:
            raise Wrong(
                f"expected at most {format_percent(MOST_HELD_BACK)}, got {format_percent(value)}",
                "a packet is overtaken only by those that are not held back themselves",
            )
        return value


class CorruptEntry(LinkEntry):
    """One bit of a packet is flipped; the receiver's checksum refuses it."""

    fault: Literal["corrupt"]
    rate: Rate
    """Of all packets."""


class BandwidthEntry(LinkEntry):
    """Packets leave at this rate at most; those that a short queue cannot take are dropped."""

    fault: Literal["bandwidth"]
    rate: BitsPerS
    """Of each link by itself, IP headers included, such as 1Mbit/s."""


MODELS = (DelayEntry, LossEntry, DuplicateEntry, ReorderEntry, CorruptEntry, BandwidthEntry)
