"""Redis' client that reads from replicas: writes go to the primary, reads where it is told."""

from __future__ import annotations

from redis.exceptions import ConnectionError, RedisError, TimeoutError

from chaos.record.op import Invocation, Result
from chaos.systems._common import chosen_node
from chaos.systems._redis_client import RegisterClient, Wire, connect
from chaos.systems.base import ClientSpec, NotConnected


class SessionClient(RegisterClient):
    """A register client with the option `reads`: primary, home or any."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._reads = str(spec.options.get("reads", "primary"))
        self._readers: dict[str, Wire] = {}

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
        connection = self._reader(node)
        try:
            result = self._read(connection, operation)
        except (ConnectionError, TimeoutError):
            self._readers.pop(node).disconnect()
            raise
        return Result(value=result.value, node=node)

    def _reader(self, node: str) -> Wire:
        if node not in self._readers:
            try:
                self._readers[node] = connect(self._spec.endpoints[node]["db"],
                                              self._spec.timeout_s)  # fmt: skip
            except RedisError as error:
                raise NotConnected(f"connecting to {node}: {error}") from error
        return self._readers[node]

    def close(self) -> None:
        """Drop all connections."""
        super().close()
        readers, self._readers = self._readers, {}
        for connection in readers.values():
            try:
                connection.disconnect()
            except Exception:  # what is being dropped may be broken in any way
                pass
