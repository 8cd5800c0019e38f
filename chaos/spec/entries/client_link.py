"""Entries of the client-link family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from chaos.spec.entries.base import Lasting
from chaos.spec.fields import ITEMS, BitsPerS, DurationNs, Name, SizeBytes, TargetField, Wrong
from chaos.spec.target import Target
from chaos.units import format_bits_per_s, format_duration, format_size, shown

MS, US = 1_000_000, 1_000
KB_BITS = 8_000  # Toxiproxy's unit is 1,000 bytes
LIMIT_BYTES_MAX = 4_000_000  # more cannot be sent in the time that a probe has


def _zones(value: Any) -> Any:
    if isinstance(value, str) and value != "all":
        raise Wrong(f"expected a list of zones, or all, got {shown(value)}", f"write [{value}]")
    return value


def _whole_ms(value: int) -> int:
    if value % MS:
        raise Wrong(f"expected whole milliseconds, got {format_duration(value)}",
                    f"write {max(1, round(value / MS))}ms")  # fmt: skip
    return value


def _whole_us(value: int) -> int:
    if not US <= value <= 1000 * MS:
        raise Wrong(f"expected 1us to 1s, got {format_duration(value)}")
    return value


def _whole_kb(value: int) -> int:
    if value < KB_BITS or value % KB_BITS:
        raise Wrong(f"expected a multiple of 8kbit/s, got {format_bits_per_s(value)}",
                    f"write {format_bits_per_s(max(1, round(value / KB_BITS)) * KB_BITS)}"
                    )  # fmt: skip
    return value


Zones = Annotated[
    Annotated[tuple[Name, ...], Field(min_length=1), ITEMS] | Literal["all"],
    BeforeValidator(_zones),
]
Ms = Annotated[DurationNs, AfterValidator(_whole_ms)]
Direction = Literal["requests", "answers", "both"]


class _ClientLink(Lasting):
    zones: Zones = "all"
    """Client zones whose links are meant."""
    nodes: TargetField = Target.parse("all")
    """Nodes at the other end of these links."""


class ClientLatencyEntry(_ClientLink):
    """Clients' requests to nodes take longer; traffic between nodes is not touched."""

    fault: Literal["client-latency"]
    delay_ns: Annotated[Ms, Field(alias="delay", gt=0)]
    """Added to what goes in that direction, in whole milliseconds."""
    jitter_ns: Annotated[Ms, Field(alias="jitter")] = 0
    """How far the delay varies around its mean, evenly; at most the delay."""
    direction: Direction = "answers"
    """What is delayed."""

    @model_validator(mode="after")
    def _jitter_within_delay(self) -> ClientLatencyEntry:
        if self.jitter_ns > self.delay_ns:
            raise Wrong(
                f"expected a jitter of at most the delay, {format_duration(self.delay_ns)}, got"
                f" {format_duration(self.jitter_ns)}",
                "nothing arrives before it was sent",
            )
        return self


class ClientBandwidthEntry(_ClientLink):
    """Each of a client's connections carries only so much."""

    fault: Literal["client-bandwidth"]
    rate_bits_per_s: Annotated[BitsPerS, AfterValidator(_whole_kb), Field(alias="rate")]
    """Bits a second, a multiple of 8kbit/s; of each connection, in each direction."""
    direction: Direction = "both"
    """What is held back."""


class ClientSlowCloseEntry(_ClientLink):
    """The end of a connection reaches the other side late."""

    fault: Literal["client-slow-close"]
    delay_ns: Annotated[Ms, Field(alias="delay", gt=0)]
    """How much later, in whole milliseconds."""
    direction: Direction = "answers"
    """Whose end: of answers, the server's close reaches the client late."""


class ClientTimeoutEntry(_ClientLink):
    """Clients can connect, and then nothing comes through."""

    fault: Literal["client-timeout"]
    after_ns: Annotated[Ms, Field(alias="after")] = 0
    """Connections on which nobody sent for that long are closed; left out, none."""
    direction: Direction = "both"
    """What does not come through."""


class ClientResetEntry(_ClientLink):
    """Clients' connections are reset when something is sent on them."""

    fault: Literal["client-reset"]
    after_ns: Annotated[Ms, Field(alias="after")] = 0
    """How long after that."""
    direction: Literal["requests", "answers"] = "requests"
    """What is lost with the connection: the request, or the answer to one that was carried out."""

    @model_validator(mode="after")
    def _within_the_fault(self) -> ClientResetEntry:
        if self.after_ns >= self.for_ns:
            raise Wrong(
                f"expected `after:` to be shorter than `for:`, {format_duration(self.for_ns)},"
                f" got {format_duration(self.after_ns)}",
            )
        return self


class ClientSlicerEntry(_ClientLink):
    """What is sent arrives in small pieces, one after the other."""

    fault: Literal["client-slicer"]
    size_bytes: Annotated[SizeBytes, Field(alias="size", ge=1, le=16384)]
    """Size of a piece, on average at most."""
    variation_bytes: Annotated[SizeBytes, Field(alias="variation")] = 0
    """How far it varies; less than the size."""
    delay_ns: Annotated[DurationNs, AfterValidator(_whole_us), Field(alias="delay")] = MS
    """Between two pieces."""
    direction: Direction = "both"
    """What is cut up."""

    @model_validator(mode="after")
    def _less_than_the_size(self) -> ClientSlicerEntry:
        if self.variation_bytes >= self.size_bytes:
            raise Wrong(
                f"expected a variation of less than the size, {format_size(self.size_bytes)}, got"
                f" {format_size(self.variation_bytes)}",
                "Toxiproxy ends itself over a piece of less than nothing",
            )
        return self


class ClientLimitDataEntry(_ClientLink):
    """Connections are closed once they have carried so many bytes."""

    fault: Literal["client-limit-data"]
    limit_bytes: Annotated[SizeBytes, Field(alias="bytes", ge=1, le=LIMIT_BYTES_MAX)]
    """Bytes of each connection, in each direction by itself, counted from the injection."""
    direction: Direction = "answers"
    """What is counted."""


class ClientDownEntry(_ClientLink):
    """Clients cannot connect at all."""

    fault: Literal["client-down"]


MODELS = (
    ClientLatencyEntry,
    ClientBandwidthEntry,
    ClientSlowCloseEntry,
    ClientTimeoutEntry,
    ClientResetEntry,
    ClientSlicerEntry,
    ClientLimitDataEntry,
    ClientDownEntry,
)
