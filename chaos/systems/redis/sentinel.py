"""Redis or Valkey with Sentinel: a Sentinel in every pod, whose majority fails over.

A primary that is cut off keeps acknowledging writes that the failover discards, unless
`min-replicas-to-write` makes it refuse; see
https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from chaos.errors import ClusterError
from chaos.systems._common import address_of, role_problems
from chaos.systems.base import Cluster, ContainerSpec, Node
from chaos.systems.redis.conf import MASTER_NAME, process, sentinel_conf, server
from chaos.systems.redis.mode import follow, follow_one, leads, say
from chaos.systems.redis.observer import SentinelObserver
from chaos.systems.redis.wire import fields


class Sentinel:
    """See `chaos.systems.redis.mode.Mode`."""

    elects = True
    observer = SentinelObserver

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """One primary at most."""
        return role_problems(nodes)

    def containers(
        self, flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """The server, and its Sentinel beside it."""
        conf = sentinel_conf(flavour, node, nodes, settings)
        return [
            server(flavour, node, nodes, settings),
            process(flavour, "sentinel", "sentinel", {"sentinel.conf": conf}),
        ]

    def form(self, cluster: Cluster) -> None:
        """Wait until every replica has synchronized and the Sentinels have a quorum."""
        cluster.wait("every replica has synchronized", lambda: self.converged(cluster))
        for node in cluster.nodes:
            cluster.wait(f"the Sentinel of {node.name} sees a quorum", _quorum(cluster, node.name))

    def converged(self, cluster: Cluster) -> bool:
        """One primary, named by every Sentinel; every replica is linked to it and has its data."""
        primary = follow_one(cluster)
        return primary is not None and all(
            _named_on(cluster, node.name) == address_of(cluster, primary) for node in cluster.nodes
        )

    def promote(self, cluster: Cluster, node: str) -> None:
        """Fail over to `node` through its own Sentinel, which needs no other's consent for that.

        Sentinel has no "fail over to this one": the node is given the best priority, and the
        Sentinel has to have seen that. It looks every ten seconds, and every half second while this
        step runs.
        """
        own = address_of(cluster, node)
        if _named_on(cluster, node) == own:
            return

        def seen() -> bool:
            replicas = _ask(cluster, node, "REPLICAS", MASTER_NAME)
            known = {r["ip"]: r["slave-priority"] for r in map(fields, replicas)}
            return _named_on(cluster, node) == own or known.get(own) == "1"

        say(cluster, node, "CONFIG", "SET", "replica-priority", 1)
        _ask(cluster, node, "DEBUG", "INFO-PERIOD", 500)
        try:
            cluster.wait(f"the Sentinel of {node} has seen its priority", seen)
            if _named_on(cluster, node) != own:
                _begin(cluster, node)
            cluster.wait(f"{node} is primary", lambda: leads(cluster, node))
        finally:
            _ask(cluster, node, "DEBUG", "INFO-PERIOD", 10_000)
            say(cluster, node, "CONFIG", "SET", "replica-priority", 100)

    def rejoin(self, cluster: Cluster, node: str) -> None:
        """Make `node` a replica of the primary the other Sentinels name, dropping what only it has.

        Sentinel does the same by itself some ten seconds after it sees the node again.
        """
        cluster.start(node)
        own = address_of(cluster, node)
        named: list[str] = []

        def primary_named() -> bool:
            named[:] = [_named_on(cluster, n.name) for n in cluster.nodes if n.name != node]
            return len(set(named)) == 1 and named[0] != own

        cluster.wait(f"the other Sentinels agree on a primary that is not {node}", primary_named)
        cluster.wait(f"{node} follows {named[0]}", lambda: follow(cluster, node, named[0]))


def _ask(cluster: Cluster, node: str, *command: str | int) -> Any:
    """One command to the Sentinel of `node`."""
    return say(cluster, node, "SENTINEL", *command, port="sentinel")


def _named_on(cluster: Cluster, node: str) -> str:
    """The address of the primary, as the Sentinel of `node` knows it."""
    return str(_ask(cluster, node, "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[0].decode())


def _quorum(cluster: Cluster, node: str) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            _ask(cluster, node, "CKQUORUM", MASTER_NAME)
        except ResponseError:  # NOQUORUM …
            return False
        return True

    return asked


def _begin(cluster: Cluster, node: str) -> None:
    try:
        _ask(cluster, node, "FAILOVER", MASTER_NAME)
    except ResponseError as error:
        if not str(error).startswith("INPROG"):
            raise ClusterError(f"the Sentinel of {node} refused to fail over: {error}") from None
