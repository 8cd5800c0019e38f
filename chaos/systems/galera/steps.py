"""What an operator does to Galera nodes. There is no `promote`: every node takes writes already."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping

from chaos.errors import ClusterError
from chaos.systems._common import operator_step
from chaos.systems.base import Cluster, Reachable, Step
from chaos.systems.galera.conf import ARBITRATOR, BOOTSTRAP, POSITION, data_nodes
from chaos.systems.galera.observer import AT_ONCE, observation, status
from chaos.systems.mariadb.wire import FAILURES, OPERATOR, Session

ADMIN_TIMEOUT_S = 3.0
JOIN_S = 60.0


def asked(cluster: Reachable, node: str) -> dict[str, str]:
    """What a data node says of its place in the cluster; the driver's errors (`FAILURES`)."""
    with contextlib.closing(
        Session(cluster.address(node, "db"), ADMIN_TIMEOUT_S, OPERATOR, "")
    ) as session:
        session.run(AT_ONCE)
        return status(session)


def in_sync(cluster: Reachable, node: str) -> bool:
    """Whether a data node is in the primary component and takes writes, as it says now."""
    return observation(asked(cluster, node)).role == "member"


def members(cluster: Reachable) -> list[str]:
    """The data nodes that answer and take writes."""
    found = []
    for node in data_nodes(cluster.nodes):
        with contextlib.suppress(*FAILURES):
            if in_sync(cluster, node.name):
                found.append(node.name)
    return found


def _is_arbitrator(cluster: Reachable, node: str) -> bool:
    return any(n.name == node and n.role == ARBITRATOR for n in cluster.nodes)


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down, and wait until it is in sync; Galera brings it up to date."""
    cluster.start(node)
    if not _is_arbitrator(cluster, node):
        cluster.wait(f"{node} is in sync", lambda: in_sync(cluster, node), JOIN_S)


def _bootstrap(cluster: Cluster, node: str) -> None:
    """Make `node` the first of a new primary component, as galera_new_cluster does; the others
    are started again and join it. For when all are down or none is in a primary component, and
    they do not find together by themselves. It must be the one that is furthest.
    """
    if _is_arbitrator(cluster, node):
        raise ClusterError(f"{node} has no data to begin a cluster with", fix="name a data node")
    if others := members(cluster):
        raise ClusterError(
            f"{', '.join(others)} are in a primary component: a second one would be a split brain",
            fix="`rejoin` the node",
        )
    for one in data_nodes(cluster.nodes):
        cluster.start(one.name)
    furthest = {one.name: _position(cluster, one.name) for one in data_nodes(cluster.nodes)}
    ahead = [name for name, at in furthest.items() if at > furthest[node]]
    if ahead:
        raise ClusterError(
            f"{node} has recovered up to {furthest[node]}, {ahead[0]} up to {furthest[ahead[0]]}",
            fix=f"bootstrap {ahead[0]}, or its commits are lost",
        )
    cluster.execute(node, ["touch", BOOTSTRAP])
    order = [node, *(one.name for one in cluster.nodes if one.name != node)]
    for name in order:  # all at first: who has waited for long is about to give up
        cluster.stop(name)
    for name in order:
        cluster.start(name)
    for one in data_nodes(cluster.nodes):
        synced = functools.partial(in_sync, cluster, one.name)
        cluster.wait(f"{one.name} is in sync", synced, JOIN_S)


def _position(cluster: Cluster, node: str) -> int:
    """The last writeset that the node has: as it says, or if it takes no connection yet, as it
    found when it was started; -1: none."""
    with contextlib.suppress(*FAILURES):
        return int(asked(cluster, node)["wsrep_last_committed"])
    found: list[str] = []

    def said() -> bool:
        found[:] = cluster.execute(node, ["cat", POSITION]).split()
        return bool(found)

    cluster.wait(f"{node} has recovered its position", said)
    return int(found[0].rpartition(":")[2])


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this node if it is down and wait until it is in sync: Galera sends it what it "
        "missed, or a whole copy",
        run=operator_step(_rejoin, FAILURES),
    ),
    "bootstrap": Step(
        about="begin a new primary component with this node, and have the others join; refused "
        "while there is one, and where another node is further",
        run=operator_step(_bootstrap, FAILURES),
    ),
}
