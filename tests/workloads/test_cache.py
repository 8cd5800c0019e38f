"""The workload cache: what is read from where, and what a cache that is away changes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chaos.errors import SpecError
from chaos.record.op import Invocation, Result
from chaos.systems.base import Judged
from chaos.workloads.base import LoadShape
from chaos.workloads.cache import WORKLOAD


class Keys:
    """A store or a cache in memory; `error`: what every call raises, if any."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.held: dict[str | None, int | None] = {}
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.opened = 0

    def open(self) -> None:
        if self.error:
            raise self.error
        self.opened += 1

    def invoke(self, operation: Invocation) -> Result:
        if self.error:
            raise self.error
        self.asked.append(operation.f)
        if operation.f in ("set", "write", "cas"):
            self.held[operation.key] = operation.value
        if operation.f == "delete":
            self.held.pop(operation.key, None)
        return Result(value=self.held.get(operation.key), node=self.node)

    def close(self) -> None:
        """Nothing to drop."""


def made(**options: int) -> tuple[Any, Keys, Keys]:
    cache, store = Keys("c1"), Keys("p1")
    parts = {"cache": cache, "store": store}
    client = WORKLOAD.joined(parts, LoadShape(options=options))
    client.open()
    return client, cache, store


READ, WRITE = Invocation("read", "k0"), Invocation("write", "k0", 7)


def test_a_read_that_misses_fills_the_cache_and_the_next_is_served_by_it() -> None:
    client, cache, store = made()
    store.held["k0"] = 3
    assert [client.invoke(READ).node for _ in range(2)] == ["p1", "c1"]
    assert (cache.held, store.asked) == ({"k0": 3}, ["read"])
    assert cache.opened == 1


def test_what_is_nowhere_is_not_cached() -> None:
    client, cache, _ = made()
    assert client.invoke(READ).value is None
    assert cache.asked == ["get"]


def test_a_write_deletes_what_is_cached() -> None:
    client, cache, store = made()
    cache.held["k0"] = 3
    client.invoke(WRITE)
    assert (cache.held, store.held) == ({}, {"k0": 7})


def test_a_write_through_caches_what_it_wrote() -> None:
    client, cache, _ = made(through=1)
    client.invoke(WRITE)
    client.invoke(Invocation("cas", "k0", 8, 7))
    assert cache.held == {"k0": 8}


def test_around_the_cache() -> None:
    client, cache, store = made(bypass=1)
    cache.held["k0"] = 3
    client.invoke(WRITE)
    assert client.invoke(READ).value == 7
    assert (cache.asked, cache.opened, store.asked) == ([], 0, ["write", "read"])


def test_a_cache_that_is_away_is_nobody_s_failure() -> None:
    client, cache, _ = made()
    client.invoke(WRITE)
    client.invoke(READ)
    cache.error = Judged(False, "cache: timeout: no answer in time")
    client.invoke(Invocation("write", "k0", 9))
    assert client.invoke(READ).value == 9
    cache.error = None
    assert client.invoke(READ).value == 7, "nothing was deleted, so what is cached is stale"
    assert cache.opened == 2


def test_a_store_that_fails_is_a_failure_and_leaves_the_cache_alone() -> None:
    client, cache, store = made()
    cache.held["k0"] = 3
    store.error = Judged(False, "store: timeout: no answer in time")
    with pytest.raises(Judged, match="store: timeout"):
        client.invoke(WRITE)
    assert cache.held == {"k0": 3}
    assert client.invoke(READ).value == 3


def test_it_writes_what_a_register_writes() -> None:
    shape = LoadShape(mix=WORKLOAD.default_mix, keys=3)
    generator = WORKLOAD.generator(shape, 1, 4, random.Random(1))
    operations = [generator.next() for _ in range(300)]
    written = [op.value for op in operations if op.f == "write"]
    assert {op.f for op in operations} == {"read", "write"}
    assert len(set(written)) == len(written) > 30
    assert [op.key for op in WORKLOAD.final(shape, 0, 2)] == ["k0", "k2"]


def test_an_option_out_of_range() -> None:
    with pytest.raises(SpecError, match="expected bypass from 0 to 1, got 2"):
        made(bypass=2)
