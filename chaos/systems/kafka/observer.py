"""What a Kafka broker says about itself, and what all of them say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.systems.base import Observation, Reachable
from chaos.systems.kafka.conf import number
from chaos.systems.kafka.wire import Line, Metadata, Partition


class Observer:
    """Asks one node who leads what, and whether it is the controller."""

    def __init__(self, cluster: Reachable, node: str, timeout_s: float) -> None:
        names = [other.name for other in cluster.nodes]
        self._number = number(node, names)
        self._names = dict(enumerate(names, 1))
        self._broker = Line(cluster.address(node, "db"), timeout_s)
        self._controller = Line(cluster.address(node, "controller"), timeout_s)

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            known = self._broker.metadata()
        except (OSError, ValueError) as error:
            return self._silent(error)
        try:
            epoch = self._controller.controls()
            controls = "" if epoch is None else f"controller in epoch {epoch}"
        except (OSError, ValueError) as error:
            controls = f"its controller is silent: {error}"
        return observed(self._number, self._names, known, controls)

    def _silent(self, error: Exception) -> Observation:
        silent = isinstance(error, (TimeoutError, ValueError))
        return Observation(role="unknown" if silent else "down", note=str(error))


def observed(
    own: int, names: Mapping[int, str], known: Metadata, controls: str = ""
) -> Observation:
    """The role of broker `own` as it knows it: what it leads, in which epoch it began the last of
    these, and who is in sync with it."""
    if not known.partitions:
        return Observation(role="member", note=controls or None)
    led = [partition for partition in known.partitions if partition.leader == own]
    said = [*filter(None, [controls]), *(in_sync(partition, names) for partition in led)]
    note = "; ".join(said) or None
    if not led:
        follows = [partition.log for partition in known.partitions if own in partition.in_sync]
        shard = ",".join(sorted(p.log for p in known.partitions if own in p.copies))
        lags = f"in sync: {', '.join(follows) or 'nothing'}"
        return Observation(role="replica", shard=shard or None, note="; ".join([*said, lags]))
    return Observation(
        role="primary",
        shard=",".join(sorted(partition.log for partition in led)),
        term=max(partition.epoch for partition in led),
        note=note,
    )


def in_sync(partition: Partition, names: Mapping[int, str]) -> str:
    """ "k0 in sync: n1 n2"."""
    return f"{partition.log} in sync: " + " ".join(
        names.get(each, str(each)) for each in sorted(partition.in_sync)
    )


def whole(views: Sequence[Metadata]) -> bool:
    """Whether all brokers know all brokers, and say that every log has one and the same leader and
    all of its copies in sync."""
    if any(len(view.brokers) != len(views) for view in views):
        return False
    logs = [frozenset((p.log, p.leader, p.epoch) for p in view.partitions) for view in views]
    return len(set(logs)) == 1 and all(
        partition.leader > 0 and set(partition.in_sync) == set(partition.copies)
        for view in views
        for partition in view.partitions
    )
