"""Registers read through a cache: what is cached may be older than what is stored.

Cache-aside, as most applications do it: a read that misses reads the store and fills the cache; a
write writes the store and then deletes what is cached. The store decides what became of an
operation. The cache is best effort: while it does not answer, reads go to the store and fill
nothing, and a write is acknowledged although nothing was deleted.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaos.record.op import Invocation, Result
from chaos.systems.base import Client
from chaos.workloads.base import LoadShape, Option
from chaos.workloads.micro import option
from chaos.workloads.register import Register

OPTIONS: Mapping[str, Option] = {
    "through": Option(
        about="0: a write deletes what is cached (cache-aside); 1: it caches what it wrote",
        default=0,
        least=0,
        most=1,
    ),
    "bypass": Option(
        about="1: reads go to the store, and nothing is ever cached", default=0, least=0, most=1
    ),
}


class Cached:
    """A client of both. It connects to the cache when it needs it, and anew after an error."""

    def __init__(self, cache: Client, store: Client, *, through: bool, bypass: bool) -> None:
        self._cache, self._store = cache, store
        self._through, self._bypass = through, bypass
        self._connected = False

    @property
    def node(self) -> str:
        """The node of the store that it is connected to."""
        return self._store.node

    def open(self) -> None:
        """Connect to the store."""
        self._store.open()

    def invoke(self, operation: Invocation) -> Result:
        """Read from the cache, or from the store and into the cache; change the store, then the
        cache."""
        if self._bypass:
            return self._store.invoke(operation)
        return self._read(operation) if operation.f == "read" else self._change(operation)

    def close(self) -> None:
        """Drop both connections."""
        self._drop()
        self._store.close()

    def _read(self, operation: Invocation) -> Result:
        cached = self._ask(Invocation("get", operation.key))
        if cached is not None and cached.value is not None:
            return cached
        stored = self._store.invoke(operation)
        if cached is not None and stored.value is not None:
            self._ask(Invocation("set", operation.key, stored.value))
        return stored

    def _change(self, operation: Invocation) -> Result:
        changed = self._store.invoke(operation)
        if self._through:
            self._ask(Invocation("set", operation.key, operation.value))
        else:
            self._ask(Invocation("delete", operation.key))
        return changed

    def _ask(self, operation: Invocation) -> Result | None:
        """What the cache answers; None if it does not, which is nobody's failure."""
        try:
            if not self._connected:
                self._cache.open()
                self._connected = True
            return self._cache.invoke(operation)
        except Exception:  # a driver's, of whatever kind: the store goes on without a cache
            self._drop()
            return None

    def _drop(self) -> None:
        self._connected = False
        self._cache.close()


class Cache(Register):
    """See `chaos.workloads.base.Workload`. The history is one of registers."""

    name = "cache"
    about = "Registers read through a cache: a read that misses fills it, a write deletes from it."
    default_mix: Mapping[str, float] = {"read": 8, "write": 2}
    options = OPTIONS
    parts: Mapping[str, str] = {"cache": "cache", "store": "register"}

    def joined(self, clients: Mapping[str, Client], shape: LoadShape) -> Cached:
        """A client of the cache and of the store."""
        told = {name: option(shape, OPTIONS, name) == 1 for name in OPTIONS}
        return Cached(clients["cache"], clients["store"], **told)


WORKLOAD = Cache()
