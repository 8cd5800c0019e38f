"""The client that reads from replicas: writes go to the primary, reads where it is told."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.redis.client import LEAVING, RegisterClient, integer


class SessionClient(RegisterClient):
    """A register client with the option `reads`: primary, home or any.

    Of a cluster's nodes only those that have the key answer: `any` is one of these, and `home` the
    home node if it is, else the first by name.
    """

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._reads = str(spec.options.get("reads", "primary"))

    def open(self) -> None:
        """Connect to the primary, or where reads do not go there to any node, home first."""
        if self._reads == "primary":
            super().open()
        else:
            self._way.open_reader()

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, where it belongs; broken connections are dropped."""
        if operation.f != "read" or self._reads == "primary":
            return super().invoke(operation)
        at, key = (operation.at if self._reads == "any" else 0), str(operation.key)
        try:
            value = integer(self._way.ask_reader(key, at, "GET", key))
        except LEAVING:
            self.close()
            raise
        return Result(value=value, node=self.node)
