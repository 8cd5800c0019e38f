"""Kafka 4: logs kept in copies by brokers, whose controllers agree by raft (KRaft).

A log has one leader, whom the controller chose; the others fetch from it. Those that keep up are in
sync, and a message is committed when all of these have it. With `acks: all` a send waits for that,
with 1 only for the leader. Brokers do not sync to disk before they acknowledge, unless told to:
copies are what is relied on (https://kafka.apache.org/40/documentation.html#replication). How few
may be in sync is what `min.insync.replicas` says, and whether one that is not may lead when no
other can, `unclean.leader.election.enable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import confluent_kafka

from chaos.systems._common import (
    TRUE_FALSE,
    Setting,
    equals_problems,
    is_on,
    option_problems,
    problems,
)
from chaos.systems.base import (
    Address,
    Client,
    ClientSpec,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    Observation,
    Reachable,
)
from chaos.systems.kafka.client import CLIENTS, ERRORS, LOG_OPERATIONS
from chaos.systems.kafka.conf import (
    PORTS,
    SETTINGS,
    advertised,
    container,
    setting_problems,
    zone_port,
)
from chaos.systems.kafka.observer import Observer
from chaos.systems.kafka.steps import STEPS, converged
from chaos.systems.kafka.wire import CORRELATION, GREETING, Line, long_question

FORMED_S = 60.0
ADMIN_TIMEOUT_S = 2.0
OPTIONS = {
    "acks": Setting(
        about="whose acknowledgement a send waits for: all (default) that are in sync, 1: the "
        "leader's, 0: nobody's; transactions always wait for all",
        values="all|1|0",
    ),
    "idempotence": Setting(
        about="true: librdkafka sends again what got no answer, and brokers keep it once; default "
        "false; needs `acks: all`",
        values=TRUE_FALSE,
    ),
    "isolation": Setting(
        about="read_committed (default): polls wait for the end of transactions and leave out what "
        "was aborted; read_uncommitted: they show all that is committed to the log",
        values="read_committed|read_uncommitted",
    ),
    "commit": Setting(
        about="of a group's member. after (default): the group goes on behind what a poll has "
        "shown, once that is over; before: a poll has that confirmed first, and shows nothing "
        "if it is not",
        values="after|before",
    ),
}


class Kafka:
    """Kafka 4.0. It has no queues: groups deal out whole logs, not messages (share groups, KIP-932,
    are a preview in 4.0). Nobody can be asked what a broker's clock says."""

    name = "kafka"
    about = "Kafka 4.0 (KRaft): logs in copies, as safe as acks, min.insync and elections let them"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = dict.fromkeys(PORTS, GREETING)
    handshakes: Mapping[str, Handshake] = {
        "db": Handshake(say=GREETING, served=CORRELATION, after=4)
    }
    images: Sequence[str] = ("kafka",)
    elects = True
    workloads = frozenset(CLIENTS)
    log_operations = LOG_OPERATIONS
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        wrong = list(option_problems(options, OPTIONS, workload))
        yield from wrong
        weak = str(options.get("acks", "all")) != "all"
        if not wrong and weak and is_on(options, "idempotence"):
            yield "client.idempotence: needs `acks: all`"

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from equals_problems(
            nodes,
            "every node is broker and controller, and the controllers choose who leads; leave the "
            "role out",
        )
        wrong = list(problems(settings, SETTINGS))
        yield from wrong
        if nodes and not wrong:
            yield from setting_problems(settings, len(nodes))

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One broker; a broker that lost its data starts as it started first, and copies all."""
        return [container(node, nodes, settings)]

    def zone_port(self, port: str, place: int) -> int:
        """Clients of each zone have a port of their own."""
        return zone_port(port, place)

    def advertise(
        self, specs: Sequence[ContainerSpec], links: Mapping[str, Address]
    ) -> Sequence[ContainerSpec]:
        """The broker tells each zone the addresses of that zone's links."""
        return [advertised(spec, links) for spec in specs]

    def form(self, cluster: Cluster) -> None:
        """Wait until one controller is there, every broker knows all brokers, and groups and
        transactions have coordinators."""

        def formed() -> bool:
            return converged(cluster) and len(_controllers(cluster)) == 1

        cluster.wait("every broker knows all brokers", formed, FORMED_S)
        cluster.wait("there are coordinators", lambda: _coordinated(cluster), FORMED_S)

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version, and that of the library inside it."""
        return {
            "confluent-kafka": version("confluent-kafka"),
            "librdkafka": confluent_kafka.libversion()[0],
        }

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """One request as long as its answer has to be; a controller knows no such."""
        if port == "controller":
            return None
        return long_question(max(request_bytes, answer_bytes))

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: which logs it leads, who is in sync, whether it is the controller."""
        return Observer(cluster, node, timeout_s).observe

    def converged(self, cluster: Cluster) -> bool:
        """All nodes know one cluster, with the same leaders, and every copy is in sync."""
        return converged(cluster)


def _coordinated(cluster: Cluster) -> bool:
    """Whether there are coordinators of groups and of transactions; the first time it is asked,
    they are made."""
    line = Line(cluster.address(cluster.nodes[0].name, "db"), ADMIN_TIMEOUT_S)
    try:
        groups, transactions = line.coordinates(0), line.coordinates(1)
        return groups and transactions
    finally:
        line.close()


def _controllers(cluster: Cluster) -> list[str]:
    """The nodes that say that they are the controller."""
    found = []
    for node in cluster.nodes:
        line = Line(cluster.address(node.name, "controller"), ADMIN_TIMEOUT_S)
        try:
            if line.controls() is not None:
                found.append(node.name)
        finally:
            line.close()
    return found


SYSTEM = Kafka()
