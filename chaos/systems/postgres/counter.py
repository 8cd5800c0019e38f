"""PostgreSQL's counters: one statement adds, and the row's lock keeps adds apart."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.postgres.client import PostgresClient, Session

ADD = (
    b"INSERT INTO counters (key, value) VALUES ($1, $2)"
    b" ON CONFLICT (key) DO UPDATE SET value = counters.value + excluded.value"
)
READ = b"SELECT value FROM counters WHERE key = $1"


class CounterClient(PostgresClient):
    """A counter is a row of `counters`."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        session.run(ADD, [str(operation.key).encode(), b"%d" % (operation.value or 0)])
        return Result(node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        found = session.run(READ, [str(operation.key).encode()])
        value = found.get_value(0, 0) if found.ntuples else None
        return Result(value=int(value or 0), node=self.node)
