"""Redis or Valkey with replicas and nobody who would fail over: an operator does, and decides when.

A primary that is cut off or restarted stays primary until it is told otherwise; one that restarts
without persistence comes back empty, and its replicas copy that
(https://redis.io/docs/latest/operate/oss_and_stack/management/replication/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from redis.exceptions import ConnectionError

from chaos.errors import ClusterError
from chaos.systems._common import address_of, role_problems
from chaos.systems.base import Cluster, ContainerSpec, Node
from chaos.systems.redis.conf import server
from chaos.systems.redis.mode import follow, follow_one, leads, say
from chaos.systems.redis.observer import Observer


class Replication:
    """See `chaos.systems.redis.mode.Mode`."""

    elects = False
    observer = Observer

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """One primary at most."""
        return role_problems(nodes)

    def containers(
        self, flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """The server alone."""
        return [server(flavour, node, nodes, settings)]

    def form(self, cluster: Cluster) -> None:
        """Wait until every replica has synchronized."""
        cluster.wait("every replica has synchronized", lambda: self.converged(cluster))

    def converged(self, cluster: Cluster) -> bool:
        """One primary; every other node is linked to it and has its data."""
        return follow_one(cluster) is not None

    def promote(self, cluster: Cluster, node: str) -> None:
        """Make `node` primary and let the other replicas follow it.

        The old primary is not touched: who cannot reach it cannot tell it, and if it is only cut
        off, it goes on taking writes.
        """
        own = address_of(cluster, node)

        def alone() -> bool:
            say(cluster, node, "REPLICAOF", "NO", "ONE")
            say(cluster, node, "CONFIG", "REWRITE")
            return leads(cluster, node)

        cluster.wait(f"{node} is primary", alone)
        for other in cluster.nodes:
            if other.name != node:
                cluster.wait(f"{other.name} knows", partial(_told, cluster, other.name, own))

    def rejoin(self, cluster: Cluster, node: str) -> None:
        """Start `node` if it is down, and make it a replica of the primary that is not it; what
        only it has is dropped. If there is no other primary, it is the primary that it was."""
        cluster.start(node)
        others: list[Node] = []

        def known() -> bool:
            others[:] = [n for n in cluster.nodes if n.name != node and _leads(cluster, n.name)]
            return bool(say(cluster, node, "ROLE"))

        cluster.wait(f"every node that runs has said who is primary, {node} too", known)
        if not others and leads(cluster, node):
            return
        if len(others) != 1:
            named = " and ".join(n.name for n in others) or "no other node"
            raise ClusterError(f"{node} cannot follow: {named} says it is primary")
        [primary] = others
        cluster.wait(
            f"{node} follows {primary.name}", lambda: follow(cluster, node, primary.address)
        )


def _leads(cluster: Cluster, node: str) -> bool:
    """Whether `node` says that it is a primary; no, if nothing runs there."""
    try:
        return leads(cluster, node)
    except ConnectionError:
        return False


def _told(cluster: Cluster, node: str, primary: str) -> bool:
    """Whether `node` is down, a primary itself, or a replica that was told whom to follow."""
    try:
        role = say(cluster, node, "ROLE")
        if role[0] == b"slave" and role[1].decode() != primary:
            follow(cluster, node, primary)
            return False
    except ConnectionError:
        pass
    return True
