"""NATS' client that moves: every operation goes through the node that the workload draws."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec
from chaos.systems.nats.client import BROKEN, RegisterClient


class SessionClient(RegisterClient):
    """A register client with a connection to each node, made when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._lines = Connections(spec, self._opened)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; a broken connection is dropped."""
        node, line = self._lines.at(operation.at)
        try:
            result = self._done(line, operation)
        except BROKEN:
            self._lines.drop(node)
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        self._lines.close()
