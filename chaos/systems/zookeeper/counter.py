"""ZooKeeper's counters. It knows no increment: an add reads the counter and then replaces the
version that it read; two requests, of which the second alone changes anything.

An add that another came before is a definite `conflict`.
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.zookeeper.client import ZookeeperClient
from chaos.systems.zookeeper.wire import Session


def conflict() -> Definite:
    """The answer to who replaces what another has replaced meanwhile."""
    return Definite("conflict", "the node was changed after it was read")


class CounterClient(ZookeeperClient):
    """Counters are nodes below `/counter`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        path = f"/counter/{operation.key}"
        seen = self._get_first(session, path)
        total = (int(seen[0]) if seen else 0) + (operation.value or 0)
        if not self._replace(session, path, seen, str(total).encode()):
            raise conflict()
        return Result(node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        found = self._get(session, f"/counter/{operation.key}")
        return Result(value=int(found[0]) if found else 0, node=self.node)
