"""An experiment: what clients do, what goes wrong and when, and what a test may expect."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from chaos.spec.fields import (
    ITEMS,
    DurationNs,
    Model,
    Name,
    Number,
    RatePerS,
    Setting,
    SideField,
    TargetField,
    Text,
    Whole,
    Wrong,
)
from chaos.spec.target import Target
from chaos.units import format_duration, shown

SECOND_NS = 1_000_000_000

Members = Annotated[tuple[SideField, ...], ITEMS]


class WorkloadSpec(Model):
    """What the clients do."""

    name: Text
    """A name from `aftershock list workloads`."""
    rate: RatePerS | None = None
    """Operations per second over all clients; left out, each client goes as fast as it can."""
    mix: dict[Text, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    """Operations and their weights; left out, the workload's own mix."""
    keys: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1
    """How many keys there are."""
    distribution: Literal["uniform", "zipf"] = "uniform"
    """How often each key is chosen."""
    timeout_ns: Annotated[DurationNs, Field(alias="timeout")] = SECOND_NS
    """How long a client waits for an answer before it counts as indeterminate."""


class _Entry(Model):
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


class _Lasting(_Entry):
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


class _Instant(_Entry):
    @property
    def for_ns(self) -> None:
        """It has no duration."""
        return


class PartitionEntry(_Lasting):
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


class KillEntry(_Lasting):
    """SIGKILL the database's processes; healing starts them again."""

    fault: Literal["kill"]
    target: TargetField


class PauseEntry(_Lasting):
    """Freeze the database's processes; healing thaws them."""

    fault: Literal["pause"]
    target: TargetField


class RestartEntry(_Instant):
    """Stop the database as an operator would and start it again; it has no duration."""

    fault: Literal["restart"]
    target: TargetField


def _zones(value: Any) -> Any:
    if isinstance(value, str) and value != "all":
        raise Wrong(f"expected a list of zones, or all, got {shown(value)}", f"write [{value}]")
    return value


Zones = Annotated[
    Annotated[tuple[Name, ...], Field(min_length=1), ITEMS] | Literal["all"],
    BeforeValidator(_zones),
]


class _ClientLink(_Lasting):
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


class StepEntry(_Instant):
    """What a person on call does, such as promoting a replica."""

    is_step: ClassVar[bool] = True

    step: Text
    """A step the system knows, such as promote."""
    node: TargetField
    """The node it is done to."""


FAULT_ENTRIES: dict[str, type[_Entry]] = {
    get_args(model.model_fields["fault"].annotation)[0]: model
    for model in (
        PartitionEntry,
        KillEntry,
        PauseEntry,
        RestartEntry,
        ClientLatencyEntry,
        ClientResetEntry,
        ClientDownEntry,
    )
}
ENTRIES: dict[str, type[_Entry]] = {**FAULT_ENTRIES, "step": StepEntry}


def _tag(value: Any) -> str | None:
    """Which model an entry of the schedule is for; None when nothing says so."""
    if isinstance(value, dict):
        if "fault" in value:
            return str(value["fault"])
        return "step" if "step" in value else None
    return getattr(value, "fault", "step" if isinstance(value, StepEntry) else None)


Entry = Annotated[
    Annotated[PartitionEntry, Tag("partition")]
    | Annotated[KillEntry, Tag("kill")]
    | Annotated[PauseEntry, Tag("pause")]
    | Annotated[RestartEntry, Tag("restart")]
    | Annotated[ClientLatencyEntry, Tag("client-latency")]
    | Annotated[ClientResetEntry, Tag("client-reset")]
    | Annotated[ClientDownEntry, Tag("client-down")]
    | Annotated[StepEntry, Tag("step")],
    Discriminator(_tag),
]


class Expect(Model):
    """What a test of this experiment asserts."""

    verdict: Literal["valid", "invalid", "unknown"]
    """The verdict."""
    anomalies: Annotated[tuple[Text, ...], ITEMS] = ()
    """Anomalies that must be among those found."""


class Experiment(Model):
    """An experiment file."""

    name: Name
    """The name; the same as the file's."""
    about: Text = ""
    """One sentence: what is done, and what is to be seen."""
    topology: Text
    """A shipped topology's name, or a path relative to this file."""
    set: dict[Text, Setting] = Field(default_factory=dict)
    """Changes to the topology: dotted path to value."""
    workload: WorkloadSpec
    """What the clients do."""
    client: dict[Text, Setting] = Field(default_factory=dict)
    """Options of the system's client."""
    duration_ns: Annotated[DurationNs, Field(alias="duration", gt=0)]
    """How long clients work while faults come and go."""
    settle_ns: Annotated[DurationNs, Field(alias="settle")] = 5 * SECOND_NS
    """After healing: the longest wait for the replicas to agree, before the final reads."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 1
    """Every random choice of the run follows from it."""
    schedule: Annotated[tuple[Entry, ...], ITEMS] = ()
    """What goes wrong, and what operators do, in time."""
    expect: Expect | None = None
    """What a test of this experiment asserts."""
