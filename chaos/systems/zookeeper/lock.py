"""ZooKeeper as a lock service, and as the store of what a lock guards.

A lock is a node that stays, with an ephemeral child `held` while somebody has it. `acquire` is one
transaction (`multi`) that writes the node and makes the child. The token is the id of that
transaction (the node's mzxid, the child's czxid): it grows with every write there is. `release`
looks which transaction wrote the node last, after a `sync`, and then, if it was the token's,
deletes the child, provided that the node was not written since: three requests, of which the last
alone changes anything.

The child lives as long as its holder's session, and that lasts for the option `lease` after the
server last heard of it: not less than `minSessionTimeout`, and up to a tick longer. Without
`heartbeats` (the default) kazoo does not speak for a holder that stands still, as the process of
one that stands still would not; then the session is a lease. With them a holder loses its lock only
when its link is cut for that long. Closing leaves the session to its time in either case.

A document is a node, beside one that holds the highest token it has met. A `store` with a token is
a read of that one, and a transaction that writes both; a `load` writes the token, and then reads:
its server has what was committed before its own write. Either may be a definite `conflict`.
"""

from __future__ import annotations

from typing import Any

from kazoo import exceptions as zk

from chaos.record.op import Invocation, Result
from chaos.systems._common import is_on
from chaos.systems._locks import held, lease_s, not_held, stale_token
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import ClientSpec
from chaos.systems.zookeeper.client import ZookeeperClient
from chaos.systems.zookeeper.counter import conflict
from chaos.systems.zookeeper.wire import Session


def committed(session: Session, transaction: Any) -> list[Any]:
    """The results of a transaction that was done whole; else the first refusal is raised."""
    results: list[Any] = session.wait(transaction.commit_async())
    refusals = [each for each in results if isinstance(each, zk.ZookeeperError)]
    for each in refusals:
        if not isinstance(each, (zk.RolledBackError, zk.RuntimeInconsistency)):
            raise each  # the others were refused because of this one
    if refusals:
        raise refusals[0]
    return results


class LockClient(ZookeeperClient):
    """A lock is a node below `/lock`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self.session_s = lease_s(spec.options)
        self.heartbeats = is_on(spec.options, "heartbeats")
        self._do = {"acquire": self._acquire, "release": self._release}

    def invoke(self, operation: Invocation) -> Result:
        """Do it once. A session that ended while nobody used it is no failure of anything: of the
        operation nothing was sent, and it begins another."""
        if self._session is not None and not self._session.connected:
            self._drop()
        return super().invoke(operation)

    def close(self) -> None:
        """Leave the session to its time, and with it the lock."""
        self._drop()

    def _acquire(self, session: Session, operation: Invocation) -> Result:
        path = f"/lock/{operation.key}"
        try:
            token = self._taken(session, path)
        except zk.NoNodeError:  # the first to acquire it makes the node, which changes nothing
            self._make(session, path)
            token = self._taken(session, path)
        return Result(value=token, node=self.node)

    def _make(self, session: Session, path: str) -> None:
        try:
            self._create(session, path, b"")
        except zk.NodeExistsError:
            return
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error

    def _taken(self, session: Session, path: str) -> int:
        transaction = session.kazoo.transaction()
        transaction.set_data(path, b"")
        transaction.create(f"{path}/held", ephemeral=True)
        try:
            written, _ = committed(session, transaction)
        except zk.NodeExistsError:
            raise held() from None
        return int(written.mzxid)

    def _release(self, session: Session, operation: Invocation) -> Result:
        path = f"/lock/{operation.key}"
        try:
            session.wait(session.kazoo.sync_async(path))
            written = session.wait(session.kazoo.exists_async(path))
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        if written is None or written.mzxid != operation.value:
            raise not_held()
        transaction = session.kazoo.transaction()
        transaction.check(path, written.version)
        transaction.delete(f"{path}/held")
        try:
            committed(session, transaction)
        except (zk.BadVersionError, zk.NoNodeError):
            raise not_held() from None
        return Result(node=self.node)


class DocumentClient(ZookeeperClient):
    """A document is a node below `/document`, its token one below that: `KEY` and `KEY-token`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"load": self._load, "store": self._store}

    def _load(self, session: Session, operation: Invocation) -> Result:
        path = f"/document/{operation.key}"
        if operation.value is not None:
            transaction = session.kazoo.transaction()
            self._meet(session, transaction, f"{path}-token", operation.value)
            self._commit(session, transaction)
        found = self._get(session, path)
        return Result(payload=found[0].decode() if found else "[]", node=self.node)

    def _store(self, session: Session, operation: Invocation) -> Result:
        path, body = f"/document/{operation.key}", (operation.payload or "[]").encode()
        if operation.value is None:
            self._put(session, path, body)
            return Result(node=self.node)
        transaction = session.kazoo.transaction()
        self._meet(session, transaction, f"{path}-token", operation.value)
        if self._get_first(session, path) is None:
            transaction.create(path, body)
        else:
            transaction.set_data(path, body)
        self._commit(session, transaction)
        return Result(node=self.node)

    def _meet(self, session: Session, transaction: Any, path: str, token: int) -> None:
        """Have the transaction note `token`, if by then no other was; Definite if a higher was."""
        seen = self._get_first(session, path)
        if seen is None:
            transaction.create(path, str(token).encode())
        elif int(seen[0]) > token:
            raise stale_token()
        else:
            transaction.set_data(path, str(token).encode(), version=seen[1])

    def _commit(self, session: Session, transaction: Any) -> None:
        try:
            committed(session, transaction)
        except (zk.BadVersionError, zk.NodeExistsError):
            raise conflict() from None
