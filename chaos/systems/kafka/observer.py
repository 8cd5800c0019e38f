"""What a Kafka broker says about itself, and what all of them say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.systems._common import silence
from chaos.systems.base import Observation, Reachable
from chaos.systems.kafka.conf import number
from chaos.systems.kafka.driver import GROUP
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
            own = [p.log for p in known.partitions if self._number in p.copies]
            ends = self._broker.ends(own) if own else {}
            places = self._broker.places(GROUP) if own else {}
        except (OSError, ValueError) as error:
            return silence(error, ValueError)
        said = []
        try:
            epoch = self._controller.controls()
            said += [] if epoch is None else [f"controller in epoch {epoch}"]
        except (OSError, ValueError) as error:
            said += [f"its controller is silent: {error}"]
        if places:
            at = ", ".join(f"{log} {place}" for log, place in sorted(places.items()))
            said += [f"the group is at {at}"]
        return observed(self._number, self._names, known, ends, said)


def observed(
    own: int,
    names: Mapping[int, str],
    known: Metadata,
    ends: Mapping[str, int],
    said: Sequence[str] = (),
) -> Observation:
    """The role of broker `own` as it knows it: what it leads, in which epoch it began the last of
    these, who is in sync, and where its copies end. `said`: what else belongs into the note."""
    if not known.partitions:
        return Observation(role="member", note="; ".join(said) or None)
    has = sorted((p for p in known.partitions if own in p.copies), key=lambda p: p.log)
    led = [partition for partition in has if partition.leader == own]
    told = led or has
    return Observation(
        role="primary" if led else "replica",
        shard=",".join(partition.log for partition in told) or None,
        term=max((partition.epoch for partition in led), default=None),
        note="; ".join([*said, *(_copy(partition, names, ends) for partition in told)]) or None,
    )


def _copy(partition: Partition, names: Mapping[int, str], ends: Mapping[str, int]) -> str:
    """ "k0 ends at 12, in sync: n1 n2"."""
    end = f" ends at {ends[partition.log]}," if partition.log in ends else ""
    in_sync = " ".join(names.get(each, str(each)) for each in sorted(partition.in_sync))
    return f"{partition.log}{end} in sync: {in_sync or 'nobody'}"


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
