"""PostgreSQL's sessions for the isolation probes: statements that may be left waiting."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from chaos.errors import ClusterError
from chaos.systems.base import Address, NotConnected
from chaos.systems.postgres.client import Session
from chaos.systems.postgres.transactions import LEVELS as NAMES
from chaos.systems.postgres.transactions import REFUSALS
from chaos.systems.sql import SqlAnswer

# READ UNCOMMITTED may be asked for and is READ COMMITTED
# (https://www.postgresql.org/docs/17/transaction-iso.html).
LEVELS: Mapping[str, str] = {
    name: f"BEGIN ISOLATION LEVEL {words.decode()}" for name, words in NAMES.items()
}
TIMEOUT_S = 20.0
WAITS = "SELECT cardinality(pg_blocking_pids({process}))"


class PostgresSql:
    """See `chaos.systems.base.SqlSession`."""

    def __init__(self, address: Address) -> None:
        try:
            self._session = Session(address, TIMEOUT_S, "aftershock isolation")
        except NotConnected as error:
            raise ClusterError(f"no session for the probes: {error}") from error

    @property
    def waits(self) -> str:
        """A question to another session: how many processes this one waits for."""
        return WAITS.format(process=self._session.process)

    def send(self, statement: str) -> None:
        """Begin one statement."""
        self._session.begin(statement.encode())

    def answer(self, wait_s: float) -> SqlAnswer | None:
        """What came within `wait_s`; ClusterError for errors that no level is kept by."""
        try:
            result = self._session.ended(wait_s)
        except REFUSALS as error:
            text = (error.diag.message_primary or str(error)).strip()
            return SqlAnswer(refused=f"{error.sqlstate}: {text}")
        except psycopg.Error as error:
            raise ClusterError(f"a probe's session failed: {str(error).strip()[:300]}") from error
        if result is None:
            return None
        cells = [
            [result.get_value(row, column) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]
        rows = [tuple(None if cell is None else int(cell) for cell in row) for row in cells]
        return SqlAnswer(rows=rows, changed=result.command_tuples or 0)

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()


def waits(watcher: PostgresSql, session: PostgresSql) -> bool:
    """Whether the statement of `session` waits for another's lock."""
    watcher.send(session.waits)
    answer = watcher.answer(TIMEOUT_S)
    return answer is not None and bool(answer.rows[0][0])
