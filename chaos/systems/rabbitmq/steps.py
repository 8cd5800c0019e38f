"""What an operator does to RabbitMQ nodes. There is no `promote`: quorum queues and streams elect
their leaders, and a classic queue is on one node.

`rabbitmqctl` and its like each start an Erlang of their own, which takes a second or two; the
management API knows all but how to forget a node.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from chaos.errors import ClusterError
from chaos.systems._common import operator_step
from chaos.systems.base import Cluster, Step
from chaos.systems.rabbitmq.admin import FAILURES, NODES, SLOW_S, ask, whole
from chaos.systems.rabbitmq.conf import rabbit

JOIN_S = 60.0
FORGET_S = 30.0


def _apart(cluster: Cluster, node: str) -> bool:
    """Whether the node says that it has gone on without some of the others."""
    try:
        known = ask(cluster, node, NODES)
    except FAILURES:
        return False
    return any(one.get("partitions") for one in known if one["name"] == rabbit(node))


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down. One that went on without the others is started anew: what it
    knows of the cluster it takes from them then."""
    if _apart(cluster, node):
        cluster.stop(node)
    cluster.start(node)
    joined = functools.partial(whole, cluster, node)
    cluster.wait(f"{node} is one of the cluster's nodes", joined, JOIN_S)


def _grow(cluster: Cluster, node: str) -> None:
    """Make `node` a member of every quorum queue."""
    ask(
        cluster,
        node,
        f"/api/queues/quorum/replicas/on/{rabbit(node)}/grow",
        {"strategy": "all", "vhost_pattern": ".*", "queue_pattern": ".*"},
        SLOW_S,
    )


def forget(cluster: Cluster, node: str) -> None:
    """Have another node take `node`, which is down, for one that will not come back: the classic
    queues that it had are gone with it, and quorum queues go on without it."""
    for other in cluster.nodes:
        if other.name == node:
            continue
        try:
            known = ask(cluster, other.name, NODES)
        except FAILURES:
            continue
        # Killed once more before it was one of them again, it is forgotten already.
        if any(one["name"] == rabbit(node) for one in known):
            command = ["rabbitmqctl", "forget_cluster_node", rabbit(node)]
            cluster.execute(other.name, command, deadline_s=FORGET_S)
        return
    raise ClusterError(f"{node} cannot be forgotten: no other node answers")


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this node if it is down, or anew if it has gone on without the others "
        "(partition handling `ignore`), and wait until it is one of them",
        run=operator_step(_rejoin, FAILURES),
    ),
    "grow": Step(
        about="make this node a member of every quorum queue, as one must be that lost its data",
        run=operator_step(_grow, FAILURES),
    ),
}
