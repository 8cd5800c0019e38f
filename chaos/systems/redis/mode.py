"""What each mode of Redis and Valkey answers, and what their operators' steps share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from redis.exceptions import RedisError

from chaos.systems.base import Cluster, ContainerSpec, Node
from chaos.systems.redis.conf import PORTS
from chaos.systems.redis.observer import Observer
from chaos.systems.redis.wire import ask, ask_once, connect

ADMIN_TIMEOUT_S = 2.0
FAILURES = (RedisError,)


class Mode(Protocol):
    """A way to run the same servers; see `chaos.systems.base.System` for the methods."""

    @property
    def elects(self) -> bool:
        """Whether another node takes over by itself."""

    @property
    def observer(self) -> type[Observer]:
        """What asks a node."""

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with the nodes, a sentence each."""

    def containers(
        self, flavour: str, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """What runs on `node`."""

    def form(self, cluster: Cluster) -> None:
        """Return when it is ready."""

    def converged(self, cluster: Cluster) -> bool:
        """Whether the nodes agree, and replicas have what their primary had."""

    def promote(self, cluster: Cluster, node: str) -> None:
        """Make `node` primary."""

    def rejoin(self, cluster: Cluster, node: str) -> None:
        """Take `node` back."""


def say(cluster: Cluster, node: str, *command: str | int, port: str = "db") -> Any:
    """One command to `node`, and its answer."""
    return ask_once(cluster.address(node, port), ADMIN_TIMEOUT_S, *command)


def leads(cluster: Cluster, node: str) -> bool:
    """Whether `node` says that it is a primary."""
    return bool(say(cluster, node, "ROLE")[0] == b"master")


def follow(cluster: Cluster, node: str, primary: str) -> bool:
    """Whether `node` is linked to the primary at that address; it is told to follow it, if not.

    As Sentinel does, its clients are disconnected then, so that they ask anew who is primary.
    """
    kept = connect(cluster.address(node, "db"), ADMIN_TIMEOUT_S)
    try:
        role = ask(kept, "ROLE")
        if role[0] == b"slave" and role[1].decode() == primary:
            return bool(role[3] == b"connected")
        ask(kept, "REPLICAOF", primary, PORTS["db"])
        ask(kept, "CONFIG", "REWRITE")
        ask(kept, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    finally:
        kept.disconnect()
    return False


def follow_one(cluster: Cluster) -> str | None:
    """The one primary's name, if there is one only, and all others are linked to it and have what
    it had when asked; else None."""
    primaries = [n for n in cluster.nodes if leads(cluster, n.name)]
    if len(primaries) != 1:
        return None
    primary = primaries[0]
    offset = say(cluster, primary.name, "ROLE")[1]
    for node in cluster.nodes:
        if node is primary:
            continue
        _, master, _, state, seen = say(cluster, node.name, "ROLE")
        if (master.decode(), state) != (primary.address, b"connected") or seen < offset:
            return None
    return primary.name
