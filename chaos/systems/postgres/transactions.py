"""PostgreSQL's transactions: BEGIN, a statement for each micro-operation, COMMIT.

All statements of a transaction together have the client's deadline. Until COMMIT is sent, whatever
happens undoes the transaction: the server rolls back when its client is gone. From then on only an
answer of the server tells. A serialization failure or a deadlock is an answer that says no: the
connection rolls back and stays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from psycopg import errors as pg
from psycopg.pq.abc import PGresult

from chaos.record.op import Invocation, Result
from chaos.systems._transactions import (
    NotCommitted,
    accounts_of,
    answered,
    balances,
    micros_of,
    transfer_of,
)
from chaos.systems.base import ClientSpec, Definite, classify
from chaos.systems.postgres.client import (
    ERRORS,
    READ,
    WRITE,
    NoAnswer,
    PostgresClient,
    Session,
)

T = TypeVar("T")
LEVELS: Mapping[str, bytes] = {
    "read-committed": b"READ COMMITTED",
    "repeatable-read": b"REPEATABLE READ",
    "serializable": b"SERIALIZABLE",
}
REFUSALS = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable, pg.UniqueViolation)

READ_LIST = b"SELECT array_to_json(elements)::text FROM lists WHERE key = $1"
APPEND = (
    b"INSERT INTO lists (key, elements) VALUES ($1, ARRAY[$2::bigint])"
    b" ON CONFLICT (key) DO UPDATE SET elements = lists.elements || excluded.elements"
)
OPEN = b"INSERT INTO accounts (id, balance) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING"
BALANCE = b"SELECT balance FROM accounts WHERE id = $1"
SET_BALANCE = b"UPDATE accounts SET balance = $2 WHERE id = $1"
BALANCES = b"SELECT id, balance FROM accounts"


class Transaction:
    """The statements of one transaction, with the time that is left for them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._deadline = time.monotonic() + session.timeout_s

    def run(self, statement: bytes, *values: int) -> PGresult:
        """One statement; psycopg's errors, NoAnswer, NotReplicated."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise NoAnswer(f"no time was left of {self._session.timeout_s:g} s")
        return self._session.run(statement, [b"%d" % value for value in values], left_s)

    def text(self, statement: bytes, *values: int) -> str | None:
        """The first column of the first row, as text."""
        found = self.run(statement, *values)
        value = found.get_value(0, 0) if found.ntuples else None
        return None if value is None else value.decode()


class TransactionClient(PostgresClient):
    """A client whose operations are transactions at the level of its option `isolation`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        level = LEVELS.get(str(spec.options.get("isolation", "")))
        self._begin = b"BEGIN" + (b" ISOLATION LEVEL " + level if level else b"")

    def _committed(self, session: Session, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once committed. NotCommitted, Definite: it certainly was not."""
        transaction = Transaction(session)
        try:
            transaction.run(self._begin)
            done = work(transaction)
        except Exception as error:
            self._undone(session, error)
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        try:
            ended = transaction.run(b"COMMIT")
        except REFUSALS as error:
            raise _refused(error) from error
        if ended.command_status != b"COMMIT":
            raise NotCommitted(f"COMMIT was answered by {ended.command_status!r}")
        return done

    def _undone(self, session: Session, error: Exception) -> None:
        """Roll back where the connection allows it, and say why if the server said so itself."""
        if session.broken or isinstance(error, NoAnswer):
            return
        try:
            session.run(b"ROLLBACK")
        except Exception:  # what is being given up may be broken in any way
            return
        if isinstance(error, REFUSALS):
            raise _refused(error) from error
        if classify(error, ERRORS)[0]:
            raise error


def _refused(error: Exception) -> Definite:
    code, _, reason = classify(error, ERRORS)[1].partition(": ")
    return Definite(code, reason)


class MicroClient(TransactionClient):
    """Micro-operations on registers, each a statement."""

    read, write = READ, WRITE

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"txn": self._txn}

    def _txn(self, session: Session, operation: Invocation) -> Result:
        micros = micros_of(operation)

        def work(transaction: Transaction) -> list[object]:
            reads: list[object] = []
            for kind, key, value in micros:
                if kind == "r":
                    found = transaction.text(self.read, key)
                    reads.append(None if found is None else json.loads(found))
                else:
                    transaction.run(self.write, key, value)
            return reads

        return answered(micros, self._committed(session, work), self.node)


class ListsClient(MicroClient):
    """The same on lists, which are arrays."""

    read, write = READ_LIST, APPEND


class BankClient(TransactionClient):
    """Accounts: rows of `accounts`. A transfer reads both balances and writes both, as an
    application would that computes them itself."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"open": self._open, "transfer": self._transfer, "read": self._balances}

    def _open(self, session: Session, operation: Invocation) -> Result:
        def work(transaction: Transaction) -> None:
            for account, held in accounts_of(operation).items():
                transaction.run(OPEN, account, held)

        self._committed(session, work)
        return Result(node=self.node)

    def _transfer(self, session: Session, operation: Invocation) -> Result:
        giver, taker, amount = transfer_of(operation)

        def work(transaction: Transaction) -> None:
            held, other = (int(transaction.text(BALANCE, k) or 0) for k in (giver, taker))
            if held < amount:
                raise Definite("insufficient", "the account holds less than the amount")
            transaction.run(SET_BALANCE, giver, held - amount)
            transaction.run(SET_BALANCE, taker, other + amount)

        self._committed(session, work)
        return Result(node=self.node)

    def _balances(self, session: Session, operation: Invocation) -> Result:
        def work(transaction: Transaction) -> dict[int, int]:
            found = transaction.run(BALANCES)
            columns = [
                [int(found.get_value(row, column) or 0) for row in range(found.ntuples)]
                for column in (0, 1)
            ]
            return dict(zip(*columns, strict=True))

        return balances(self._committed(session, work), self.node)
