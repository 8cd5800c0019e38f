"""Cassandra's counters: cells that replicas add to, and the one kind of write with no timestamp.

An add is one request, and not idempotent: one that timed out counts once, or not at all, and must
not be sent again.
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.cassandra.client import CassandraClient
from chaos.systems.cassandra.conf import KEYSPACE
from chaos.systems.cassandra.wire import Session

ADD = f"UPDATE {KEYSPACE}.counters SET value = value + ? WHERE key = ?"
READ = f"SELECT value FROM {KEYSPACE}.counters WHERE key = ?"


class CounterClient(CassandraClient):
    """A counter is a row of `counters`."""

    statements = (ADD, READ)

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, session: Session, operation: Invocation) -> Result:
        self._write(session, ADD, operation.value, operation.key)
        return Result(node=self.node)

    def _read(self, session: Session, operation: Invocation) -> Result:
        rows = self._select(session, READ, str(operation.key))
        return Result(value=rows[0][0] if rows else 0, node=self.node)
