"""NATS 2.10 with JetStream: streams that are raft groups, each with a leader of its own.

A message is acknowledged once a majority of a stream's replicas has it; not: on its disk. Files are
synced every two minutes unless `sync_interval` says otherwise
(https://docs.nats.io/running-a-nats-service/configuration#jetstream), so that a machine that loses
power loses what it had acknowledged, and several at once may lose what a majority had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from chaos.systems._common import FAILOVER, Setting, option_problems, pieces, problems
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
from chaos.systems.nats.client import ERRORS
from chaos.systems.nats.clients import CLIENTS
from chaos.systems.nats.conf import (
    DATA,
    PORTS,
    SETTINGS,
    container,
    node_problems,
    replicas,
)
from chaos.systems.nats.forming import Patience, behind, uncounted
from chaos.systems.nats.monitor import Observer
from chaos.systems.nats.steps import ADMIN_TIMEOUT_S, STEPS, asked, converged
from chaos.systems.nats.streams import make_bucket
from chaos.systems.nats.wire import Line

MESSAGE_BYTES_MAX = 1 << 16  # a server takes 1 MiB that was not told otherwise
COPY_BYTES, COPIES_MAX = 1000, 50  # of a message to ourselves
OPTIONS = {
    "reads": Setting(
        about="leader (default, as nats-py has it): answered by the stream's leader; direct (as "
        "the Go client has it): by any replica, however old",
        values="leader|direct",
        workloads=frozenset({"register", "session", "counter"}),
    ),
    "failover": FAILOVER,
}


def _made(cluster: Cluster) -> bool:
    """Make the bucket, if it is not there."""
    names = [node.name for node in cluster.nodes]
    line = Line(cluster.address(names[0], "db"), ADMIN_TIMEOUT_S)
    try:
        return make_bucket(line, cluster.settings, names)
    finally:
        line.close()


def _sync(cluster: Cluster) -> None:
    """Sync all that is there, on all nodes at once."""
    command = ["sh", "-c", f"find {DATA} -exec sync {{}} +"]
    with ThreadPoolExecutor(len(cluster.nodes)) as pool:
        list(pool.map(lambda node: cluster.execute(node.name, command), cluster.nodes))


class NatsServer:
    """NATS 2.10. Its clients' greeting comes before its refusal where it has no place for one more
    connection, so that no limit of connections is among the settings."""

    name = "nats"
    about = "NATS 2.10 with JetStream: streams replicated by raft, synced every two minutes"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = {
        "db": b"PING\r\n",
        "monitor": b"GET /healthz HTTP/1.1\r\nHost: nats\r\n\r\n",
    }
    handshakes: Mapping[str, Handshake] = {
        "db": Handshake(say=b"CONNECT {}\r\nPING\r\n", served=b"INFO {"),
    }
    images: Sequence[str] = ("nats",)
    elects = True
    workloads = frozenset(CLIENTS)
    log_operations: frozenset[str] = frozenset()
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps: Mapping[str, Step] = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """Messages to nobody, and short messages to ourselves, of which we get so many copies that
        what comes does not wait for what is sent; none to a stream."""
        if port != "db":
            return None
        copies = min(COPIES_MAX, -(-answer_bytes // COPY_BYTES))
        subscribed = b"".join(b"SUB aftershock.back %d\r\n" % (sid + 1) for sid in range(copies))
        sent = _published(b"aftershock.bulk", request_bytes, MESSAGE_BYTES_MAX)
        back = _published(b"aftershock.back", -(-answer_bytes // max(copies, 1)), COPY_BYTES)
        return b"".join([b"CONNECT {}\r\n", subscribed, *sent, *back])

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from problems(settings, SETTINGS)
        yield from node_problems(nodes, settings)

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One server."""
        return [container(node, nodes, settings)]

    def form(self, cluster: Cluster) -> None:
        """Wait for a meta leader, make the bucket, and sync all that, as if it were as old as the
        streams of a cluster usually are: what is lost with power is then what clients wrote."""
        counted = Patience(cluster, lambda: uncounted(asked(cluster)))
        cluster.wait("one meta leader counts all servers", counted)
        cluster.wait("the bucket is there, led by the first node", lambda: _made(cluster))
        spread = Patience(cluster, lambda: behind(asked(cluster), cluster.settings))
        cluster.wait("every replica has what its leader has", spread)
        _sync(cluster)

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"nats-py": version("nats-py")}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says of the first stream in use, over its monitoring port."""
        return self._observer(cluster, node, timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` puts on what it says of itself."""
        return self._observer(cluster, node, timeout_s).clock

    def _observer(self, cluster: Reachable, node: str, timeout_s: float) -> Observer:
        count = replicas(cluster.settings)
        return Observer(node, count, cluster.address(node, "monitor"), timeout_s)

    def converged(self, cluster: Cluster) -> bool:
        """All servers name the same leaders, and replicas have what their leaders had."""
        return converged(cluster)


def _published(subject: bytes, size: int, longest: int) -> Iterable[bytes]:
    """Messages of so many bytes together."""
    for length in pieces(size, longest):
        yield b"PUB %b %d\r\n%b\r\n" % (subject, length, b"x" * length)


SYSTEM = NatsServer()
