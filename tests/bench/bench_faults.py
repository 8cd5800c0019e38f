"""From a fault's scheduled time to its effect, and from the end of it to everything as before.

Real entries of a schedule, run by the Nemesis as in every run, on one Redis with Sentinel; only the
journal is kept in memory instead of in a run directory. Every time is what the Nemesis recorded:

- partition: complete once every agent has said that its rule is in the kernel (an upper bound), and
  proven by the last beacon that still passed (one each 2 ms and direction: a lower bound);
- kill, pause: complete when the agent had signalled all processes of the node;
- over: a beacon on every direction, or an answer to a request, had come again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chaos.runtime.cluster import RunningCluster
from tests.bench.support import Row, inject, quantile, row, running, say

INJECTIONS = 20
LASTS_S = 0.7  # longer than the probe of its effect, shorter than Sentinel's two seconds
FIRST_S = 0.3
PERIODS_S = {"partition": 1.3, "pause": 1.3, "kill": 4.0}  # until the next, all probed and over
TARGETS: Mapping[str, Mapping[str, str]] = {
    "partition": {"isolate": "n1"},
    "pause": {"target": "n3"},
    "kill": {"target": "n3"},
}
FAST_MS = "< 10"


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"} over `INJECTIONS` of each fault."""
    rows: list[Row] = []
    with running("redis-sentinel") as (_, _, cluster):
        for fault in PERIODS_S:
            rows += _rows(fault, _inject(fault, cluster))
    return rows


def _inject(fault: str, cluster: RunningCluster) -> list[dict[str, Any]]:
    """Run a schedule of nothing but this fault; what became of each injection."""
    period_s = PERIODS_S[fault]
    nemesis, journal = inject(cluster, [
        {"at": f"{round(1000 * (FIRST_S + k * period_s))}ms", "for": f"{LASTS_S:g}s",
         "fault": fault, **TARGETS[fault]}
        for k in range(INJECTIONS)
    ])  # fmt: skip
    try:
        time.sleep(INJECTIONS * period_s + 0.5)
    finally:
        nemesis.heal()
    return list(journal.faults.values())


def _rows(fault: str, seen: list[dict[str, Any]]) -> list[Row]:
    good = [s for s in seen if s.get("outcome") == s.get("heal_outcome") == "confirmed"]
    say(f"  {fault}: {len(good)} of {len(seen)} confirmed, both ways")
    for one in seen:
        if one not in good:
            say(f"    {one.get('outcome')}, {one.get('heal_outcome')}: {one.get('why')}")
    rows = [row(f"{fault}: confirmed and healed", len(good), f"of {len(seen)}", f"≥ {len(seen)}")]
    if not good:
        return rows
    done = "injected_at_ns" if fault == "partition" else "effect_ns"
    effect = [(s[done] - s["scheduled_ns"]) / 1e6 for s in good]
    over = [(s["healed_ns"] - s["heal_scheduled_ns"]) / 1e6 for s in good]
    where = "on every node" if fault == "partition" else "on the node"
    rows += [
        row(f"{fault}: scheduled → effect {where}, median", quantile(effect, 0.5), "ms", FAST_MS),
        row(f"{fault}: scheduled → effect {where}, p99", quantile(effect, 0.99), "ms", "< 50"),
    ]
    if fault == "partition":
        last = [(s["effect_ns"] - s["scheduled_ns"]) / 1e6 for s in good]
        rows.append(row("partition: scheduled → last beacon, median", quantile(last, 0.5), "ms"))
    return [
        *rows,
        row(f"{fault}: heal scheduled → as before, median", quantile(over, 0.5), "ms"),
        row(f"{fault}: heal scheduled → as before, p99", quantile(over, 0.99), "ms"),
    ]
