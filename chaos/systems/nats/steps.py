"""What a person on call does to NATS, and when its servers agree again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nats.errors import Error

from chaos.errors import ClusterError
from chaos.systems._common import operator_step
from chaos.systems.base import Cluster, Step
from chaos.systems.nats.conf import replicas
from chaos.systems.nats.monitor import (
    FAILURES,
    JSZ,
    Monitor,
    Seen,
    held,
    in_use,
    meta_leader,
    streams,
)
from chaos.systems.nats.streams import BUCKET_STREAM, WORKERS, lead
from chaos.systems.nats.wire import Line

ADMIN_TIMEOUT_S = 2.0
BROKEN = (*FAILURES, Error)


def _monitor(cluster: Cluster, node: str) -> Monitor:
    return Monitor(cluster.address(node, "monitor"), ADMIN_TIMEOUT_S)


def asked(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """What each server says of itself: node → /jsz. Raises what it is that one does not answer."""
    answers = {}
    for node in cluster.nodes:
        answers[node.name] = _monitor(cluster, node.name).get(JSZ)
    return answers


def led(answers: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether all servers name the same leader of the meta group; one that is alone has none."""
    if len(answers) == 1:
        return True
    leaders = {meta_leader(jsz) for jsz in answers.values()}
    return len(leaders) == 1 and "" not in leaders


def converged(cluster: Cluster) -> bool:
    """All servers name the same leaders, and who holds a stream has the last message that its
    leader had when asked; a queue's consumer has a leader."""
    count = replicas(cluster.settings)
    before = held(asked(cluster), count)
    answers = asked(cluster)
    after = held(answers, count)
    return (
        led(answers)
        and BUCKET_STREAM in after
        and all(_agreed(before.get(name, {}), seen, count) for name, seen in after.items())
    )


def _agreed(before: Mapping[str, Seen], copies: Mapping[str, Seen], count: int) -> bool:
    leaders = {seen.leader for seen in copies.values()}
    leader = next(iter(leaders))
    if len(leaders) > 1 or leader not in copies or leader not in before or len(copies) != count:
        return False
    workers = copies[leader].workers
    if workers is not None and count > 1 and not (workers.get("cluster") or {}).get("leader"):
        return False
    caught_up = all(current for current, _ in copies[leader].peers.values())
    return caught_up and all(seen.last >= before[leader].last for seen in copies.values())


def _promote(cluster: Cluster, node: str) -> None:
    """Have the leaders of all streams in use step down until chance makes `node` lead them."""
    count = replicas(cluster.settings)
    if count == 1:
        raise ClusterError(
            f"{node} cannot be promoted: a stream of one replica stays where it is",
            fix="set `replicas: 3` in the topology's settings",
        )
    used = in_use(streams(_monitor(cluster, node).get(JSZ), count))
    line = Line(cluster.address(node, "db"), ADMIN_TIMEOUT_S)
    try:
        for seen in used:
            consumers = [None] if seen.workers is None else [None, WORKERS]
            for consumer in consumers:
                if not lead(line, seen.name, node, consumer):
                    raise ClusterError(f"{node} does not lead {seen.name} after many elections")
    finally:
        line.close()

    def knows() -> bool:
        seen = streams(_monitor(cluster, node).get(JSZ), count)
        return all(stream.leader == node for stream in in_use(seen))

    cluster.wait(f"{node} says that it leads", knows)


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down; raft brings its streams up to date by itself."""
    cluster.start(node)

    def following() -> bool:
        jsz = _monitor(cluster, node).get(JSZ)
        known = bool(meta_leader(jsz)) or len(cluster.nodes) == 1
        return known and all(seen.leader for seen in streams(jsz, replicas(cluster.settings)))

    cluster.wait(f"{node} knows who leads", following)


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="have the leaders of all streams in use step down until this node leads them",
        run=operator_step(_promote, BROKEN),
    ),
    "rejoin": Step(
        about="start this node if it is down; raft does the rest",
        run=operator_step(_rejoin, BROKEN),
    ),
}
