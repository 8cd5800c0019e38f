"""The object store's client that moves: every operation goes through the node that the workload
draws: a write through one of the site that takes them, a read through one of those, or with
`reads: nearest` of any site."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.objectstore.client import RegisterClient, readers, writers
from chaos.systems.objectstore.wire import Store


class SessionClient(RegisterClient):
    """A register client that has each node answer when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._stores = {"write": self._among(writers(spec)), "read": self._among(readers(spec))}

    def _among(self, nodes: Sequence[str]) -> Connections[Store]:
        endpoints = {node: self._spec.endpoints[node] for node in nodes}
        return Connections(dataclasses.replace(self._spec, endpoints=endpoints), self.store)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; after anything but an answer that node is to
        answer anew before the next."""
        stores = self._stores[operation.f]
        node, store = stores.at(operation.at)
        self._source = self._reader = store
        try:
            return self._do[operation.f](operation)
        except Definite:
            raise
        except Exception:
            stores.drop(node)
            raise

    def close(self) -> None:
        """Forget all nodes."""
        super().close()
        for stores in self._stores.values():
            stores.close()
