"""The PostgreSQL client: libpq's own asynchronous interface through psycopg, with deadlines.

psycopg's `execute` waits for an answer as long as it takes, and `statement_timeout` is the
server's: it says nothing when the server cannot be reached, and it does not end a commit's wait for
a standby (the server disarms it before the commit). So this client sends, waits on the socket
itself, and gives up at its own deadline; the connection is then of no more use.

Off or unused, because each would act behind the history's back: libpq's multi-host failover and
`target_session_attrs`, psycopg's pool with its reconnects, prepared statements, pipelines. Each
statement is its own transaction, except in `postgres/transactions.py`.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, ExecStatus, PollingStatus
from psycopg.pq.abc import PGconn, PGresult

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, home_first
from chaos.systems._connections import first_that_serves
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import Address, ClientSpec, Definite, ErrorRule, NotConnected

USER = "aftershock"
DATABASE = "postgres"

READ = b"SELECT value FROM registers WHERE key = $1"
WRITE = (
    b"INSERT INTO registers (key, value) VALUES ($1, $2)"
    b" ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
CAS = b"UPDATE registers SET value = $2 WHERE key = $1 AND value = $3"
CAS_NEW = b"INSERT INTO registers (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"
ADD = b"INSERT INTO elements (value) VALUES ($1)"  # a retry would show as a duplicate key
READ_ALL = (
    b"SELECT '[' || coalesce(string_agg(value::text, ',' ORDER BY value), '') || ']' FROM elements"
)
TABLES = (
    "CREATE TABLE IF NOT EXISTS registers (key text PRIMARY KEY, value bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS elements (value bigint PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS lists (key text PRIMARY KEY, elements bigint[] NOT NULL)",
    "CREATE TABLE IF NOT EXISTS accounts (id bigint PRIMARY KEY, balance bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS counters (key text PRIMARY KEY, value bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS locks"
    " (key text PRIMARY KEY, token bigint NOT NULL, until timestamptz NOT NULL)",
    "CREATE TABLE IF NOT EXISTS documents"
    " (key text PRIMARY KEY, body text NOT NULL, token bigint NOT NULL)",
)


class NotReplicated(Exception):
    """The commit succeeded here with a warning: its wait for the standby was cut short."""


class NoAnswer(Exception):
    """Our own deadline passed before the answer."""


ERRORS = (
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="not-replicated",
        kind=NotReplicated,
        definite=False,
        reason="committed on the primary, no standby is known to have it: a failover may undo it",
    ),
    ErrorRule(
        code="timeout",
        kind=NoAnswer,
        definite=False,
        reason="no answer in time; the statement may have been committed, or may still be",
    ),
    ErrorRule(
        code="read-only",
        kind=pg.ReadOnlySqlTransaction,
        definite=True,
        reason="25006: the node is a standby and refuses to write",
    ),
    ErrorRule(
        code="cannot-connect-now",
        kind=pg.CannotConnectNow,
        definite=True,
        reason="57P03: the node is starting or stopping and took no statement",
    ),
    ErrorRule(
        code="too-many-connections",
        kind=pg.TooManyConnections,
        definite=True,
        reason="53300: the node turned the connection away",
    ),
    ErrorRule(
        code="serialization-failure",
        kind=pg.SerializationFailure,
        definite=True,
        reason="40001: the transaction was rolled back",
    ),
    ErrorRule(
        code="deadlock",
        kind=pg.DeadlockDetected,
        definite=True,
        reason="40P01: the transaction was rolled back",
    ),
    ErrorRule(
        code="statement-timeout",
        kind=pg.QueryCanceled,
        definite=True,
        reason="57014: cancelled before the commit began; a cut-short wait for a standby is no "
        "error but a warning (see not-replicated)",
    ),
    ErrorRule(
        code="lock-timeout",
        kind=pg.LockNotAvailable,
        definite=True,
        reason="55P03: the lock was not had and the transaction was rolled back",
    ),
    ErrorRule(
        code="duplicate-key",
        kind=pg.UniqueViolation,
        definite=True,
        reason="23505: the row was there already; this statement did not insert it",
    ),
    ErrorRule(
        code="disk-full",
        kind=pg.DiskFull,
        definite=True,
        reason="53100: said before the commit; one that cannot be logged ends the server instead",
    ),
    ErrorRule(
        code="admin-shutdown",
        kind=pg.AdminShutdown,
        definite=False,
        reason="57P01: the session was ended, perhaps while its commit waited for a standby",
    ),
    ErrorRule(
        code="crash-shutdown",
        kind=pg.CrashShutdown,
        definite=False,
        reason="57P02: the session was ended with the server, perhaps after its commit",
    ),
    ErrorRule(
        code="connection-lost",
        kind=psycopg.OperationalError,
        definite=False,
        reason="class 08 or none: the connection ended before the answer; it may be committed",
    ),
)
FAILURES = (psycopg.Error, NoAnswer, NotReplicated, NotConnected)


class Session:
    """One connection. `timeout_s` bounds connecting and, separately, every statement."""

    def __init__(self, address: Address, timeout_s: float, application: str = "aftershock") -> None:
        self.timeout_s = timeout_s
        self._notices: list[str] = []
        self._result: PGresult | None = None
        self._to_send = 0
        timeout_ms = max(10, int(timeout_s * 1000))
        conninfo = make_conninfo(
            host=address[0],
            port=address[1],
            user=USER,
            dbname=DATABASE,
            sslmode="disable",
            gssencmode="disable",
            application_name=application,
            keepalives_idle=1,
            keepalives_interval=1,
            keepalives_count=3,
            tcp_user_timeout=timeout_ms,
            # A little before our own deadline, so that a lock not had is still said in time.
            options=f"-c statement_timeout={timeout_ms * 9 // 10}",
        )
        self._connection: PGconn = psycopg.pq.PGconn.connect_start(conninfo.encode())
        try:
            self._connect(f"{address[0]}:{address[1]}")
        except BaseException:
            self._connection.finish()
            raise
        self._connection.nonblocking = 1
        self._connection.notice_handler = self._heard
        self._poll = select.poll()
        self._poll.register(self._connection.socket, select.POLLIN)

    def _connect(self, where: str) -> None:
        deadline = time.monotonic() + self.timeout_s
        while True:
            status = (
                PollingStatus.FAILED
                if self._connection.status == ConnStatus.BAD
                else self._connection.connect_poll()
            )
            if status == PollingStatus.OK:
                return
            if status == PollingStatus.FAILED:
                raise NotConnected(self._said())
            waiter = select.poll()
            reading = status == PollingStatus.READING
            waiter.register(self._connection.socket, select.POLLIN if reading else select.POLLOUT)
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0 or not waiter.poll(left_ms):
                raise NotConnected(f"connecting to {where} timed out after {self.timeout_s:g} s")

    def _said(self) -> str:
        return self._connection.error_message.decode(errors="replace").strip()

    def _heard(self, result: PGresult) -> None:
        self._notices.append(result.error_message.decode(errors="replace"))

    @property
    def broken(self) -> bool:
        """Whether libpq has noticed that the connection is gone."""
        return self._connection.status == ConnStatus.BAD

    @property
    def process(self) -> int:
        """The number of the server's process."""
        return self._connection.backend_pid

    @property
    def in_recovery(self) -> bool:
        """Whether the server is a standby, as it last reported by itself (PostgreSQL ≥ 14)."""
        return self._connection.parameter_status(b"in_hot_standby") == b"on"

    def run(
        self, statement: bytes, values: Sequence[bytes | None] = (), timeout_s: float | None = None
    ) -> PGresult:
        """One statement, its own transaction. Raises psycopg's errors, NoAnswer, NotReplicated."""
        wait_s = timeout_s or self.timeout_s
        self.begin(statement, values)
        result = self.ended(wait_s)
        if result is None:
            raise NoAnswer(f"no answer within {wait_s:g} s")
        return result

    def begin(self, statement: bytes, values: Sequence[bytes | None] = ()) -> None:
        """Send one statement, as far as the socket takes it."""
        self._notices.clear()
        self._result = None
        self._connection.send_query_params(statement, values)
        self._to_send = self._connection.flush()

    def ended(self, wait_s: float) -> PGresult | None:
        """The answer to what was begun, None if it did not come in time; errors as for `run`."""
        deadline = time.monotonic() + wait_s
        while True:
            while not self._to_send and not self._connection.is_busy():
                following = self._connection.get_result()
                if following is None:
                    return self._judged(self._result)
                self._result = following
            left_ms = (deadline - time.monotonic()) * 1000
            mask = select.POLLIN | (select.POLLOUT if self._to_send else 0)
            self._poll.modify(self._connection.socket, mask)
            if left_ms <= 0 or not self._poll.poll(left_ms):
                return None
            self._connection.consume_input()
            self._to_send = self._connection.flush()

    def _judged(self, result: PGresult | None) -> PGresult:
        if result is None:
            raise psycopg.OperationalError(self._said() or "the connection gave no result")
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise pg.error_from_result(result)
        for notice in self._notices:
            if "synchronous replication" in notice:
                raise NotReplicated(notice.strip())
        return result

    def row(self, statement: str, timeout_s: float | None = None) -> list[str | None]:
        """The first row of a statement's answer, as text."""
        result = self.run(statement.encode(), (), timeout_s)
        if not result.ntuples:
            return []
        found = [result.get_value(0, column) for column in range(result.nfields)]
        return [None if value is None else value.decode() for value in found]

    def close(self) -> None:
        """Drop the connection; what was begun goes on in the server."""
        self._connection.finish()


class PostgresClient:
    """One process: connects to the first node, the home node first, that is not in recovery."""

    def __init__(self, spec: ClientSpec) -> None:
        self._spec = spec
        self.node = ""
        self._session: Session | None = None
        self._do: Mapping[str, Callable[[Session, Invocation], Result]] = {}

    def open(self) -> None:
        """Connect; NotConnected when no node that takes writes was reached."""
        self.close()
        self._connect()

    def _connect(self) -> None:
        self.node, self._session = first_that_serves(home_first(self._spec), self._primary)

    def _primary(self, node: str) -> Session:
        session = Session(self._spec.endpoints[node]["db"], self._spec.timeout_s)
        if session.in_recovery:
            session.close()
            raise NotConnected(f"no primary: {node} is a standby")
        return session

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken or demoted connection is dropped, and made anew by the next call."""
        if self._session is None:
            self._connect()
        assert self._session is not None
        try:
            return self._do[operation.f](self._session, operation)
        except Exception as error:
            broken = NoAnswer | NotCommitted | pg.ReadOnlySqlTransaction
            if self._session.broken or isinstance(error, broken):
                self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class RegisterClient(PostgresClient):
    """A register is a row of `registers`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, session: Session, operation: Invocation) -> Result:
        found = session.run(READ, [str(operation.key).encode()])
        text = found.get_value(0, 0) if found.ntuples else None
        return Result(value=None if text is None else int(text), node=self.node)

    def _write(self, session: Session, operation: Invocation) -> Result:
        session.run(WRITE, [str(operation.key).encode(), b"%d" % (operation.value or 0)])
        return Result(value=operation.value, node=self.node)

    def _cas(self, session: Session, operation: Invocation) -> Result:
        values = [str(operation.key).encode(), b"%d" % (operation.value or 0)]
        if operation.expected is None:
            done = session.run(CAS_NEW, values)
        else:
            done = session.run(CAS, [*values, b"%d" % operation.expected])
        if done.command_tuples != 1:
            raise Definite("cas-mismatch", "the row holds another value")
        return Result(value=operation.value, node=self.node)


class SetClient(PostgresClient):
    """The set is the rows of `elements`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        session.run(ADD, [b"%d" % (operation.value or 0)])
        return Result(value=operation.value, node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        found = session.run(READ_ALL).get_value(0, 0) or b"[]"
        return Result(payload=found.decode(), node=self.node)
