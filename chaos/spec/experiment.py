"""An experiment: what clients do, what goes wrong and when, and what a test may expect."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from chaos.spec.entries import Entry
from chaos.spec.entries.base import SECOND_NS
from chaos.spec.fields import (
    ITEMS,
    DurationNs,
    HostName,
    Model,
    Name,
    Number,
    RatePerS,
    Setting,
    Share,
    Text,
    Whole,
    Wrong,
)
from chaos.spec.random_schedule import RandomSchedule


class WorkloadSpec(Model):
    """What the clients do."""

    name: Text
    """A name from `aftershock list workloads`."""
    on: HostName | None = None
    """In a topology with groups, the one that clients use; left out, the one no other uses."""
    groups: dict[Text, HostName] = Field(default_factory=dict)
    """Of a workload with several parts, which group serves which: {cache: redis, store: db}."""
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
    options: dict[Text, Whole] = Field(default_factory=dict)
    """Options of the workload, such as the length of transactions; left out, its defaults."""


class Expect(Model):
    """What a test of this experiment asserts."""

    verdict: Literal["valid", "invalid", "unknown"]
    """The verdict."""
    anomalies: Annotated[tuple[Text, ...], ITEMS] = ()
    """Anomalies that must be among those found."""


Positive = Annotated[DurationNs, Field(gt=0)]


class AbortWhen(Model):
    """A condition that ends the faults early; one of `error_rate`, `no_quorum`, `no_primary`."""

    error_rate: Annotated[Share, Field(gt=0)] | None = None
    """This share of operations, or more, ended as `of` says, over the last `window`."""
    window_ns: Annotated[DurationNs, Field(alias="window", ge=SECOND_NS)] = 5 * SECOND_NS
    """With error_rate: over how long; at least 1s."""
    of: Literal["both", "fail", "info"] = "both"
    """With error_rate: which operations count as errors."""
    no_quorum_ns: Annotated[Positive | None, Field(alias="no_quorum")] = None
    """For this long fewer than a majority of the nodes say which role they have."""
    no_primary_ns: Annotated[Positive | None, Field(alias="no_primary")] = None
    """For this long no node claims to be primary."""

    @model_validator(mode="after")
    def _one_of_them(self) -> AbortWhen:
        keys = ("error_rate", "no_quorum_ns", "no_primary_ns")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            raise Wrong(
                "expected one of `error_rate:`, `no_quorum:` or `no_primary:`, got "
                f"{len(given) or 'none'}",
                "write another list item for another condition",
            )
        usual = [type(self).model_fields[key].default for key in ("window_ns", "of")]
        if self.error_rate is None and [self.window_ns, self.of] != usual:
            raise Wrong("`window:` and `of:` belong to `error_rate:`", "leave them out")
        return self


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
    properties: Annotated[tuple[Text, ...], ITEMS] = ()
    """What the history is judged by; left out, by what the workload is for."""
    duration_ns: Annotated[DurationNs, Field(alias="duration", gt=0)]
    """How long clients work while faults come and go."""
    settle_ns: Annotated[DurationNs, Field(alias="settle")] = 5 * SECOND_NS
    """After healing: the longest wait for the replicas to agree, before the final reads."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 1
    """Every random choice of the run follows from it."""
    schedule: Annotated[tuple[Entry, ...], ITEMS] = ()
    """What goes wrong, and what operators do, in time."""
    random: RandomSchedule | None = None
    """Faults drawn from a seed, beside those of the schedule."""
    abort_when: Annotated[tuple[AbortWhen, ...], ITEMS] = ()
    """When to inject no more and to heal everything; the run goes on to its final reads."""
    when_unavailable: Literal["refuse", "skip"] = "refuse"
    """What to do with a fault that this host cannot inject: refuse the run, or leave it out."""
    expect: Expect | None = None
    """What a test of this experiment asserts."""
