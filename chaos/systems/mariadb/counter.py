"""MariaDB's counters: one statement adds, and the row's lock keeps adds apart."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.mariadb.client import Access, MariadbClient
from chaos.systems.mariadb.wire import Session

ADD = (
    "INSERT INTO counters (id, value) VALUES (%s, %s)"
    " ON DUPLICATE KEY UPDATE value = value + VALUES(value)"
)
READ = "SELECT value FROM counters WHERE id = %s"


class CounterClient(MariadbClient):
    """A counter is a row of `counters`."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        session.run(ADD, str(operation.key), operation.value or 0)
        return Result(node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        return Result(value=session.run(READ, str(operation.key)).value or 0, node=self.node)
