"""etcd as a lock service, and as the store of what a lock guards.

A lock is a key with a lease. `acquire` takes three requests: a look whether the key is there, a
lease, and a transaction that makes the key with that lease if it still is not. Only the last makes
the lock; what fails before is definite (`not-committed`), and leaves at most a lease that runs out.
The token is the revision in which the key was made, of which etcd's whole history has each once.
`release` deletes the key if it was made in that revision. Leases are whole seconds, rounded up, and
at least 1.5 × `election-timeout`, rounded up: 2 s by default. Nobody keeps them alive.

A document is a key, beside the key of the highest token it has met: decimal, of one length, so that
etcd compares tokens as it compares bytes. A `store` with a token is one request.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, lease_s, not_held, stale_token
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.etcd.client import EtcdClient, Gateway, encoded

DIGITS = 19  # of any token
Request = dict[str, Any]


def absent(key: str) -> Request:
    """Compares: whether the key is not there."""
    return {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}


class LockClient(EtcdClient):
    """A lock is a key below `lock/`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._ttl_s = math.ceil(lease_s(spec.options))
        self._do = {"acquire": self._acquire, "release": self._release}

    def _acquire(self, gateway: Gateway, operation: Invocation) -> Result:
        key = f"lock/{operation.key}"
        lease = self._lease(gateway, key)
        put = {"key": encoded(key), "value": encoded("held"), "lease": lease}
        body = {"compare": [absent(encoded(key))], "success": [{"request_put": put}]}
        answer = gateway.post("/v3/kv/txn", body)
        if not answer.get("succeeded", False):
            raise held()
        return Result(value=int(answer["header"]["revision"]), node=self.node)

    def _lease(self, gateway: Gateway, key: str) -> str:
        """A new lease for a lock that is free, as far as one can see."""
        try:
            if self._range(gateway, key, keys_only=True):
                raise held()
            return str(gateway.post("/v3/lease/grant", {"TTL": str(self._ttl_s)})["ID"])
        except Definite:
            raise
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error

    def _release(self, gateway: Gateway, operation: Invocation) -> Result:
        key, token = encoded(f"lock/{operation.key}"), str(operation.value)
        mine = {"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": token}
        delete = {"request_delete_range": {"key": key}}
        answer = gateway.post("/v3/kv/txn", {"compare": [mine], "success": [delete]})
        if not answer.get("succeeded", False):
            raise not_held()
        return Result(node=self.node)


class DocumentClient(EtcdClient):
    """A document is a key below `document/`, its token one below `token/`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"load": self._load, "store": self._store}

    def _load(self, gateway: Gateway, operation: Invocation) -> Result:
        key = f"document/{operation.key}"
        if operation.value is None:
            found = self._range(gateway, key)
        else:
            [*_, read] = self._under(gateway, operation, {"request_range": {"key": encoded(key)}})
            found = read["response_range"].get("kvs", [])
        body = base64.b64decode(found[0]["value"]).decode() if found else "[]"
        return Result(payload=body, node=self.node)

    def _store(self, gateway: Gateway, operation: Invocation) -> Result:
        key, body = f"document/{operation.key}", operation.payload or "[]"
        if operation.value is None:
            self._put(gateway, key, body)
        else:
            put = {"key": encoded(key), "value": encoded(body)}
            self._under(gateway, operation, {"request_put": put})
        return Result(node=self.node)

    def _under(
        self, gateway: Gateway, operation: Invocation, request: Request
    ) -> list[Mapping[str, Any]]:
        """Do `request` unless a higher token than `operation.value` was met; the answers to what
        was done then. A comparison with a key that is not there fails, hence the second one."""
        key = encoded(f"token/{operation.key}")
        token = operation.value or 0
        above = encoded(f"{token + 1:0{DIGITS}}")
        note = {"request_put": {"key": key, "value": encoded(f"{token:0{DIGITS}}")}}
        at_most = {"key": key, "target": "VALUE", "result": "LESS", "value": above}
        first = {"request_txn": {"compare": [absent(key)], "success": [note, request]}}
        answer = gateway.post(
            "/v3/kv/txn", {"compare": [at_most], "success": [note, request], "failure": [first]}
        )
        if not answer.get("succeeded", False):
            answer = answer["responses"][0]["response_txn"]
        if not answer.get("succeeded", False):
            raise stale_token()
        done: list[Mapping[str, Any]] = answer["responses"]
        return done
