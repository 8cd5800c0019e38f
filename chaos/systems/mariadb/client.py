"""MariaDB's clients: which node they speak to, and what its errors mean.

What is off in the driver is said in `mariadb/wire.py`. Each statement is its own transaction,
except in `mariadb/transactions.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pymysql.constants import ER
from pymysql.err import IntegrityError, OperationalError

from chaos.record.op import Invocation, Result
from chaos.systems._common import NOT_CONNECTED, home_first
from chaos.systems._connections import first_that_serves
from chaos.systems._transactions import NOT_COMMITTED, NotCommitted
from chaos.systems.base import ClientSpec, Definite, ErrorRule, NotConnected
from chaos.systems.mariadb.wire import FAILURES, NoAnswer, Session, code_of

UNPREPARED = 1047  # ER_UNKNOWN_COM_ERROR: what Galera says on a node that may not be used

READ = "SELECT value FROM registers WHERE id = %s"
WRITE = (
    "INSERT INTO registers (id, value) VALUES (%s, %s)"
    " ON DUPLICATE KEY UPDATE value = VALUES(value)"
)
CAS = "UPDATE registers SET value = %s WHERE id = %s AND value = %s"
CAS_NEW = "INSERT INTO registers (id, value) VALUES (%s, %s)"
ADD = "INSERT INTO elements (value) VALUES (%s)"  # a retry would show as a duplicate key
READ_ALL = "SELECT value FROM elements ORDER BY value"
_ID = "id varchar(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY"
TABLES = (
    f"CREATE TABLE IF NOT EXISTS registers ({_ID}, value bigint NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS elements (value bigint PRIMARY KEY) ENGINE=InnoDB",
    f"CREATE TABLE IF NOT EXISTS lists ({_ID}, elements longtext NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS accounts"
    " (id bigint PRIMARY KEY, balance bigint NOT NULL) ENGINE=InnoDB",
    f"CREATE TABLE IF NOT EXISTS counters ({_ID}, value bigint NOT NULL) ENGINE=InnoDB",
    f"CREATE TABLE IF NOT EXISTS locks ({_ID}, holder bigint NOT NULL, token bigint NOT NULL,"
    " until datetime(6) NOT NULL) ENGINE=InnoDB",
    f"CREATE TABLE IF NOT EXISTS documents"
    f" ({_ID}, body longtext NOT NULL, token bigint NOT NULL) ENGINE=InnoDB",
)


ERRORS = (
    ErrorRule(
        code="too-many-connections",
        kind=NotConnected,
        pattern=r"\((1040|1203),",
        definite=True,
        reason="1040, 1203: the node turned the connection away; of the operation nothing was sent",
    ),
    *NOT_CONNECTED,
    NOT_COMMITTED,
    ErrorRule(
        code="timeout",
        kind=NoAnswer,
        definite=False,
        reason="no answer in time; the statement may have been committed, or may still be",
    ),
    ErrorRule(
        code="read-only",
        kind=OperationalError,
        pattern=r"^\((1290|1836|1792),",
        definite=True,
        reason="1290: the node is a replica and refuses to write, or to commit what was written",
    ),
    ErrorRule(
        code="deadlock",
        kind=OperationalError,
        pattern=r"^\(1213,",
        definite=True,
        reason="1213: the transaction was rolled back",
    ),
    ErrorRule(
        code="lock-wait-timeout",
        kind=OperationalError,
        pattern=r"^\(1205,",
        definite=True,
        reason="1205: a lock was not had in time and the statement was undone; of a transaction, "
        "the client rolls back the rest",
    ),
    ErrorRule(
        code="record-changed",
        kind=OperationalError,
        pattern=r"^\(1020,",
        definite=True,
        reason="1020: a row was changed after the transaction's snapshot "
        "(innodb_snapshot_isolation); it was rolled back",
    ),
    ErrorRule(
        code="duplicate-key",
        kind=IntegrityError,
        pattern=r"^\(1062,",
        definite=True,
        reason="1062: the row was there already; this statement did not insert it",
    ),
    ErrorRule(
        code="table-full",
        kind=OperationalError,
        pattern=r"^\(1114,",
        definite=True,
        reason="1114: no room for the row; said before the commit",
    ),
    ErrorRule(
        code="commit-failed",
        kind=OperationalError,
        pattern=r"^\((1026|1180),",
        definite=False,
        reason="1026, 1180: the log could not be written or the commit broke off; how much of it "
        "is on disk or on other nodes, nobody says",
    ),
    ErrorRule(
        code="killed",
        kind=OperationalError,
        pattern=r"^\((1053|1317|1927),",
        definite=False,
        reason="1053, 1317, 1927: the server ended the statement or the session, perhaps while its "
        "commit waited for a replica",
    ),
    ErrorRule(
        code="connection-lost",
        kind=OperationalError,
        pattern=r"^\((2006|2013),",
        definite=False,
        reason="2006, 2013: the connection ended before the answer; it may be committed",
    ),
)


class Access:
    """How a client gets at the nodes, and what their errors mean: of one primary and its replicas.
    Galera's is another."""

    errors: Sequence[ErrorRule] = ERRORS
    missing = "no primary"  # what is said of a node that answers and refuses

    def nodes(self, spec: ClientSpec) -> Sequence[str]:
        """The nodes to try for a write, in order: the home node, then the others by name."""
        return home_first(spec)

    def session(self, spec: ClientSpec, node: str) -> Session:
        """A new session on `node`, for reads; NotConnected."""
        return Session(spec.endpoints[node]["db"], spec.timeout_s)

    def refusal(self, session: Session) -> str:
        """Why nothing is to be written there; "" if it may be."""
        return "is a replica" if session.run("SELECT @@global.read_only").value else ""

    def found(self, spec: ClientSpec) -> tuple[str, Session]:
        """The first node that takes writes, and a session there; NotConnected when none does."""
        return first_that_serves(
            self.nodes(spec), lambda node: self._writable(spec, node), FAILURES
        )

    def _writable(self, spec: ClientSpec, node: str) -> Session:
        session = self.session(spec, node)
        try:
            if why := self.refusal(session):
                raise NotConnected(f"{self.missing}: {node} {why}")
        except BaseException:
            session.close()
            raise
        return session


class MariadbClient:
    """One process: stays with the node that takes writes until that breaks or refuses."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        self._spec = spec
        self._access = access or Access()
        self.node = ""
        self._session: Session | None = None
        self._do: Mapping[str, Callable[[Session, Invocation], Result]] = {}

    def open(self) -> None:
        """Connect; NotConnected when no node that takes writes was reached."""
        self.close()
        self._connect()

    def _connect(self) -> None:
        self.node, self._session = self._access.found(self._spec)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; a broken or refused connection is dropped, and made anew by the next call."""
        if self._session is None:
            self._connect()
        assert self._session is not None
        try:
            return self._do[operation.f](self._session, operation)
        except Exception as error:
            refused = code_of(error) in (ER.OPTION_PREVENTS_STATEMENT, UNPREPARED)
            if self._session.broken or refused or isinstance(error, NoAnswer | NotCommitted):
                self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class RegisterClient(MariadbClient):
    """A register is a row of `registers`."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._do = {"read": self._read, "write": self._write, "cas": self._cas}

    def _read(self, session: Session, operation: Invocation) -> Result:
        return Result(value=session.run(READ, str(operation.key)).value, node=self.node)

    def _write(self, session: Session, operation: Invocation) -> Result:
        session.run(WRITE, str(operation.key), operation.value)
        return Result(value=operation.value, node=self.node)

    def _cas(self, session: Session, operation: Invocation) -> Result:
        key, value = str(operation.key), operation.value
        try:
            if operation.expected is None:
                done = session.run(CAS_NEW, key, value)
            else:
                done = session.run(CAS, value, key, operation.expected)
        except IntegrityError as error:
            raise Definite("cas-mismatch", "the row is there already") from error
        if done.changed != 1:
            raise Definite("cas-mismatch", "the row holds another value")
        return Result(value=value, node=self.node)


class SetClient(MariadbClient):
    """The set is the rows of `elements`."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        session.run(ADD, operation.value)
        return Result(value=operation.value, node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        rows = session.run(READ_ALL).rows
        return Result(payload="[" + ",".join(str(row[0]) for row in rows) + "]", node=self.node)
