"""The ZooKeeper client: one session with one server, and what kazoo's errors mean.

Every operation is sent once and has one deadline; what of kazoo is off for that stands in
`wire.py`. A session that ended is not used again: the next operation opens another.

ZooKeeper orders writes, and each is one request. An operation of several says so where it is.
Reads are answered by the server alone. With `reads: sync` a read is two requests over the same
connection, `sync` and then the read: the server asks the leader and has applied what the leader had
committed by then. The leader answers without asking a majority, at once or, where writes are on
their way, when they are committed (Leader.processSync; ZOOKEEPER-1675, ZOOKEEPER-2136 would make it
a write): so a leader that was cut off and does not know it yet lets stale reads pass, for syncLimit
ticks at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kazoo import exceptions as zk
from kazoo.handlers.threading import KazooTimeoutError

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, tried_nodes
from chaos.systems._connections import first_that_serves
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import ClientSpec, Definite, ErrorRule
from chaos.systems.zookeeper.wire import Session

SESSION_S = 6.0
ROOTS = ("register", "set", "counter", "lock", "document", "list", "account")
Found = tuple[bytes, int]  # what a node holds, and its version

ERRORS = (
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="closed",
        kind=zk.ConnectionClosedError,
        definite=False,
        reason="the session had ended; kazoo says the same of a request that it had still queued",
    ),
    ErrorRule(
        code="session-expired",
        kind=zk.SessionExpiredError,
        definite=False,
        reason="the session was over: the servers may have done the request before that",
    ),
    ErrorRule(
        code="connection-lost",
        kind=zk.ConnectionLoss,
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
    ErrorRule(
        code="timeout",
        kind=KazooTimeoutError,
        definite=False,
        reason="no answer in time; the operation may have happened, or may still happen",
    ),
    ErrorRule(
        code="operation-timeout",
        kind=zk.OperationTimeoutError,
        definite=False,
        reason="the server gave up waiting for the others; they may still agree",
    ),
    ErrorRule(
        code="request-timeout",
        kind=zk.RequestTimeoutError,
        definite=False,
        reason="the request outlived the server's limit; what became of it is not said",
    ),
    ErrorRule(
        code="session-moved",
        kind=zk.SessionMovedError,
        definite=True,
        reason="the session is at another server, so this one refused before proposing anything",
    ),
    ErrorRule(
        code="read-only",
        kind=zk.NotReadOnlyCallError,
        definite=True,
        reason="a server without a majority refuses writes before proposing anything",
    ),
    ErrorRule(
        code="throttled",
        kind=zk.ThrottledOpError,
        definite=True,
        reason="the server was too busy and dropped the request before doing anything",
    ),
    ErrorRule(
        code="bad-version",
        kind=zk.BadVersionError,
        definite=True,
        reason="the node was changed since; the leader refused, and changed nothing",
    ),
    ErrorRule(
        code="node-exists",
        kind=zk.NodeExistsError,
        definite=True,
        reason="the node is there already; the leader refused, and changed nothing",
    ),
    ErrorRule(
        code="no-node",
        kind=zk.NoNodeError,
        definite=True,
        reason="the node, or the one above, is not there; the leader refused, and changed nothing",
    ),
    ErrorRule(
        code="rolled-back",
        kind=zk.RolledBackError,
        definite=True,
        reason="another request of the same transaction was refused, and so all were",
    ),
)
LOST = (
    zk.ConnectionLoss,
    zk.SessionExpiredError,
    zk.OperationTimeoutError,
    zk.RequestTimeoutError,
    zk.SessionMovedError,
    KazooTimeoutError,
    NotCommitted,
)  # after these the session is of no more use, or nobody knows


class ZookeeperClient:
    """One process: talks to its home node, or with `failover: true` to the first that serves."""

    session_s = SESSION_S
    heartbeats = True

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self._syncs = spec.options.get("reads", "plain") == "sync"
        self.node = ""
        self._session: Session | None = None
        self._do: Mapping[str, Callable[[Session, Invocation], Result]] = {}

    def open(self) -> None:
        """Begin a session; that is a write of its own, which a majority agrees on."""
        self.close()
        self.node, self._session = first_that_serves(tried_nodes(self._spec), self._opened)

    def _opened(self, node: str) -> Session:
        return Session(
            self._spec.endpoints[node]["db"],
            self._spec.timeout_s,
            self.session_s,
            heartbeats=self.heartbeats,
        )

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken session is dropped, and another begun by the next call."""
        if self._session is None:
            self.open()
        assert self._session is not None
        try:
            return self._done(self._session, operation)
        except LOST:
            self._drop()
            raise

    def _done(self, session: Session, operation: Invocation) -> Result:
        session.begin()
        return self._do[operation.f](session, operation)

    def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.cut()

    def _sync(self, session: Session, path: str) -> None:
        if self._syncs:
            session.wait(session.kazoo.sync_async(path))

    def _get(self, session: Session, path: str) -> Found | None:
        """What the node holds and its version, None if it is not there: one request, or two."""
        self._sync(session, path)
        return self._found(session, session.kazoo.get_async(path))

    def _found(self, session: Session, asked: Any) -> Found | None:
        try:
            data, stat = session.wait(asked)
        except zk.NoNodeError:
            return None
        return data, stat.version

    def _get_first(self, session: Session, path: str) -> Found | None:
        """The same where it comes before a write. NotCommitted: that was all, and it failed."""
        try:
            return self._get(session, path)
        except Exception as error:
            raise NotCommitted(f"{type(error).__name__}: {error}") from error

    def _create(self, session: Session, path: str, data: bytes) -> None:
        session.wait(session.kazoo.create_async(path, data))

    def _put(self, session: Session, path: str, data: bytes) -> None:
        """Replace what a node holds whatever it is. Nodes stay once they are made, so that of at
        most three requests all but the last are refused."""
        try:
            session.wait(session.kazoo.set_async(path, data))
        except zk.NoNodeError:
            try:
                self._create(session, path, data)
            except zk.NodeExistsError:
                session.wait(session.kazoo.set_async(path, data))

    def _replace(self, session: Session, path: str, seen: Found | None, data: bytes) -> bool:
        """Replace what was `seen` under `path`; False if it is no longer what is there."""
        try:
            if seen is None:
                self._create(session, path, data)
            else:
                session.wait(session.kazoo.set_async(path, data, version=seen[1]))
        except (zk.BadVersionError, zk.NodeExistsError):
            return False
        return True


class RegisterClient(ZookeeperClient):
    """A register is a node below `/register` holding a decimal integer."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _path(self, operation: Invocation) -> str:
        return f"/register/{operation.key}"

    def _read(self, session: Session, operation: Invocation) -> Result:
        found = self._get(session, self._path(operation))
        return Result(value=int(found[0]) if found else None, node=self.node)

    def _write(self, session: Session, operation: Invocation) -> Result:
        self._put(session, self._path(operation), str(operation.value).encode())
        return Result(value=operation.value, node=self.node)

    def _cas(self, session: Session, operation: Invocation) -> Result:
        """ZooKeeper compares versions, not values: a read, then a write of the version read."""
        path, data = self._path(operation), str(operation.value).encode()
        seen = None
        if operation.expected is not None:
            seen = self._get_first(session, path)
            if seen is None or int(seen[0]) != operation.expected:
                raise mismatch()
        if not self._replace(session, path, seen, data):
            raise mismatch()
        return Result(value=operation.value, node=self.node)


def mismatch() -> Definite:
    """The answer to a cas that cannot be."""
    return Definite("cas-mismatch", "the node holds another value, or was changed since")


class SetClient(ZookeeperClient):
    """The set is the children of `/set`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        self._create(session, f"/set/{operation.value}", b"")
        return Result(value=operation.value, node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        self._sync(session, "/set")
        names: list[Any] = session.wait(session.kazoo.get_children_async("/set"))
        elements = sorted(map(int, names))
        return Result(payload="[" + ",".join(map(str, elements)) + "]", node=self.node)
