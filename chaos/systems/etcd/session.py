"""etcd's client that moves: every operation goes through the node that the workload draws."""

from __future__ import annotations

import http.client

from chaos.record.op import Invocation, Result
from chaos.systems._common import chosen_node
from chaos.systems.base import ClientSpec
from chaos.systems.etcd.client import Gateway, RegisterClient


class SessionClient(RegisterClient):
    """A register client with a connection to each node, made when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._gateways: dict[str, Gateway] = {}

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; a broken connection is dropped."""
        node = chosen_node(self._spec, operation.at)
        if node not in self._gateways:
            address = self._spec.endpoints[node]["db"]
            self._gateways[node] = Gateway(address, self._spec.timeout_s)
        try:
            result = self._do[operation.f](self._gateways[node], operation)
        except (OSError, http.client.HTTPException):
            self._gateways.pop(node).close()
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        gateways, self._gateways = self._gateways, {}
        for gateway in gateways.values():
            gateway.close()
