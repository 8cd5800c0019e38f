"""Cassandra's client that moves: every operation goes through the node that the workload draws.

It has a session with each node, so that it is the driver's user who moves, and every operation has
one coordinator.
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec
from chaos.systems.cassandra.client import LOST, RegisterClient


class SessionClient(RegisterClient):
    """A register client with a session at each node, made when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._sessions = Connections(spec, self._opened)

    def open(self) -> None:
        """Connect to the home node, or to the next that serves."""
        self.close()
        self.node = self._sessions.first()

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; a broken session is dropped."""
        node, session = self._sessions.at(operation.at)
        try:
            result = self._do[operation.f](session, operation)
        except LOST:
            self._sessions.drop(node)
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        self._sessions.close()
