"""A cluster as one of its nodes knows it: the answer to CLUSTER NODES.

Lines of `id ip:port@bus,name flags primary ping pong epoch link slot slot …`
(https://redis.io/docs/latest/commands/cluster-nodes/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A node, as another or it itself knows it."""

    id: str
    address: str  # IPv4, without port
    flags: frozenset[str]  # myself master slave fail? fail handshake noaddr nofailover noflags
    primary: str  # the id of the one it follows; "" for a primary
    epoch: int  # in which its slots, or those of its primary, were claimed
    slots: str  # "0-5460", "0-99 200-299"; "" for a replica


def nodes_of(answer: bytes) -> list[Known]:
    """The nodes of CLUSTER NODES. Slots that just move are left out: `[93-<-…]`."""
    found = []
    for line in answer.decode().splitlines():
        own, at, flags, primary, _, _, epoch, _, *slots = line.split()
        found.append(
            Known(
                id=own,
                address=at.rsplit("@", 1)[0].rsplit(":", 1)[0],
                flags=frozenset(flags.split(",")),
                primary="" if primary == "-" else primary,
                epoch=int(epoch),
                slots=" ".join(slot for slot in slots if not slot.startswith("[")),
            )
        )
    return found


def myself(nodes: Sequence[Known]) -> Known:
    """The node that was asked."""
    return next(node for node in nodes if "myself" in node.flags)


def own_shard(nodes: Sequence[Known]) -> Known:
    """The primary that the node that was asked follows, or it itself."""
    own = myself(nodes)
    return next((node for node in nodes if node.id == own.primary), own)
