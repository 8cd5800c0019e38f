"""The Cassandra client: a session with one coordinator, and what the driver's errors mean.

Every operation is one request, sent once; what of the driver is off for that stands in `wire.py`.

A plain write has a timestamp, in microseconds, and of two writes of a cell the one with the higher
timestamp stays, whichever came first or was acknowledged (of equal ones the larger value). The
coordinator takes it from its own clock, which counts milliseconds, or with `timestamps: client` the
driver from the client's.

A lightweight transaction (LWT) is decided by Paxos among the replicas: `prepare`, a read of what is
there, `propose`, `commit`. A cas is one. With `writes: lwt` so is every write: on the condition
that the column `never` is null, which it always is. They are ordered by ballots, and reads see them
in that order at SERIAL, the default of reads then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cassandra import (
    CoordinationFailure,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    ReadFailure,
    ReadTimeout,
    Unavailable,
    WriteFailure,
    WriteTimeout,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import (
    ErrorMessage,
    IsBootstrappingErrorMessage,
    OverloadedErrorMessage,
    ServerError,
    SyntaxException,
)

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, tried_nodes
from chaos.systems._connections import first_that_serves
from chaos.systems.base import ClientSpec, Definite, ErrorRule, NotConnected
from chaos.systems.cassandra.conf import KEYSPACE
from chaos.systems.cassandra.wire import LEVELS, SERIAL_LEVELS, Session, session_of

TABLES: Mapping[str, str] = {
    "register": "key text PRIMARY KEY, value bigint, never int",
    "elements": "name text, element bigint, PRIMARY KEY (name, element)",
    "collections": "name text PRIMARY KEY, elements set<bigint>, never int",
    "counters": "key text PRIMARY KEY, value counter",
}
NAME = "elements"  # of the one set that there is


class Undecided(Exception):
    """Raised by a client for an error that says no to a plain request, and to a lightweight
    transaction only that one of its rounds failed: what was proposed may still be committed."""


ERRORS = (
    *NOT_CONNECTED,
    ErrorRule(
        code="lwt-undecided",
        kind=Undecided,
        definite=False,
        reason="a round of the lightweight transaction failed after the first; what was proposed "
        "may still be committed",
    ),
    ErrorRule(
        code="lwt-unknown",
        kind=ErrorMessage,
        pattern=r"code=1700 ",
        definite=False,
        reason="some replicas accepted what was proposed, too few to decide it; it may still be "
        "committed. An error newer than the driver",
    ),
    ErrorRule(
        code="unavailable",
        kind=Unavailable,
        definite=True,
        reason="the coordinator takes too few replicas for alive and refused before sending to any",
    ),
    ErrorRule(
        code="lwt-timeout",
        kind=WriteTimeout,
        pattern=r"'write_type': 'CAS'",
        definite=False,
        reason="too few replicas answered a round of Paxos, or others were in the way for too "
        "long; what was proposed may still be committed",
    ),
    ErrorRule(
        code="write-timeout",
        kind=WriteTimeout,
        definite=False,
        reason="too few replicas acknowledged in time; those that have the write keep it, and the "
        "others may be given it",
    ),
    ErrorRule(
        code="read-timeout",
        kind=ReadTimeout,
        definite=True,
        reason="too few replicas answered in time; a read changes nothing",
    ),
    ErrorRule(
        code="write-failure",
        kind=WriteFailure,
        definite=False,
        reason="a replica failed; others may have the write",
    ),
    ErrorRule(
        code="read-failure",
        kind=ReadFailure,
        definite=True,
        reason="a replica failed; a read changes nothing",
    ),
    ErrorRule(
        code="coordination-failure",
        kind=CoordinationFailure,
        definite=False,
        reason="replicas failed; what became of the operation is not said",
    ),
    ErrorRule(
        code="bootstrapping",
        kind=IsBootstrappingErrorMessage,
        definite=True,
        reason="the node is not a member yet and refused before sending to any replica",
    ),
    ErrorRule(
        code="invalid",
        kind=InvalidRequest,
        definite=True,
        reason="the node refused the statement before it executed anything",
    ),
    ErrorRule(
        code="syntax",
        kind=SyntaxException,
        definite=True,
        reason="the node could not read the statement and executed nothing",
    ),
    ErrorRule(
        code="overloaded",
        kind=OverloadedErrorMessage,
        definite=False,
        reason="the coordinator has too much on its hands; it may have sent to some replicas",
    ),
    ErrorRule(
        code="server-error",
        kind=ServerError,
        definite=False,
        reason="the coordinator failed; how far it had come is not said",
    ),
    ErrorRule(
        code="no-host",
        kind=NoHostAvailable,
        definite=True,
        reason="the driver had no connection to send the request over",
    ),
    ErrorRule(
        code="timeout",
        kind=OperationTimedOut,
        definite=False,
        reason="no answer in time; the operation may have happened, or may still happen",
    ),
    ErrorRule(
        code="connection-lost",
        kind=ConnectionException,
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
    ErrorRule(
        code="driver",
        kind=DriverException,
        definite=False,
        reason="an error of the driver that is none of the above",
    ),
    ErrorRule(
        code="network",
        kind=OSError,
        definite=False,
        reason="the connection ended before the answer; the operation may have happened",
    ),
)
LOST = (OperationTimedOut, NoHostAvailable, ConnectionException, OSError)
# After these the session is of no more use, or an answer may come late.


class CassandraClient:
    """One process: talks to its home node, or with `failover: true` to the first that serves."""

    statements: Sequence[str] = ()

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        options = spec.options
        self._lwt = options.get("writes", "plain") == "lwt"
        usual = "SERIAL" if self._lwt else "QUORUM"
        self._read_level = LEVELS[options.get("read-consistency", usual)]
        self._write_level = LEVELS[options.get("write-consistency", "QUORUM")]
        self._serial_level = LEVELS[options.get("serial-consistency", "SERIAL")]
        self.node = ""
        self._session: Session | None = None
        self._do: Mapping[str, Callable[[Session, Invocation], Result]] = {}

    def open(self) -> None:
        """Connect, and have the node know the statements."""
        self.close()
        self.node, self._session = first_that_serves(tried_nodes(self._spec), self._opened)

    def _opened(self, node: str) -> Session:
        session = session_of(self._spec, node)
        try:
            session.prepare(*self.statements)
        except NotConnected:
            session.close()
            raise
        return session

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken session is dropped, and another made by the next call."""
        if self._session is None:
            self.open()
        assert self._session is not None
        try:
            return self._do[operation.f](self._session, operation)
        except LOST:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connections."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _select(self, session: Session, statement: str, key: str) -> list[tuple[Any, ...]]:
        return session.ask(statement, (key,), self._read_level)

    def _write(self, session: Session, statement: str, *values: Any) -> None:
        session.ask(statement, values, self._write_level)

    def _applied(self, session: Session, statement: str, *values: Any) -> bool:
        """Whether a lightweight transaction's condition held. One that is refused, or whose read
        fails, in its first round has proposed nothing; of later rounds that is not sure."""
        try:
            rows = session.ask(statement, values, self._write_level, self._serial_level)
        except Unavailable as error:
            if error.consistency in SERIAL_LEVELS:
                raise
            raise Undecided(str(error)) from error
        except (ReadTimeout, ReadFailure) as error:
            raise Undecided(str(error)) from error
        return bool(rows[0][0])


READ = f"SELECT value FROM {KEYSPACE}.register WHERE key = ?"
WRITE = f"UPDATE {KEYSPACE}.register SET value = ? WHERE key = ?"
WRITE_LWT = f"{WRITE} IF never = NULL"
CAS = f"{WRITE} IF value = ?"


class RegisterClient(CassandraClient):
    """A register is a row of `register`."""

    statements = (READ, WRITE, WRITE_LWT, CAS)

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._put, "cas": self._cas}

    def _read(self, session: Session, operation: Invocation) -> Result:
        rows = self._select(session, READ, str(operation.key))
        return Result(value=rows[0][0] if rows else None, node=self.node)

    def _put(self, session: Session, operation: Invocation) -> Result:
        if self._lwt:
            self._applied(session, WRITE_LWT, operation.value, operation.key)
        else:
            self._write(session, WRITE, operation.value, operation.key)
        return Result(value=operation.value, node=self.node)

    def _cas(self, session: Session, operation: Invocation) -> Result:
        values = (operation.value, operation.key, operation.expected)
        if not self._applied(session, CAS, *values):
            raise Definite("cas-mismatch", "the row holds another value")
        return Result(value=operation.value, node=self.node)


ADD = f"INSERT INTO {KEYSPACE}.elements (name, element) VALUES ('{NAME}', ?)"
ADD_LWT = f"{ADD} IF NOT EXISTS"
ELEMENTS = f"SELECT element FROM {KEYSPACE}.elements WHERE name = ?"
COLLECT = f"UPDATE {KEYSPACE}.collections SET elements = elements + ? WHERE name = '{NAME}'"
COLLECT_LWT = f"{COLLECT} IF never = NULL"
COLLECTION = f"SELECT elements FROM {KEYSPACE}.collections WHERE name = ?"


class SetClient(CassandraClient):
    """The set is the rows of one partition, or with `elements: collection` one row's `set`."""

    statements = (ADD, ADD_LWT, ELEMENTS, COLLECT, COLLECT_LWT, COLLECTION)

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._collects = spec.options.get("elements", "rows") == "collection"
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        plain, lwt = (COLLECT, COLLECT_LWT) if self._collects else (ADD, ADD_LWT)
        value: Any = {operation.value} if self._collects else operation.value
        if self._lwt:
            self._applied(session, lwt, value)
        else:
            self._write(session, plain, value)
        return Result(value=operation.value, node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        if self._collects:
            rows = self._select(session, COLLECTION, NAME)
            elements = sorted(rows[0][0] or ()) if rows else []
        else:
            elements = [row[0] for row in self._select(session, ELEMENTS, NAME)]
        return Result(payload="[" + ",".join(map(str, elements)) + "]", node=self.node)
