"""The object store as a lock service, and as the store of what a lock guards.

A lock is an object that holds the token of its last holder and until when that one has it. To
acquire it is to read it and, unless somebody has it, to write the next token, if nobody has written
in between (If-Match; If-None-Match where there is none yet): of two who try at once one is refused.
`release` writes that nobody has it any more; the token stays, and grows with every holder. Until
when is a time of the clients' clocks, which here are one: that of this host. Of clients on several
machines the store would not notice whose is wrong.

A document is an object that holds the highest token it has met beside its list. A `store`, or a
`load` with a token, reads it, looks whether it has met a higher one, and writes both back, if
nobody has written in between: a definite `conflict` otherwise.
"""

from __future__ import annotations

import json
import time
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, lease_s, not_held, stale_token
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.objectstore.client import ObjectClient


def _packed(**parts: Any) -> bytes:
    return json.dumps(parts, separators=(",", ":")).encode()


class LockClient(ObjectClient):
    """Locks are objects below `lock/`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._lease_s = lease_s(spec.options)
        self._do = {"acquire": self._acquire, "release": self._release}

    def _acquire(self, operation: Invocation) -> Result:
        token = 0

        def taken(body: bytes | None) -> bytes:
            nonlocal token
            lock = json.loads(body) if body else {"token": 0, "until": 0}
            if lock["until"] > time.time():
                raise held()
            token = lock["token"] + 1
            return _packed(token=token, until=time.time() + self._lease_s)

        done = self._changed(operation, taken, held())
        return Result(value=token, node=done.node)

    def _release(self, operation: Invocation) -> Result:
        def left(body: bytes | None) -> bytes:
            lock = json.loads(body) if body else {"token": 0, "until": 0}
            if lock["token"] != operation.value or lock["until"] <= time.time():
                raise not_held()
            return _packed(token=lock["token"], until=0)

        return self._changed(operation, left, not_held())

    def _changed(self, operation: Invocation, change: Any, otherwise: Definite) -> Result:
        """Rewrite the lock; `otherwise` is what it means that another did."""
        try:
            return self._rewrite(f"lock/{operation.key}", change)
        except Definite as answer:
            raise (otherwise if answer.code == "conflict" else answer) from None


class DocumentClient(ObjectClient):
    """Documents are objects below `document/`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"load": self._load, "store": self._store}

    def _load(self, operation: Invocation) -> Result:
        key, body = f"document/{operation.key}", "[]"
        if operation.value is None:
            found = self._reader.get(key)
            body = json.loads(found.body)["list"] if found else body
            return Result(payload=body, node=self._reader.node)

        def met(old: bytes | None) -> bytes:
            nonlocal body
            body = self._under(operation, old)["list"]
            return _packed(token=operation.value, list=body)

        node = self._rewrite(key, met).node
        return Result(payload=body, node=node)

    def _store(self, operation: Invocation) -> Result:
        def replaced(old: bytes | None) -> bytes:
            known = self._under(operation, old)
            token = known["token"] if operation.value is None else operation.value
            return _packed(token=token, list=operation.payload or "[]")

        return self._rewrite(f"document/{operation.key}", replaced)

    def _under(self, operation: Invocation, body: bytes | None) -> dict[str, Any]:
        """What the document is; Definite if it has met a higher token than the operation's."""
        known: dict[str, Any] = json.loads(body) if body else {"token": 0, "list": "[]"}
        if operation.value is not None and known["token"] > operation.value:
            raise stale_token()
        return known
