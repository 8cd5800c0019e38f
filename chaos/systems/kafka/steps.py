"""What an operator does to Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import ElectionType, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from chaos.errors import ClusterError
from chaos.systems._common import operator_step
from chaos.systems.base import Cluster, Reachable, Step
from chaos.systems.kafka.conf import number
from chaos.systems.kafka.driver import error_of
from chaos.systems.kafka.observer import whole
from chaos.systems.kafka.wire import Line, Metadata, Partition

ADMIN_S = 5.0
FAILURES = (OSError, ValueError, KafkaException)


def known(cluster: Reachable, node: str, timeout_s: float = 2.0) -> Metadata:
    """What `node` knows. OSError, or ValueError."""
    line = Line(cluster.address(node, "db"), timeout_s)
    try:
        return line.metadata()
    finally:
        line.close()


def converged(cluster: Reachable) -> bool:
    """Whether all nodes know one cluster, with every copy in sync."""
    return whole([known(cluster, node.name) for node in cluster.nodes])


def _number(cluster: Cluster, node: str) -> int:
    return number(node, [other.name for other in cluster.nodes])


def _elect(cluster: Cluster, kind: ElectionType, logs: Sequence[str]) -> None:
    """Hold elections for these logs; that one is not needed is no error."""
    servers = ",".join(
        f"{host}:{port}" for host, port in (cluster.address(n.name, "db") for n in cluster.nodes)
    )
    # confluent-kafka 2.16 takes no time-outs here, whatever it says: one is the connection's.
    limit_ms = int(ADMIN_S * 1000)
    admin = AdminClient(
        {"bootstrap.servers": servers, "log_level": 0, "socket.timeout.ms": limit_ms}
    )
    future = admin.elect_leaders(kind, [TopicPartition(log, 0) for log in logs])
    for partition, error in future.result(2 * ADMIN_S).items():
        if error is not None and error_of(error).code() != KafkaError.ELECTION_NOT_NEEDED:
            raise ClusterError(
                f"electing a leader of {partition.topic} failed: {error_of(error).str()}"
            )


def _leads(cluster: Cluster, node: str, logs: Sequence[str]) -> bool:
    own = _number(cluster, node)
    led = {p.log for p in known(cluster, node).partitions if p.leader == own}
    return set(logs) <= led


def _logs(cluster: Cluster, node: str) -> tuple[Partition, ...]:
    return known(cluster, node).partitions


def _elect_preferred(cluster: Cluster, node: str) -> None:
    """Give `node` the logs back that prefer it as their leader."""
    own = _number(cluster, node)
    logs = [p.log for p in _logs(cluster, node) if p.copies[0] == own]
    if logs:
        _elect(cluster, ElectionType.PREFERRED, logs)
        cluster.wait(f"{node} leads {', '.join(logs)}", lambda: _leads(cluster, node, logs))


def _elect_unclean(cluster: Cluster, node: str) -> None:
    """Have a copy lead that is not in sync, in every log without a leader that `node` has a copy
    of; what it lacks is gone."""
    own = _number(cluster, node)
    logs = [p.log for p in _logs(cluster, node) if p.leader < 0 and own in p.copies]
    if not logs:
        raise ClusterError(
            f"no log that {node} has a copy of is without a leader, as far as it knows",
            fix="an unclean election is for logs that nobody leads",
        )
    _elect(cluster, ElectionType.UNCLEAN, logs)


def _promote(cluster: Cluster, node: str) -> None:
    """Make `node` the preferred leader of every log that it has a copy of, and have it lead."""
    own = _number(cluster, node)
    mine = [p for p in _logs(cluster, node) if own in p.copies]
    line = Line(cluster.address(node, "db"), ADMIN_S)
    try:
        for partition in mine:
            others = [copy for copy in partition.copies if copy != own]
            line.reassign(partition.log, [own, *others])
    finally:
        line.close()

    def preferred() -> bool:
        return all(p.copies[0] == own for p in _logs(cluster, node) if own in p.copies)

    cluster.wait(f"every log prefers {node}", preferred)
    _elect_preferred(cluster, node)


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down; it drops what the present leaders do not have, and copies what
    it lacks."""
    cluster.start(node)
    own = _number(cluster, node)

    def in_sync() -> bool:
        here = known(cluster, node)
        return own in here.brokers and all(
            own in partition.in_sync for partition in here.partitions if own in partition.copies
        )

    cluster.wait(f"{node} is in sync", in_sync, 60.0)


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this node if it is down, and wait until its copies are in sync",
        run=operator_step(_rejoin, FAILURES),
    ),
    "promote": Step(
        about="make this node the preferred leader of all logs it has a copy of, and have it lead "
        "them (kafka-reassign-partitions, kafka-leader-election)",
        run=operator_step(_promote, FAILURES),
    ),
    "elect-preferred": Step(
        about="give this node the logs back that prefer it as their leader",
        run=operator_step(_elect_preferred, FAILURES),
    ),
    "elect-unclean": Step(
        about="have a copy that is not in sync lead those logs of this node that nobody leads; "
        "what it lacks is gone",
        run=operator_step(_elect_unclean, FAILURES),
    ),
}
