"""PostgreSQL's client that reads from standbys: writes go to the primary, reads where it is told.

A connection to each node, made when it is first needed. What a standby shows is what it has applied
so far: old, but in the order of the primary's commits.
"""

from __future__ import annotations

from psycopg import errors as pg

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec
from chaos.systems.postgres.client import NoAnswer, RegisterClient, Session


class SessionClient(RegisterClient):
    """A register client with the option `reads`: primary, home or any."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._reads = str(spec.options.get("reads", "primary"))
        self._readers = Connections(
            spec, lambda node: Session(spec.endpoints[node]["db"], spec.timeout_s)
        )

    def open(self) -> None:
        """Connect to the primary, or where reads do not go there to any node, home first."""
        if self._reads == "primary":
            super().open()
            return
        self.close()
        self.node = self._readers.first()

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, where it belongs; a broken connection is dropped."""
        if operation.f != "read" or self._reads == "primary":
            return super().invoke(operation)
        node, session = self._readers.at(operation.at if self._reads == "any" else 0)
        try:
            result = self._read(session, operation)
        except Exception as error:
            if session.broken or isinstance(error, NoAnswer | pg.OperationalError):
                self._readers.drop(node)
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        self._readers.close()
