"""Cassandra 5.0: every node takes reads and writes for the replicas, and none of them leads.

A client's node is the coordinator of its operations: it sends each to the replicas of the row, and
answers when as many of them have answered as the consistency level says. A replica keeps of each
cell the value with the highest timestamp. What a replica missed the coordinator keeps for it (a
hint), and reads that find a difference write the newest back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import equals_problems, node_of, option_problems, problems
from chaos.systems.base import (
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    Observation,
    Reachable,
)
from chaos.systems.cassandra.admin import (
    SCHEMA_S,
    STEPS,
    keeps_hints,
    knows_all,
    reaches_all,
    schema,
    session,
)
from chaos.systems.cassandra.client import ERRORS
from chaos.systems.cassandra.clients import CLIENTS, OPTIONS, option_conflicts
from chaos.systems.cassandra.conf import PORTS, SETTINGS, container, setting_problems
from chaos.systems.cassandra.frames import ASKED, SERVED, bulk
from chaos.systems.cassandra.observer import Clock, Observer

FORM_S = 120.0


class Cassandra:
    """Cassandra 5.0."""

    name = "cassandra"
    about = "Cassandra 5.0: every node coordinates, the highest timestamp wins; Paxos where asked"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = dict.fromkeys(PORTS, ASKED)
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=ASKED, served=SERVED)}
    images: Sequence[str] = ("cassandra",)
    elects = True
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """Statements of the size asked for, and answers."""
        return bulk(request_bytes, answer_bytes)

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        wrong = list(option_problems(options, OPTIONS, workload))
        yield from wrong
        if not wrong:
            yield from option_conflicts(options, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from equals_problems(nodes, "all Cassandra nodes are alike; leave the role out")
        wrong = list(problems(settings, SETTINGS))
        yield from wrong
        if not wrong:
            yield from setting_problems(nodes, settings)

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One Cassandra."""
        return [container(node, nodes, settings)]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """A node that replaces itself: it takes over its token, and is sent a copy of all it
        should have."""
        if len(cluster.nodes) == 1:
            raise ClusterError(
                f"{node} has lost its data, and no other node has a copy",
                fix="a topology of several nodes keeps copies",
            )
        own = node_of(cluster, node)
        return [container(own, cluster.nodes, cluster.settings, replaces=True)]

    def form(self, cluster: Cluster) -> None:
        """Wait until all nodes know all, make the tables, wait until every node has them."""
        names = [node.name for node in cluster.nodes]

        def known() -> bool:
            return all(knows_all(cluster, name) for name in names)

        cluster.wait("all nodes know each other", known, FORM_S)
        with closing(session(cluster, names[0])) as first:
            for statement in schema(cluster):
                first.run(statement, SCHEMA_S)
        cluster.wait("every node has the tables", known)
        cluster.wait(
            "every node reaches all others",
            lambda: all(reaches_all(cluster, name) for name in names),
        )

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"cassandra-driver": version("cassandra-driver")}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: whom it has heard of, and what it keeps for others."""
        return Observer(cluster, node, timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives in answer to `SELECT currentTimestamp()`."""
        return Clock(cluster, node, timeout_s).read

    def converged(self, cluster: Cluster) -> bool:
        """Every node reaches all others, and none keeps hints for another."""
        names = [node.name for node in cluster.nodes]
        return all(reaches_all(cluster, name) for name in names) and not any(
            keeps_hints(cluster, name) for name in names
        )


SYSTEM = Cassandra()
