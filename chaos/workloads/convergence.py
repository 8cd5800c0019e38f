"""Convergence: registers written at one place and, in the end, read at every node.

While faults come and go nodes may show what they like; once all is healed and settled, they must
show the same. Reads go to all nodes with the client option `reads: any` (etcd's and ZooKeeper's
sessions always move).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation
from chaos.systems.base import Client
from chaos.workloads.base import Generator, LoadShape
from chaos.workloads.session import Session

NODES_MOST = 16  # as many nodes as a topology may have and more: places are taken modulo theirs


class Convergence(Session):
    """See `chaos.workloads.base.Workload`. Its clients are those of sessions."""

    name = "convergence"
    about = "Writes of registers, which every node must show alike in the end."
    default_mix: Mapping[str, float] = {"read": 1, "write": 3}
    properties: Sequence[str] = ("convergence",)
    parts: Mapping[str, str] = {"nodes": "session"}

    def joined(self, clients: Mapping[str, Client], shape: LoadShape) -> Client:
        """The one client there is."""
        return clients["nodes"]

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """Each key at every node, the keys being dealt out over the clients."""
        return (
            Invocation("read", f"k{key}", at=at)
            for key in range(client, shape.keys, clients)
            for at in range(NODES_MOST)
        )


WORKLOAD = Convergence()
