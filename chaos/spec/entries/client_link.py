"""Entries of the client-link family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from chaos.spec.entries.base import Lasting
from chaos.spec.fields import ITEMS, DurationNs, Name, TargetField, Wrong
from chaos.spec.target import Target
from chaos.units import shown


def _zones(value: Any) -> Any:
    if isinstance(value, str) and value != "all":
        raise Wrong(f"expected a list of zones, or all, got {shown(value)}", f"write [{value}]")
    return value


Zones = Annotated[
    Annotated[tuple[Name, ...], Field(min_length=1), ITEMS] | Literal["all"],
    BeforeValidator(_zones),
]


class _ClientLink(Lasting):
    zones: Zones = "all"
    """Client zones whose links are meant."""
    nodes: TargetField = Target.parse("all")
    """Nodes at the other end of these links."""


class ClientLatencyEntry(_ClientLink):
    """Clients' requests to nodes take longer; traffic between nodes is not touched."""

    fault: Literal["client-latency"]
    delay_ns: Annotated[DurationNs, Field(alias="delay", gt=0)]
    """Added to each answer."""
    jitter_ns: Annotated[DurationNs, Field(alias="jitter")] = 0
    """How far the delay varies around its mean."""


class ClientResetEntry(_ClientLink):
    """Clients' connections are reset, and new ones too."""

    fault: Literal["client-reset"]


class ClientDownEntry(_ClientLink):
    """Clients cannot connect at all."""

    fault: Literal["client-down"]


MODELS = (ClientLatencyEntry, ClientResetEntry, ClientDownEntry)
