"""ZooKeeper's client that moves: every operation goes through the node that the workload draws.

It has a session with each node, so that nothing of what it saw at one is known to the next. A
session that moves would be promised more: a server that is behind what its client has seen turns
it away (https://zookeeper.apache.org/doc/r3.9.3/zookeeperProgrammers.html#ch_zkGuarantees, "single
system image").
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec
from chaos.systems.zookeeper.client import LOST, RegisterClient


class SessionClient(RegisterClient):
    """A register client with a session at each node, begun when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._sessions = Connections(spec, self._opened)

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; a broken session is dropped."""
        node, session = self._sessions.at(operation.at)
        try:
            result = self._done(session, operation)
        except LOST:
            self._sessions.forget(node).cut()
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """End all sessions."""
        super().close()
        self._sessions.close()
