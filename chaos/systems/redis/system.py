"""Redis 8, and Valkey 8: one primary with replicas, failed over by an operator or by Sentinel, or
shards of such in a cluster.

In every mode replication is asynchronous: a primary acknowledges before any replica has the write.
The modes differ in who decides that a primary is gone, and what it may still acknowledge until it
knows (`redis/replication.py`, `redis/sentinel.py`, `redis/cluster.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import redis

from chaos.systems._common import operator_step, option_problems
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
    Step,
)
from chaos.systems.redis.client import ERRORS
from chaos.systems.redis.clients import CLIENTS, OPTIONS, refusals
from chaos.systems.redis.cluster import Sharded
from chaos.systems.redis.conf import PORTS, SETTINGS, mode_of, replicas_of, setting_problems
from chaos.systems.redis.mode import FAILURES, Mode
from chaos.systems.redis.replication import Replication
from chaos.systems.redis.sentinel import Sentinel

MODES: Mapping[str, Mode] = {
    "replication": Replication(),
    "sentinel": Sentinel(),
    "cluster": Sharded(),
}


def _mode(settings: Mapping[str, Any]) -> Mode:
    return MODES[mode_of(settings)]


def _promote(cluster: Cluster, node: str) -> None:
    _mode(cluster.settings).promote(cluster, node)


def _rejoin(cluster: Cluster, node: str) -> None:
    _mode(cluster.settings).rejoin(cluster, node)


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="make this node primary: REPLICAOF NO ONE, and the others follow it · through its own"
        " Sentinel · CLUSTER FAILOVER",
        run=operator_step(_promote, FAILURES),
    ),
    "rejoin": Step(
        about="start this node if it is down, and make it a replica of the present primary",
        run=operator_step(_rejoin, FAILURES),
    ),
}


class Redis:
    """A server that speaks as Redis does; its image has `NAME-server` and `NAME-sentinel`."""

    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = {"db": b"PING\r\n", "sentinel": b"PING\r\n"}
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=b"PING\r\n", served=b"+PONG")}
    elects = True  # unless `mode: replication`: see elects_with
    workloads = frozenset(CLIENTS)
    rules = SETTINGS
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.about = about
        self.images: Sequence[str] = (name,)

    def elects_with(self, settings: Mapping[str, Any]) -> bool:
        """Whether another node takes over by itself, in the mode of these settings."""
        return _mode(settings).elects

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes:
        """A question whether a long key is there (a Sentinel says that it does not know it, and a
        node of a cluster who has its slot), and a long echo."""
        return b"".join(
            b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(verb), verb, size, bytes(size))
            for verb, size in ((b"EXISTS", request_bytes), (b"PING", answer_bytes))
            if size
        )

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def refusals(
        self,
        workload: str,
        options: Mapping[str, Any],
        nodes: Sequence[Node],
        settings: Mapping[str, Any],
    ) -> Iterable[str]:
        """What cannot be done in the mode of these settings, a sentence each."""
        return refusals(workload, options, nodes, settings)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        wrong = list(setting_problems(settings))
        if not any(sentence.startswith("settings.mode") for sentence in wrong):
            wrong += _mode(settings).check(nodes, settings)
        yield from wrong
        if wrong:
            return
        needed = int(settings.get("min-replicas-to-write", 0))
        if needed > (replicas := replicas_of(nodes, settings)):
            yield (
                f"settings.min-replicas-to-write: {needed} replicas can never be connected where a "
                f"primary has {replicas}, so that no write would ever be taken"
            )

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """The server, and with Sentinel one of these beside it."""
        return _mode(settings).containers(self.name, node, nodes, settings)

    def form(self, cluster: Cluster) -> None:
        """Wait until it is what its configuration says."""
        _mode(cluster.settings).form(cluster)

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"redis-py": redis.__version__}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: its role, how far behind it is, its epoch where there are such."""
        return _mode(cluster.settings).observer(cluster, node, timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives in answer to `TIME`."""
        return _mode(cluster.settings).observer(cluster, node, timeout_s).clock

    def converged(self, cluster: Cluster) -> bool:
        """Whether all nodes agree who leads, and the others have what the leaders had."""
        return _mode(cluster.settings).converged(cluster)


SYSTEM = Redis("redis", "Redis 8: a primary with replicas, alone or with Sentinel, or a cluster")
