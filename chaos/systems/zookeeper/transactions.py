"""ZooKeeper's transactions: reads first, a request for each key, then one `multi` that writes.

A `multi` cannot read. It can refuse: it checks the version of every key that was read, and that one
which was not there still is not (it makes the node, and deletes it again where nothing is written).
So either all keys are as they were read in the moment in which the writes take effect, or nothing
is done: a definite `conflict`. A transaction that only reads ends with such a `multi` too, because
single reads are no snapshot. Keys that are written blindly are looked at as well: ZooKeeper makes a
node and replaces what is in it by different requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from kazoo import exceptions as zk

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
from chaos.systems.zookeeper.client import Found, ZookeeperClient
from chaos.systems.zookeeper.counter import conflict
from chaos.systems.zookeeper.lock import committed
from chaos.systems.zookeeper.wire import Session

Seen = dict[int, Found | None]  # key → what its node held, and its version


class Keys(ZookeeperClient):
    """Nodes below another, holding JSON."""

    below = "/register"

    def _path(self, key: int) -> str:
        return f"{self.below}/{key}"

    def _read_first(self, session: Session, keys: Iterable[int]) -> Seen:
        """All keys, asked for at once. NotCommitted: that was all, and it failed."""
        try:
            self._sync(session, self.below)
            asked = {key: session.kazoo.get_async(self._path(key)) for key in keys}
            return {key: self._found(session, each) for key, each in asked.items()}
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error

    def _write_if_same(self, session: Session, seen: Seen, written: Mapping[int, Any]) -> None:
        """Write, if nothing seen has been changed since; else Definite."""
        transaction = session.kazoo.transaction()
        for key, found in seen.items():
            path, data = self._path(key), json.dumps(written.get(key)).encode()
            if found is None:
                transaction.create(path, data)
                if key not in written:
                    transaction.delete(path)
            elif key in written:
                transaction.set_data(path, data, version=found[1])
            else:
                transaction.check(path, found[1])
        try:
            committed(session, transaction)
        except (zk.BadVersionError, zk.NodeExistsError, zk.NoNodeError):
            raise conflict() from None


def state_of(seen: Seen) -> dict[int, Any]:
    """What was read, without versions."""
    return {key: json.loads(found[0]) if found else None for key, found in seen.items()}


class MicroClient(Keys):
    """Micro-operations on registers."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"txn": self._txn}

    def _txn(self, session: Session, operation: Invocation) -> Result:
        micros = micros_of(operation)
        seen = self._read_first(session, dict.fromkeys(key for _, key, _ in micros))
        reads, written = replayed(micros, state_of(seen))
        self._write_if_same(session, seen, written)
        return answered(micros, reads, self.node)


class ListsClient(MicroClient):
    """The same on lists."""

    below = "/list"


class BankClient(Keys):
    """Accounts are nodes."""

    below = "/account"

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"open": self._open, "transfer": self._transfer, "read": self._balances}

    def _open(self, session: Session, operation: Invocation) -> Result:
        accounts = accounts_of(operation)
        transaction = session.kazoo.transaction()
        for key, held in accounts.items():
            transaction.create(self._path(key), json.dumps(held).encode())
        try:
            committed(session, transaction)
        except zk.NodeExistsError:
            pass  # they were opened before, all at once
        return Result(node=self.node)

    def _transfer(self, session: Session, operation: Invocation) -> Result:
        giver, taker, amount = transfer_of(operation)
        seen = self._read_first(session, [giver, taker])
        held, other = (state_of(seen)[key] or 0 for key in (giver, taker))
        if held < amount:
            raise Definite("insufficient", "the account holds less than the amount")
        self._write_if_same(session, seen, {giver: held - amount, taker: other + amount})
        return Result(node=self.node)

    def _balances(self, session: Session, operation: Invocation) -> Result:
        try:
            self._sync(session, self.below)
            names: list[str] = session.wait(session.kazoo.get_children_async(self.below))
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        seen = self._read_first(session, sorted(map(int, names)))
        self._write_if_same(session, seen, {})
        return balances(state_of(seen), self.node)
