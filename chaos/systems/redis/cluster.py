"""Redis Cluster, or Valkey's: slots over shards, each a primary with replicas.

Primaries watch each other over a bus. A majority of them calls a silent one down, and lets one of
its replicas take its slots in a new epoch; a primary that hears no majority takes no more writes
after `cluster-node-timeout`. What it acknowledged until then, and no replica has, is lost
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Write safety").

Every node starts with the whole nodes.conf, so that nobody has to meet anybody. A primary still
waits two seconds before it takes writes (cluster_legacy.c: CLUSTER_WRITABLE_DELAY).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import address_of
from chaos.systems.base import Cluster, ContainerSpec, Node
from chaos.systems.redis.conf import server
from chaos.systems.redis.map import Known, myself, nodes_of, own_shard
from chaos.systems.redis.mode import leads, say
from chaos.systems.redis.observer import ClusterObserver
from chaos.systems.redis.slots import cluster_problems
from chaos.systems.redis.wire import lines

ELECTED_S = 5.0  # a majority that can be reached has long answered by then


class Sharded:
    """See `chaos.systems.redis.mode.Mode`."""

    elects = True
    observer = ClusterObserver

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Three primaries at least; nobody chooses them."""
        return cluster_problems(nodes, settings)

    def containers(
        self, flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """The server, which speaks with the others by itself."""
        return [server(flavour, node, nodes, settings)]

    def form(self, cluster: Cluster) -> None:
        """Wait until every node takes the cluster for whole, and every replica has synchronized."""
        cluster.wait("every node sees the whole cluster", lambda: self.converged(cluster))

    def converged(self, cluster: Cluster) -> bool:
        """All nodes draw one map, with nobody down; every replica is linked to its primary and has
        what that had when asked."""
        offsets = {n.address: say(cluster, n.name, "ROLE") for n in cluster.nodes}
        maps = [_known(cluster, n.name) for n in cluster.nodes]
        if len({_drawn(nodes) for nodes in maps}) != 1:
            return False
        if any({"fail?", "fail", "handshake"} & node.flags for nodes in maps for node in nodes):
            return False
        for node in cluster.nodes:
            if lines(say(cluster, node.name, "CLUSTER", "INFO"))["cluster_state"] != "ok":
                return False
            role = say(cluster, node.name, "ROLE")
            if role[0] == b"master":
                continue
            before = offsets[role[1].decode()]
            if before[0] != b"master" or role[3] != b"connected" or role[4] < before[1]:
                return False
        return True

    def promote(self, cluster: Cluster, node: str) -> None:
        """Let `node` take the slots of its primary: in agreement with it where it is linked to it
        (nothing is lost), else by an election (FORCE), else alone (TAKEOVER)."""
        if leads(cluster, node):
            return
        linked = say(cluster, node, "ROLE")[3] == b"connected"
        for how in ([], ["FORCE"], ["TAKEOVER"])[0 if linked else 1 :]:
            say(cluster, node, "CLUSTER", "FAILOVER", *how)
            try:
                cluster.wait(f"{node} is primary", lambda: leads(cluster, node), ELECTED_S)
                return
            except ClusterError:
                if how == ["TAKEOVER"]:
                    raise

    def rejoin(self, cluster: Cluster, node: str) -> None:
        """Start `node` if it is down; the others tell it who has its slots now, and it follows."""
        cluster.start(node)
        own = address_of(cluster, node)

        def back() -> bool:
            seen = _known(cluster, node)
            shard = own_shard(seen)
            other = next(n.name for n in cluster.nodes if n.address not in (own, shard.address))
            agreed = _drawn(seen) == _drawn(_known(cluster, other))
            follows = "master" in myself(seen).flags or (
                say(cluster, node, "ROLE")[3] == b"connected"
            )
            return agreed and follows

        cluster.wait(f"{node} is linked to its shard", back)


def _known(cluster: Cluster, node: str) -> list[Known]:
    return nodes_of(say(cluster, node, "CLUSTER", "NODES"))


def _drawn(nodes: Sequence[Known]) -> frozenset[tuple[str, str, str, int]]:
    """The map, without who drew it."""
    return frozenset((n.id, n.primary, n.slots, n.epoch) for n in nodes)
