"""etcd's transactions: reads and writes in one request, which raft orders as one.

A request cannot use what it reads. So an append (or a transfer) takes two: the first reads all keys
of the transaction, the second writes if none of them has been changed since (mod_revision), and is
refused otherwise: a definite `conflict`. Blind writes take one; etcd refuses two writes of a key in
a request, so only the last is sent, and what the transaction reads of its own comes from here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._transactions import (
    NotCommitted,
    accounts_of,
    answered,
    balances,
    micros_of,
    replayed,
    transfer_of,
)
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.etcd.client import EtcdClient, Gateway, encoded

ACCOUNTS, ACCOUNTS_END = "account/", "account0"  # "0" follows "/"
Name = int | str  # what follows the prefix
Seen = dict[Any, tuple[Any, str]]  # name → value (None: not there), mod_revision


class Keys(EtcdClient):
    """Keys below a prefix, holding JSON."""

    prefix = "register/"

    def _key(self, key: Name) -> str:
        return encoded(f"{self.prefix}{key}")

    def _ranges(self, keys: Sequence[Name], *, alone: bool) -> list[dict[str, Any]]:
        """Requests that read `keys`; `alone`: nothing is written with them."""
        serializable = alone and self._serializable
        return [
            {"request_range": {"key": self._key(key), "serializable": serializable}} for key in keys
        ]

    def _puts(self, written: Mapping[Any, Any]) -> list[dict[str, Any]]:
        return [
            {"request_put": {"key": self._key(key), "value": encoded(json.dumps(value))}}
            for key, value in written.items()
        ]

    def _seen(self, keys: Sequence[Name], answer: Mapping[str, Any]) -> Seen:
        """What the first requests of a transaction, `_ranges(keys)`, read."""
        seen: Seen = {}
        for key, response in zip(keys, answer.get("responses", []), strict=False):
            found = response.get("response_range", {}).get("kvs", [])
            value = json.loads(base64.b64decode(found[0]["value"])) if found else None
            seen[key] = value, str(found[0]["mod_revision"]) if found else "0"
        return seen

    def _read_first(self, gateway: Gateway, keys: Sequence[Name]) -> Seen:
        """All keys, at one revision. NotCommitted: that was all, and it failed."""
        try:
            answer = gateway.post("/v3/kv/txn", {"success": self._ranges(keys, alone=True)})
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        return self._seen(keys, answer)

    def _write_if_same(self, gateway: Gateway, seen: Seen, written: Mapping[Any, Any]) -> None:
        """Write, if no key seen has been changed since; else Definite."""
        compare = [
            {"key": self._key(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision}
            for key, (_, revision) in seen.items()
        ]
        body = {"compare": compare, "success": self._puts(written)}
        if not gateway.post("/v3/kv/txn", body).get("succeeded", False):
            raise Definite("conflict", "a key was changed after it was read")


class MicroClient(Keys):
    """Micro-operations on registers: one request."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"txn": self._txn}

    def _txn(self, gateway: Gateway, operation: Invocation) -> Result:
        micros = micros_of(operation)
        keys = list(dict.fromkeys(key for kind, key, _ in micros if kind == "r"))
        _, written = replayed(micros, {})
        ranges = self._ranges(keys, alone=not written)
        answer = gateway.post("/v3/kv/txn", {"success": ranges + self._puts(written)})
        seen = self._seen(keys, answer)
        reads, _ = replayed(micros, {key: value for key, (value, _) in seen.items()})
        return answered(micros, reads, self.node)


class ListsClient(Keys):
    """Micro-operations on lists: a second request where something is appended."""

    prefix = "list/"

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"txn": self._txn}

    def _txn(self, gateway: Gateway, operation: Invocation) -> Result:
        micros = micros_of(operation)
        seen = self._read_first(gateway, list(dict.fromkeys(key for _, key, _ in micros)))
        reads, written = replayed(micros, {key: value for key, (value, _) in seen.items()})
        if written:
            self._write_if_same(gateway, seen, written)
        return answered(micros, reads, self.node)


class BankClient(Keys):
    """Accounts are keys; a transfer takes two requests."""

    prefix = ACCOUNTS

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"open": self._open, "transfer": self._transfer, "read": self._balances}

    def _open(self, gateway: Gateway, operation: Invocation) -> Result:
        accounts = accounts_of(operation)
        absent = {
            "key": self._key(min(accounts)),
            "target": "CREATE",
            "result": "EQUAL",
            "create_revision": "0",
        }
        gateway.post("/v3/kv/txn", {"compare": [absent], "success": self._puts(accounts)})
        return Result(node=self.node)

    def _transfer(self, gateway: Gateway, operation: Invocation) -> Result:
        giver, taker, amount = transfer_of(operation)
        seen = self._read_first(gateway, [giver, taker])
        held, other = (int(seen[key][0] or 0) for key in (giver, taker))
        if held < amount:
            raise Definite("insufficient", "the account holds less than the amount")
        self._write_if_same(gateway, seen, {giver: held - amount, taker: other + amount})
        return Result(node=self.node)

    def _balances(self, gateway: Gateway, operation: Invocation) -> Result:
        found = self._range(gateway, ACCOUNTS, range_end=encoded(ACCOUNTS_END))
        pairs = [(base64.b64decode(kv["key"]), base64.b64decode(kv["value"])) for kv in found]
        return balances({int(key[len(ACCOUNTS) :]): int(held) for key, held in pairs}, self.node)
