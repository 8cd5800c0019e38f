"""MariaDB's client that reads from replicas: writes go to the primary, reads where it is told.

A connection to each node, made when it is first needed. What a replica shows is what it has applied
so far: old, but in the order of the primary's commits.
"""

from __future__ import annotations

from pymysql.err import OperationalError

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec
from chaos.systems.mariadb.client import Access, RegisterClient
from chaos.systems.mariadb.wire import NoAnswer


class SessionClient(RegisterClient):
    """A register client with the option `reads`: primary, home or any."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._reads = str(spec.options.get("reads", "primary"))
        self._readers = Connections(spec, lambda node: self._access.session(spec, node))

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
            if session.broken or isinstance(error, NoAnswer | OperationalError):
                self._readers.drop(node)
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        self._readers.close()
