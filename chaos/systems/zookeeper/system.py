"""ZooKeeper 3.9: an ensemble that orders writes through its leader; each server answers reads.

A write is acknowledged when a majority has it on disk, and the order of writes is one. A read is
answered by the server that the client is connected to, from what it has applied: it may be older
than what others have seen (https://zookeeper.apache.org/doc/r3.9.3/zookeeperProgrammers.html,
"Consistency Guarantees"). `client.py` says what `sync` adds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError

from chaos.systems._common import (
    TRUE_FALSE,
    Setting,
    operator_step,
    option_problems,
    problems,
)
from chaos.systems._locks import LEASE
from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    NotConnected,
    Observation,
    Reachable,
    Step,
)
from chaos.systems.zookeeper.client import ERRORS, ROOTS
from chaos.systems.zookeeper.clients import CLIENTS
from chaos.systems.zookeeper.conf import (
    ASKED,
    DATA,
    PORTS,
    SETTINGS,
    container,
    setting_problems,
    votes,
)
from chaos.systems.zookeeper.wire import Session, ask

ADMIN_TIMEOUT_S = 2.0
ADMIN_SESSION_S = 6.0
NOT_SERVING = "This ZooKeeper instance is not currently serving requests"
LEADS = ("leader", "standalone")
FAILURES = (OSError, KazooException, KazooTimeoutError, NotConnected, ValueError)
OPTIONS = {
    "reads": Setting(
        about="plain (default): answered by the server alone; sync: after a sync with the leader",
        values="plain|sync",
    ),
    "failover": Setting(
        about="true: try the other nodes when the home node does not serve; default false",
        values=TRUE_FALSE,
    ),
    "lease": LEASE,
    "heartbeats": Setting(
        about="true: the driver keeps the lock's session alive while its holder stands still; "
        "default false",
        values=TRUE_FALSE,
        workloads=frozenset({"lock"}),
    ),
}


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of itself."""

    mode: str  # leader, follower, observer, standalone; "": it belongs to no majority
    zxid: int = 0  # of the last transaction it has applied: epoch, and a number within it

    @property
    def epoch(self) -> int:
        """The leader's number under which that transaction was made."""
        return self.zxid >> 32

    @property
    def number(self) -> int:
        """Which of its epoch's transactions it was; 0: none was yet."""
        return self.zxid & 0xFFFFFFFF


def status_of(answer: str) -> Status:
    """The answer to `srvr`, read. ValueError if it is none."""
    if answer.startswith(NOT_SERVING):
        return Status("")
    mode = re.search(r"^Mode: (\w+)", answer, re.MULTILINE)
    zxid = re.search(r"^Zxid: 0x([0-9a-f]+)", answer, re.MULTILINE)
    if mode is None or zxid is None:
        raise ValueError(f"expected the answer to {ASKED}, got {answer[:80]!r}")
    return Status(mode[1], int(zxid[1], 16))


def _status(cluster: Reachable, node: str) -> Status:
    return status_of(ask(cluster.address(node, "db"), ASKED, ADMIN_TIMEOUT_S))


def observed(ask_once: Callable[[], str]) -> Observation:
    """A node's role, from one answer to `srvr`. Never raises: no answer is an answer too."""
    try:
        status = status_of(ask_once())
    except (OSError, ValueError) as error:
        silent = isinstance(error, (TimeoutError, ValueError)) or "closed" in str(error)
        return Observation(role="unknown" if silent else "down", note=str(error))
    if not status.mode:
        return Observation(role="candidate", note="it belongs to no majority")
    note = f"zxid {status.zxid:#x}"
    if status.mode == "observer":
        note = f"an observer, without a vote; {note}"
    role = "primary" if status.mode in LEADS else "replica"
    return Observation(role=role, term=status.epoch, note=note)


def _session(cluster: Cluster, node: str) -> Session:
    return Session(cluster.address(node, "db"), ADMIN_TIMEOUT_S, ADMIN_SESSION_S)


def _make_roots(cluster: Cluster) -> None:
    """The nodes below which clients keep theirs."""
    session = _session(cluster, cluster.nodes[0].name)
    try:
        for name in ROOTS:
            session.begin()
            try:
                session.wait(session.kazoo.create_async(f"/{name}"))
            except NodeExistsError:
                continue
    finally:
        session.close()


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down; it copies from the leader what it lacks."""
    cluster.start(node)
    cluster.wait(f"{node} belongs to a majority", lambda: bool(_status(cluster, node).mode))


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this node if it is down; it copies from the leader what it lacks",
        run=operator_step(_rejoin, FAILURES),
    ),
}


class Zookeeper:
    """ZooKeeper 3.9. It has no step that moves leadership, and no way to ask a node for its time:
    the only times of day it gives are those of transactions, which the leader stamps."""

    name = "zookeeper"
    about = "ZooKeeper 3.9, an ensemble with an elected leader; linearizable writes, local reads"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = dict.fromkeys(PORTS, ASKED.encode())
    handshakes: Mapping[str, Handshake] = {
        "db": Handshake(say=ASKED.encode(), served=b"Zookeeper version:")
    }
    images: Sequence[str] = ("zookeeper",)
    elects = True
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        for node in nodes:
            if node.role not in (None, "observer"):
                yield (
                    f"nodes.{node.name}.role: ZooKeeper elects its leader; leave the role out, or "
                    "write observer for a server without a vote"
                )
        voters = sum(map(votes, nodes))
        if not voters:
            yield "there is no node with a vote; at least one is needed"
        elif voters == 1 and len(nodes) > 1:
            yield "with observers at least two nodes with a vote are needed, got one"
        wrong = list(problems(settings, SETTINGS))
        yield from wrong
        if not wrong:
            yield from setting_problems(settings)

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One server; a server that lost its data starts as it started first, and is sent all."""
        return [container(node, nodes, settings)]

    def form(self, cluster: Cluster) -> None:
        """Wait until every server follows one leader and has what clients' nodes stand below."""

        def led() -> bool:
            modes = [_status(cluster, node.name).mode for node in cluster.nodes]
            return all(modes) and sum(mode in LEADS for mode in modes) == 1

        cluster.wait("every node follows one leader", led)
        _make_roots(cluster)
        for node in cluster.nodes:  # its first snapshot ZooKeeper leaves to the kernel to sync
            cluster.execute(node.name, ["sh", "-c", f"find {DATA} -exec sync {{}} +"])
        cluster.wait("every node has what the leader has", lambda: self.converged(cluster))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"kazoo": version("kazoo")}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says of itself; each question takes a connection, ZooKeeper closes it."""
        address = cluster.address(node, "db")
        return lambda: observed(lambda: ask(address, ASKED, timeout_s))

    def converged(self, cluster: Cluster) -> bool:
        """One node leads, and all have its last transaction. A follower takes over the number of a
        new epoch with its first transaction, so without one yet we begin a session: that is one."""
        before = [_status(cluster, node.name) for node in cluster.nodes]
        leaders = [status for status in before if status.mode in LEADS]
        if len(leaders) != 1 or not all(status.mode for status in before):
            return False
        if not leaders[0].number:
            _session(cluster, cluster.nodes[0].name).close()
            return False
        after = [_status(cluster, node.name) for node in cluster.nodes]
        return sum(status.mode in LEADS for status in after) == 1 and all(
            status.mode and status.zxid >= leaders[0].zxid for status in after
        )


SYSTEM = Zookeeper()
