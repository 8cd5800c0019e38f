"""Recorded load as a run makes it, for so many seconds: how many operations a second are ok."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory
from typing import TypeVar

from chaos.load.plan import LoadPlan
from chaos.load.pool import LoadPool
from chaos.runtime.groups import RunningGroup
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape

WARM_S = 0.5  # left out
T = TypeVar("T")


def specs(
    group: RunningGroup, zones: Sequence[str], count: int, timeout_s: float = 5.0
) -> list[ClientSpec]:
    """So many clients, dealt over the zones; each prefers the nodes of its zone, if there are."""
    there = {zone: [n.name for n in group.nodes if n.zone == zone] for zone in zones}
    everywhere = [node.name for node in group.nodes]
    return [
        group.client_spec(
            zone, (homes := there[zone] or everywhere)[k // len(zones) % len(homes)], timeout_s
        )
        for k, zone in zip(range(count), itertools.cycle(zones), strict=False)
    ]


def per_s(
    group: RunningGroup,
    clients: Sequence[ClientSpec],
    workload: str,
    shape: LoadShape,
    seconds: float,
    mark: Callable[[LoadPool], T],
    failed_most: float = 0.0,
) -> tuple[float, T, T]:
    """Operations a second that were ok, and what `mark` said when counting began and ended.

    RuntimeError if a larger share than `failed_most` was not: that is no measurement.
    """
    with TemporaryDirectory() as folder:
        plan = LoadPlan(
            system=group.system.name, workload=workload, shape=shape, clients=clients,
            segment=folder,
        )  # fmt: skip
        with LoadPool(plan) as pool:
            pool.wait_ready(30)
            pool.start(time.monotonic_ns())
            time.sleep(WARM_S)
            began, before, first = _at_tick(pool, mark)
            time.sleep(seconds)
            ended, after, last = _at_tick(pool, mark)
            pool.check()
            pool.stop(10)
            failed = pool.stats().fail + pool.stats().info
            pool.quit()
    if failed > failed_most * (after + failed):
        raise RuntimeError(f"{failed} operations failed, {after} did not: no measurement")
    return (after - before) / (ended - began), first, last


def _at_tick(pool: LoadPool, mark: Callable[[LoadPool], T]) -> tuple[float, int, T]:
    """At the workers' next tick: monotonic seconds, operations done, and the mark."""
    seen = pool.stats().ok
    while pool.stats().ok == seen:  # counts come in ticks, five a second: wait for a fresh one
        pool.check()
        time.sleep(0.001)
    return time.monotonic(), pool.stats().ok, mark(pool)
