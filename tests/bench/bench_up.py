"""From nothing to a formed cluster, images present: what `aftershock up` and every run wait for."""

from __future__ import annotations

import statistics
import time

from tests.bench.support import Row, planned, row, say

ROUNDS = 5
GOALS = {"etcd-three": "< 3", "postgres-async": "< 5", "redis-sentinel": "< 5"}


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}: medians of five."""
    rows = []
    for name, goal in GOALS.items():
        start_s, form_s, down_s = zip(*(_once(name) for _ in range(ROUNDS)), strict=True)
        whole = [a + b for a, b in zip(start_s, form_s, strict=True)]
        rows += [
            row(f"{name}: up and formed", statistics.median(whole), "s", goal),
            row("· the slowest of five", max(whole), "s"),
            row("· containers started", statistics.median(start_s), "s"),
            row("· cluster formed", statistics.median(form_s), "s"),
            row("· everything removed again", statistics.median(down_s), "s"),
        ]
    return rows


def _once(name: str) -> tuple[float, float, float]:
    """Seconds to start the containers, to form the cluster, to remove it all."""
    with planned(name) as (_, _, cluster):
        marks = [time.perf_counter()]
        cluster.up(lambda _: marks.append(time.perf_counter()))
        marks.append(time.perf_counter())
        began, started, formed = marks
        cluster.down()
        removed = time.perf_counter()
    say(f"  {name}: started {started - began:.2f} s, formed {formed - started:.2f} s")
    return started - began, formed - started, removed - formed
