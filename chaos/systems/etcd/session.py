"""etcd's client that moves: every operation goes through the node that the workload draws."""

from __future__ import annotations

import http.client

from chaos.record.op import Invocation, Result
from chaos.systems._connections import Connections
from chaos.systems.base import ClientSpec
from chaos.systems.etcd.client import Gateway, RegisterClient


class SessionClient(RegisterClient):
    """A register client with a connection to each node, made when it is first needed."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._gateways = Connections(
            spec, lambda node: Gateway(spec.endpoints[node]["db"], spec.timeout_s)
        )

    def invoke(self, operation: Invocation) -> Result:
        """Do it once, through the node at its place; a broken connection is dropped."""
        node, gateway = self._gateways.at(operation.at)
        try:
            result = self._do[operation.f](gateway, operation)
        except (OSError, http.client.HTTPException):
            self._gateways.drop(node)
            raise
        return Result(value=result.value, node=node)

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        self._gateways.close()
