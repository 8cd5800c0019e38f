"""MariaDB's sessions for the isolation probes: statements that may be left waiting."""

from __future__ import annotations

import time

from pymysql.err import MySQLError

from chaos.errors import ClusterError
from chaos.systems.base import Address, NotConnected
from chaos.systems.mariadb.wire import DATABASE, OPERATOR, NoAnswer, Session, code_of
from chaos.systems.sql import SqlAnswer

TIMEOUT_S = 20.0
LOCKS_S = 30  # longer than any script: what one waits for is the other, not the clock
REFUSALS = (1020, 1205, 1213)  # record changed, lock wait timeout, deadlock
WAITS = (
    "SELECT COUNT(*) FROM information_schema.innodb_trx"
    " WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id = %s"
)
CACHED_S = 0.11  # innodb_trx shows what it showed, if it was asked within the last 0.1 s


class MariadbSql:
    """See `chaos.systems.base.SqlSession`."""

    def __init__(self, address: Address) -> None:
        try:
            self._session = Session(address, TIMEOUT_S, OPERATOR, DATABASE)
            self._session.run("SET SESSION innodb_lock_wait_timeout = %s", LOCKS_S)
        except (NotConnected, MySQLError, NoAnswer) as error:
            raise ClusterError(f"no session for the probes: {error}") from error

    @property
    def thread(self) -> int:
        """The number of the connection in the server."""
        return self._session.thread

    def send(self, statement: str) -> None:
        """Begin one statement."""
        self._session.begin(statement)

    def answer(self, wait_s: float) -> SqlAnswer | None:
        """What came within `wait_s`; ClusterError for errors that no level is kept by."""
        if not self._session.answered(wait_s):
            return None
        try:
            found = self._session.answer()
        except (MySQLError, NoAnswer) as error:
            if code_of(error) in REFUSALS:
                return SqlAnswer(refused=f"{error.args[0]}: {error.args[1]}")
            raise ClusterError(f"a probe's session failed: {str(error)[:300]}") from error
        rows = [tuple(None if cell is None else int(cell) for cell in row) for row in found.rows]
        return SqlAnswer(rows=rows, changed=0 if rows else found.changed)

    def waits_for(self, thread: int) -> bool:
        """Whether the statement of another connection waits for a lock, as this one is told."""
        time.sleep(CACHED_S)
        return bool(self._session.run(WAITS, thread).value)

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()


def waits(watcher: MariadbSql, session: MariadbSql) -> bool:
    """Whether the statement of `session` waits for another's lock."""
    return watcher.waits_for(session.thread)
