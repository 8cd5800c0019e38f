"""A counter: INCRBY of a key, which is 0 until something is added."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems.base import ClientSpec
from chaos.systems.redis.client import RedisClient

PREFIX = "counter/"


class CounterClient(RedisClient):
    """A counter is a string key holding a decimal integer."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"add": self._add, "read": self._read}

    def _add(self, operation: Invocation) -> Result:
        key = f"{PREFIX}{operation.key}"
        self._ask(key, "INCRBY", key, int(operation.value or 0))
        self._replicated()
        return Result(node=self.node)

    def _read(self, operation: Invocation) -> Result:
        key = f"{PREFIX}{operation.key}"
        return Result(value=int(self._ask(key, "GET", key) or 0), node=self.node)
