"""MariaDB's transactions: a beginning, a statement for each micro-operation, COMMIT.

All statements of a transaction together have the client's deadline. Until COMMIT is sent, whatever
happens undoes the transaction: the server rolls back when its client is gone, and the client rolls
back whatever error it is told, also where the server has undone no more than the statement (1205).
From then on only an answer of the server tells.

A plain SELECT reads a snapshot, taken by the transaction's first read (by each, at read-committed);
what a statement changes is the newest row, whatever the snapshot shows. `locking-reads` makes every
read SELECT … FOR UPDATE: the newest row, locked until the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from chaos.record.op import Invocation, Result
from chaos.systems._common import is_on
from chaos.systems._transactions import (
    NotCommitted,
    accounts_of,
    answered,
    balances,
    micros_of,
    transfer_of,
)
from chaos.systems.base import ClientSpec, Definite, classify
from chaos.systems.mariadb.client import READ, WRITE, Access, MariadbClient
from chaos.systems.mariadb.wire import Answer, NoAnswer, Session

T = TypeVar("T")
# One statement, so that level and beginning take one round trip.
BEGIN_AT = "BEGIN NOT ATOMIC SET TRANSACTION ISOLATION LEVEL {}; START TRANSACTION; END"
LEVELS: Mapping[str, str] = {
    level: BEGIN_AT.format(level.upper().replace("-", " "))
    for level in ("read-uncommitted", "read-committed", "repeatable-read", "serializable")
}
LOCKING = " FOR UPDATE"

READ_LIST = "SELECT elements FROM lists WHERE id = %s"
APPEND = (
    "INSERT INTO lists (id, elements) VALUES (%s, %s)"
    " ON DUPLICATE KEY UPDATE elements = CONCAT(elements, ',', VALUES(elements))"
)
OPEN = "INSERT INTO accounts (id, balance) VALUES (%s, %s) ON DUPLICATE KEY UPDATE id = id"
BALANCE = "SELECT balance FROM accounts WHERE id = %s"
SET_BALANCE = "UPDATE accounts SET balance = %s WHERE id = %s"
BALANCES = "SELECT id, balance FROM accounts"


class Transaction:
    """The statements of one transaction, with the time that is left for them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._deadline = time.monotonic() + session.timeout_s

    def run(self, statement: str, *values: object) -> Answer:
        """One statement; pymysql's errors, NoAnswer."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise NoAnswer(f"no time was left of {self._session.timeout_s:g} s")
        return self._session.run(statement, *values, timeout_s=left_s)


class TransactionClient(MariadbClient):
    """A client whose operations are transactions at the level of its option `isolation`."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._begin = LEVELS.get(str(spec.options.get("isolation", "")), "START TRANSACTION")
        locking = is_on(spec.options, "locking-reads")
        self._lock = LOCKING if locking else ""

    def _committed(self, session: Session, work: Callable[[Transaction], T]) -> T:
        """What `work` returns, once committed. NotCommitted, Definite: it certainly was not."""
        transaction = Transaction(session)
        try:
            transaction.run(self._begin)
            done = work(transaction)
        except Exception as error:
            told = self._undone(session, error)
            if told and (isinstance(error, Definite) or classify(error, self._access.errors)[0]):
                raise
            raise NotCommitted(f"{type(error).__name__}: {error}") from error
        try:
            transaction.run("COMMIT")
        except Exception as error:
            self._undone(session, error)
            raise
        return done

    def _undone(self, session: Session, error: Exception) -> bool:
        """Roll back where the connection allows it; whether it did."""
        if session.broken or isinstance(error, NoAnswer):
            return False
        try:
            session.run("ROLLBACK")
        except Exception:  # what is being given up may be broken in any way
            return False
        return True


class MicroClient(TransactionClient):
    """Micro-operations on registers, each a statement."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._do = {"txn": self._txn}

    def _txn(self, session: Session, operation: Invocation) -> Result:
        micros = micros_of(operation)

        def work(transaction: Transaction) -> list[object]:
            reads: list[object] = []
            for kind, key, value in micros:
                if kind == "r":
                    reads.append(self._read(transaction, str(key)))
                else:
                    self._write(transaction, str(key), value)
            return reads

        return answered(micros, self._committed(session, work), self.node)

    def _read(self, transaction: Transaction, key: str) -> object:
        return transaction.run(READ + self._lock, key).value

    def _write(self, transaction: Transaction, key: str, value: int) -> None:
        transaction.run(WRITE, key, value)


class ListsClient(MicroClient):
    """The same on lists, which are texts: numbers with commas between them."""

    def _read(self, transaction: Transaction, key: str) -> object:
        found = transaction.run(READ_LIST + self._lock, key).value
        return None if found is None else json.loads(f"[{found}]")

    def _write(self, transaction: Transaction, key: str, value: int) -> None:
        transaction.run(APPEND, key, str(value))


class BankClient(TransactionClient):
    """Accounts: rows of `accounts`. A transfer reads both balances and writes both, as an
    application would that computes them itself."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
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
            held, other = (
                transaction.run(BALANCE + self._lock, account).value or 0
                for account in (giver, taker)
            )
            if held < amount:
                raise Definite("insufficient", "the account holds less than the amount")
            transaction.run(SET_BALANCE, held - amount, giver)
            transaction.run(SET_BALANCE, other + amount, taker)

        self._committed(session, work)
        return Result(node=self.node)

    def _balances(self, session: Session, operation: Invocation) -> Result:
        def work(transaction: Transaction) -> dict[int, int]:
            return dict(transaction.run(BALANCES + self._lock).rows)  # type: ignore[arg-type]

        return balances(self._committed(session, work), self.node)
