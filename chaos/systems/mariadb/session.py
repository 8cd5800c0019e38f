"""MariaDB's client that reads from replicas: writes go to the primary, reads where it is told.

A connection to each node, made when it is first needed. What a replica shows is what it has applied
so far: old, but in the order of the primary's commits.
"""

from __future__ import annotations

from pymysql.err import OperationalError

from chaos.record.op import Invocation, Result
from chaos.systems._common import chosen_node
from chaos.systems.base import ClientSpec, NotConnected
from chaos.systems.mariadb.client import Access, RegisterClient
from chaos.systems.mariadb.wire import NoAnswer, Session


class SessionClient(RegisterClient):
    """A register client with the option `reads`: primary, home or any."""

    def __init__(self, spec: ClientSpec, access: Access | None = None) -> None:
        super().__init__(spec, access)
        self._reads = str(spec.options.get("reads", "primary"))
        self._readers: dict[str, Session] = {}

    def open(self) -> None:
        """Connect to the primary, or where reads do not go there to any node, home first."""
        if self._reads == "primary":
            super().open()
            return
        self.close()
        said = []
        for at in range(len(self._spec.endpoints)):
            node = chosen_node(self._spec, at)
            try:
                self._reader(node)
            except NotConnected as error:
                said.append(str(error))
                continue
            self.node = node
            return
        raise NotConnected("; ".join(said))

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, where it belongs; a broken connection is dropped."""
        if operation.f != "read" or self._reads == "primary":
            return super().invoke(operation)
        node = chosen_node(self._spec, operation.at if self._reads == "any" else 0)
        session = self._reader(node)
        try:
            result = self._read(session, operation)
        except Exception as error:
            if session.broken or isinstance(error, NoAnswer | OperationalError):
                self._readers.pop(node).close()
            raise
        return Result(value=result.value, node=node)

    def _reader(self, node: str) -> Session:
        if node not in self._readers:
            self._readers[node] = self._access.session(self._spec, node)
        return self._readers[node]

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        readers, self._readers = self._readers, {}
        for session in readers.values():
            session.close()
