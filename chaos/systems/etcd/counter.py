"""etcd's counters. It knows no increment: an add reads the counter and then replaces it, if nobody
has done so in between (`mod_revision`); two requests, of which the second alone changes anything.

An add that another came before is a definite `conflict`.
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.etcd.client import Gateway
from chaos.systems.etcd.transactions import Keys


class CounterClient(Keys):
    """Counters are keys below `counter/`."""

    prefix = "counter/"

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, gateway: Gateway, operation: Invocation) -> Result:
        key = str(operation.key)
        seen = self._read_first(gateway, [key])
        self._write_if_same(gateway, seen, {key: (seen[key][0] or 0) + (operation.value or 0)})
        return Result(node=self.node)

    def _read(self, gateway: Gateway, operation: Invocation) -> Result:
        key = str(operation.key)
        answer = gateway.post("/v3/kv/txn", {"success": self._ranges([key], alone=True)})
        return Result(value=self._seen([key], answer)[key][0] or 0, node=self.node)
