"""A cache: values by key that may go at any time, such as after a while or when memory is full."""

from __future__ import annotations

from chaos.record.op import Invocation, Result
from chaos.systems._common import DURATION, Setting, milliseconds
from chaos.systems.base import ClientSpec
from chaos.systems.redis.client import RedisClient, integer

PREFIX = "cache/"
TTL = Setting(
    about="how long a cached value stays; left out, until it is replaced or deleted",
    values=DURATION,
    workloads=frozenset({"cache"}),
)


class CacheClient(RedisClient):
    """A cached value is a string key holding a decimal integer."""

    def __init__(self, spec: ClientSpec) -> None:
        super().__init__(spec)
        self._do = {"get": self._get, "set": self._set, "delete": self._delete}
        ttl = spec.options.get("ttl")
        self._expiry: tuple[str, ...] = () if ttl is None else ("PX", str(milliseconds(str(ttl))))

    def _get(self, operation: Invocation) -> Result:
        key = f"{PREFIX}{operation.key}"
        return Result(value=integer(self._ask(key, "GET", key)), node=self.node)

    def _set(self, operation: Invocation) -> Result:
        key = f"{PREFIX}{operation.key}"
        self._ask(key, "SET", key, str(operation.value), *self._expiry)
        self._replicated()
        return Result(value=operation.value, node=self.node)

    def _delete(self, operation: Invocation) -> Result:
        key = f"{PREFIX}{operation.key}"
        self._ask(key, "DEL", key)
        self._replicated()
        return Result(node=self.node)
