"""An experiment: what clients do, what goes wrong and when, and what a test may expect."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chaos.spec.entries import Entry
from chaos.spec.entries.base import SECOND_NS
from chaos.spec.fields import ITEMS, DurationNs, Model, Name, Number, RatePerS, Setting, Text, Whole


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
