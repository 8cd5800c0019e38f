"""ZooKeeper's client that moves: every operation goes through the node that the workload draws.

It has a session with each node, so that nothing of what it saw at one is known to the next. A
session that moves would be promised more: a server that is behind what its client has seen turns
it away (https://zookeeper.apache.org/doc/r3.9.3/zookeeperProgrammers.html#ch_zkGuarantees, "single
system image").
"""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._common import chosen_node
from chaos.systems.base import ClientSpec
from chaos.systems.zookeeper.client import LOST, RegisterClient
from chaos.systems.zookeeper.wire import Session


class SessionClient(RegisterClient):
    """A register client with a session at each node, begun when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._sessions: dict[str, Session] = {}

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; a broken session is dropped."""
        node = chosen_node(self._spec, operation.at)
        if node not in self._sessions:
            self._sessions[node] = self._opened(node)
        try:
            result = self._done(self._sessions[node], operation)
        except LOST:
            self._sessions.pop(node).cut()
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """End all sessions."""
        super().close()
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()
