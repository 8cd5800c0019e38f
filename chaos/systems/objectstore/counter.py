"""Counters in an object store: an object holds the sum, and an add reads it, adds, and writes it
back; two requests, of which the second alone changes anything."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.objectstore.client import ObjectClient


class CounterClient(ObjectClient):
    """Counters are objects below `counter/`, decimal."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, operation: Invocation) -> Result:
        def raised(body: bytes | None) -> bytes:
            return str(int(body or b"0") + (operation.value or 0)).encode()

        return self._rewrite(f"counter/{operation.key}", raised, checked=self._if_match)

    def _read(self, operation: Invocation) -> Result:
        found = self._reader.get(f"counter/{operation.key}")
        return Result(value=int(found.body) if found else 0, node=self._reader.node)
