"""What every database must answer here; one file per database beside this one.

A `System` says how to run the database (containers per node), how to form the cluster, when it is
ready, and how a client speaks to it. Optional powers (`HasRoles`, `HasOperators`) are separate
protocols; those about what runs on a node are in `placing.py`. A system never touches a container
itself: it gets a `Cluster` that can.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from chaos.record.op import Invocation, Result

Address = tuple[str, int]  # host, port


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of the topology, as the runtime placed it."""

    name: str
    zone: str
    region: str = ""
    provider: str | None = None
    role: str | None  # role asked for in the topology ("primary"), None if unsaid
    address: str  # IPv4 address inside the test network
    group: str = ""  # which of a topology's groups it belongs to; "" where there are none


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container of a node's pod. `files` maps absolute paths to contents."""

    name: str  # "redis", "sentinel": unique within the pod
    image: str  # folder in topologies/images, or a full reference from `image:`
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    data_dir: str | None = None  # put on a labelled volume that survives a kill
    user: str | None = None
    later: bool = False  # created only: `System.form` starts it
    shared: Mapping[str, str] = field(default_factory=dict)  # path → volume that nodes share
    # Path there, a file or folder of this host or a text, and its mode (None: as it is here).
    copies: Sequence[tuple[str, Path | str, int | None]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # of the engine, as its driver spells


class Reachable(Protocol):
    """Running nodes of one system that can be spoken to; all that asking them takes."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes, in the topology's order; of a topology with groups, those of one group."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Their `settings:`."""

    def address(self, node: str, port: str, zone: str | None = None) -> Address:
        """Where the controller reaches `port` of `node`; through `zone`'s link if given."""


class Cluster(Reachable, Protocol):
    """The pods of one running topology, as a system's code sees them."""

    def execute(
        self,
        node: str,
        command: Sequence[str],
        *,
        container: str | None = None,
        user: str | None = None,
        deadline_s: float = 30.0,
    ) -> str:
        """Run a command in the node's database container; its output. ClusterError if it fails."""

    def stop(self, node: str) -> None:
        """SIGKILL every database process of the node."""

    def start(self, node: str) -> None:
        """Start the node's database containers again; returns when they run (not: ready)."""

    def wait(self, what: str, done: Callable[[], bool], deadline_s: float = 30.0) -> None:
        """Poll `done` (False or an exception: not yet) until true; ClusterError after the deadline,
        naming `what` and showing the nodes' last log lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSpec:
    """All a client needs, as plain data: it crosses a process boundary as JSON.

    `endpoints[node][port name]` is the address of that node through this client's zone link.
    """

    zone: str
    home: str  # node this client prefers; clients are spread over nodes of their zone first
    endpoints: Mapping[str, Mapping[str, Address]]
    settings: Mapping[str, Any]
    options: Mapping[str, Any]  # the experiment's `client:` options, checked by the system
    timeout_s: float


class Client(Protocol):
    """One process of a workload: synchronous, one operation at a time, never retrying by itself."""

    @property
    def node(self) -> str:
        """The node it is connected to; "" when none."""

    def open(self) -> None:
        """Connect, choosing a node. Must not change the database."""

    def invoke(self, operation: Invocation) -> Result:
        """Do it once. Any exception means it did not succeed; `System.errors` judges which kind."""

    def close(self) -> None:
        """Drop connections; never raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """One row of a system's ERRORS table: which error, definite or not, and why.

    The first rule whose `kind` matches by isinstance and whose `pattern` is found in the text wins.
    Definite: the operation certainly did not happen. Indefinite: it may have.
    """

    code: str  # short and stable: "connection-refused"
    kind: type[BaseException]
    pattern: str = ""
    definite: bool
    reason: str


class Definite(Exception):
    """Raised by a client for an answer that says no: `Definite("cas-mismatch", "…")`."""

    def __init__(self, code: str, reason: str = "") -> None:
        super().__init__(f"{code}: {reason}" if reason else code)
        self.code = code
        self.reason = reason


class Judged(Exception):
    """An error that was judged where it happened: by the ERRORS table of the part of a joint client
    that had it, or by the joint client, which knows what had been done by then."""

    def __init__(self, definite: bool, why: str) -> None:
        super().__init__(why)
        self.definite = definite
        self.why = why


class InHand(Exception):
    """Raised by a client around the error of an operation that takes something out: by then it had
    been given `value`, and whether that is gone from the database the error must say."""

    def __init__(self, value: int) -> None:
        super().__init__(f"with {value} in hand")
        self.value = value


class NotConnected(Exception):
    """Raised by a client that reached no node it may use: of the operation, nothing was sent."""


def classify(error: BaseException, rules: Iterable[ErrorRule]) -> tuple[bool, str]:
    """(definite, "code: reason") for a driver's error; an unknown error is indefinite."""
    if isinstance(error, InHand) and error.__cause__ is not None:
        return classify(error.__cause__, rules)
    if isinstance(error, Definite):
        return True, str(error)
    if isinstance(error, Judged):
        return error.definite, error.why
    text = str(error)
    for rule in rules:
        if isinstance(error, rule.kind) and re.search(rule.pattern, text):
            return rule.definite, f"{rule.code}: {rule.reason}"
    return False, f"unknown: {type(error).__name__}: {text[:200]}"


class System(Protocol):
    """A database we know how to run. Everything here is stateless; state lives in the cluster."""

    name: str
    about: str  # one sentence for `aftershock list systems`
    ports: Mapping[str, int]  # port name → port, each proxied per client zone; "db" is required
    knocks: Mapping[str, bytes]  # port name → bytes that a live server there answers at once
    images: Sequence[str]  # folders of topologies/images it needs
    elects: bool  # whether another node takes over by itself when a primary is gone
    workloads: frozenset[str]  # workloads its client speaks
    settings: Mapping[str, str]  # setting → one line of documentation; others are refused
    client_options: Mapping[str, str]  # the same for an experiment's `client:`
    errors: Sequence[ErrorRule]

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology for this system, a sentence each; none if it can run."""

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with an experiment's `client:`, a sentence each; its names are known already."""

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """What runs on `node`; the first is the database itself."""

    def form(self, cluster: Cluster) -> None:
        """Make the started nodes a cluster, create what workloads need, return when ready."""

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A new, unopened client."""

    def versions(self) -> Mapping[str, str]:
        """The driver's name and version, for run.json."""


class SettingRule(Protocol):
    """Which values a setting takes, and the one it has where the topology says nothing."""

    @property
    def values(self) -> str:
        """A pattern for all of its text, or "duration"."""

    @property
    def default(self) -> str | None:
        """None: the database's own."""


@runtime_checkable
class HasRules(Protocol):
    """Says what its settings may be, for whoever writes a topology."""

    rules: Mapping[str, SettingRule]  # setting → rule


@runtime_checkable
class HasModes(Protocol):
    """Is run in several ways, and its settings say in which: some of what holds for the system as a
    whole depends on them."""

    def elects_with(self, settings: Mapping[str, Any]) -> bool:
        """Whether another node takes over by itself; `elects` is what holds by default."""

    def refusals(
        self,
        workload: str,
        options: Mapping[str, Any],
        nodes: Sequence[Node],
        settings: Mapping[str, Any],
    ) -> Iterable[str]:
        """Why these nodes cannot run this workload or this option of its client, a sentence each;
        besides what `workloads` and `check_options` say."""


@runtime_checkable
class HasBulk(Protocol):
    """Knows requests of a given size, so that the flow of bytes on a link can be measured."""

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """What to send on a new connection: at least so many bytes, with at least so many coming
        back, and none of the data read or changed. An error is an answer. Where both are asked
        for, no answer of that size comes before the whole request was read. None where that port
        knows no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one node says about itself.

    primary: it alone takes writes (of its shard); two primaries of one shard are a split brain.
    member: it takes writes as the others do. replica: it takes none, or hands them on. candidate:
    it is up, and belongs to no majority. down: nothing runs. unknown: no answer in time.
    """

    role: str  # primary | member | replica | candidate | down | unknown
    # Which part of the data it leads or follows, where there are several: with commas between them.
    shard: str | None = None
    term: int | None = None
    lag_ms: float | None = None
    lag_bytes: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What makes a server count a connection, and how it begins to answer one that it serves."""

    say: bytes
    served: bytes  # an answer that begins otherwise is a refusal
    after: int = 0  # so many bytes, whatever they are


@runtime_checkable
class HasHandshakes(Protocol):
    """Limits its connections: a server that is full still accepts TCP connections.

    Without this the knock is said, and any answer is taken for service.
    """

    handshakes: Mapping[str, Handshake]  # port name → handshake


@runtime_checkable
class HasRoles(Protocol):
    """Asks each node for its own view, so that two primaries show."""

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """A function that asks `node` once per call, over one kept connection; never raises."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What a database says the time is, against this host's own clock, in ns."""

    offset_ns: int  # the database's time less this host's, at the middle of the request
    error_ns: int  # at most so wrong: half of what the request took, and what the answer rounds
    at_ns: int  # that middle, on the monotonic clock


def read_clock(ask: Callable[[], int], rounded_ns: int = 0) -> ClockReading:
    """Time one request whose answer is a time of day in ns, rounded to `rounded_ns`."""
    before_ns, here_ns = time.monotonic_ns(), time.time_ns()
    said_ns = ask()
    half_ns = (time.monotonic_ns() - before_ns) // 2
    return ClockReading(said_ns - here_ns - half_ns, half_ns + rounded_ns, before_ns + half_ns)


@runtime_checkable
class HasClock(Protocol):
    """Its nodes can be asked what time they think it is."""

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """A function that asks `node` once per call, over one kept connection.

        None when it does not answer; never raises.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operator's step: what it does, and the function that does it to a node."""

    about: str
    run: Callable[[Cluster, str], None]


@runtime_checkable
class HasOperators(Protocol):
    """What a person on call would type."""

    steps: Mapping[str, Step]  # "promote", "rejoin", ...


@runtime_checkable
class HasConvergence(Protocol):
    """Says when a healed cluster is one again; the runner waits for it before the final reads."""

    def converged(self, cluster: Cluster) -> bool:
        """All nodes agree on one primary and the others have what it had when asked.

        May raise whatever the driver raises while a node does not answer: not yet.
        """
