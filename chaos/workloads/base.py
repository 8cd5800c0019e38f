"""What a workload is: operations to invoke, and the properties its history can decide."""

from __future__ import annotations

import random
from collections.abc import Generator as PythonGenerator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chaos.record.op import Invocation, Result
from chaos.systems.base import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadShape:
    """How the operations are mixed and spread; from the experiment's `workload:`."""

    mix: Mapping[str, float] = field(default_factory=dict)  # operation → weight; {}: the default
    keys: int = 1
    distribution: str = "uniform"  # uniform | zipf
    seed: int = 0
    options: Mapping[str, int] = field(default_factory=dict)  # of the workload's `options`
    probes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # every_s, objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A whole number that a workload can be told, from `least` to `most`."""

    about: str  # one line of documentation
    default: int
    least: int = 1
    most: int = 1_000_000


class Generator(Protocol):
    """One client's endless operations. It sees each result, so that a cas can expect what it read.

    `outcome` is called once after each `next`, with None when the operation was no success.
    """

    def next(self) -> Invocation:
        """The operation to invoke now."""

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """What became of it."""


# Yields an operation and is sent what became of it: None where it was no success, after which the
# client may be another one, opened anew.
Script = PythonGenerator[Invocation, Result | None, None]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Final operations of which each may depend on the answers before; `script` ends by itself."""

    script: Script


def repeated(operations: Iterable[Invocation]) -> Script:
    """Each of them again and again until it succeeds."""
    for operation in operations:
        while (yield operation) is None:
            pass


class Workload(Protocol):
    """A workload. Written values are unique over the whole run: client i of n writes i, i+n, …"""

    name: str
    about: str
    operations: Mapping[str, str]  # what `mix` weighs → one line; of transactions, what is in them
    default_mix: Mapping[str, float]
    properties: Sequence[str]  # what its history can prove or refute, strongest last
    options: Mapping[str, Option]
    parts: Mapping[str, str]  # part → the kind of client it needs; {}: one client, of our name

    def joined(self, clients: Mapping[str, Client], shape: LoadShape) -> Client:
        """Of a workload with parts: one client of `clients`, which are unopened, one a part. What
        an error of one of them means for it has been judged (`chaos.systems.base.Judged`)."""

    def setup(self, shape: LoadShape) -> Sequence[Invocation]:
        """What one client does before everything, unrecorded; it may be done more than once."""

    def initial(self, shape: LoadShape) -> Any:
        """What is there then, as JSON, for whoever judges the history; None: nothing."""

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Generator:
        """The operations of client `client` of `clients`; the same `rng`, the same operations."""

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation] | Dialogue:
        """This client's final reads, after heal and settle; `last` made its operations so far. Each
        is repeated until it succeeds; in a `Dialogue` the script says what comes next."""


class Plain:
    """A workload of one client, without options, that needs nothing to be there."""

    options: Mapping[str, Option] = {}
    parts: Mapping[str, str] = {}

    def joined(self, clients: Mapping[str, Client], shape: LoadShape) -> Client:
        """Never asked for: there are no parts."""
        raise NotImplementedError

    def setup(self, shape: LoadShape) -> Sequence[Invocation]:
        """Nothing."""
        return ()

    def initial(self, shape: LoadShape) -> Any:
        """Nothing is there."""
        return None
