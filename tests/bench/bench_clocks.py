"""Clock faults on three databases: how soon they are there, and how exact, by the databases' word.

- scheduled → effect: the fault's time until the last agent has said that every process of its node
  has it, over steps of all three nodes of a Redis with Sentinel, as the Nemesis records it;
- step, skew, drift: what `probe` and `review` measured by asking the database (docs/clocks.md);
- cost: how much longer a process whose clock is shifted takes to read it.
"""

from __future__ import annotations

import time
from typing import Any

from chaos.agent.shifts import as_block
from chaos.agent.threads import Threads
from chaos.agent.vdso import Target, Vdso
from chaos.runtime.cluster import RunningCluster
from tests.agent.clock_children import Teller
from tests.bench.support import Row, inject, quantile, row, running, say

STEPS = 30
PERIOD_S = 1.3
LASTS_S = 0.6
SYSTEMS = {"redis-sentinel": "n3", "etcd-three": "n3", "postgres-async": "n2"}
STEP_MS, SKEW_MS, PPM, DRIFT_S = 3_600_000.0, -800.0, 1000.0, 30
EXACT = [
    {"at": "1s", "for": "4s", "fault": "clock-step", "target": "n1", "by": "1h"},
    {"at": "7s", "for": "5s", "fault": "clock-skew", "target": "n1", "by": "-800ms", "over": "3s"},
    {"at": "1s", "for": f"{DRIFT_S}s", "fault": "clock-drift", "ppm": PPM},
]
READINGS = 300_000


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}."""
    rows: list[Row] = []
    for topology, drifting in SYSTEMS.items():
        with running(topology) as (_, system, cluster):
            if topology == "redis-sentinel":
                rows += _soon(_inject(cluster, _steps()))
            entries = [{"target": drifting, **entry} for entry in EXACT]
            rows += _exact(system.name, _inject(cluster, entries), drifting)
    return [*rows, *_cost()]


def _steps() -> list[dict[str, Any]]:
    return [
        {"at": f"{500 + round(1000 * k * PERIOD_S)}ms", "for": f"{LASTS_S:g}s",
         "fault": "clock-step", "target": "all", "by": "-5m"}
        for k in range(STEPS)
    ]  # fmt: skip


def _inject(cluster: RunningCluster, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run a schedule; what became of each entry."""
    nemesis, journal = inject(cluster, entries)
    try:
        time.sleep(max(f["heal_scheduled_ns"] for f in journal.faults.values()) / 1e9 + 1)
    finally:
        nemesis.heal()
    return list(journal.faults.values())


def _soon(seen: list[dict[str, Any]]) -> list[Row]:
    good = [s for s in seen if s.get("outcome") == s.get("heal_outcome") == "confirmed"]
    say(f"  step: {len(good)} of {len(seen)} confirmed, both ways")
    rows = [row("step: confirmed and healed", len(good), f"of {len(seen)}", f"≥ {len(seen)}")]
    if not good:
        return rows
    effect = [(s["effect_ns"] - s["scheduled_ns"]) / 1e6 for s in good]
    over = [(s["healed_ns"] - s["heal_scheduled_ns"]) / 1e6 for s in good]
    return [
        *rows,
        row("step: scheduled → effect on 3 nodes, median", quantile(effect, 0.5), "ms", "< 10"),
        row("step: scheduled → effect on 3 nodes, p99", quantile(effect, 0.99), "ms", "< 50"),
        row("step: heal scheduled → as before, median", quantile(over, 0.5), "ms"),
        row("step: heal scheduled → as before, p99", quantile(over, 0.99), "ms"),
    ]


def _exact(system: str, seen: list[dict[str, Any]], drifting: str) -> list[Row]:
    step, skew, drift = seen
    for fault in seen:
        say(f"  {system} {fault['fault']}: {fault.get('outcome')}, {fault.get('heal_outcome')}")

    def off_ms(fault: dict[str, Any], asked_ms: float) -> float | None:
        got = fault.get("measured", {}).get("n1", {}).get("by_ms")
        return None if got is None else abs(got - asked_ms)

    ppm = drift.get("measured", {}).get(drifting, {}).get("ppm")
    off = None if ppm is None else 100 * abs(ppm - PPM) / PPM
    return [
        row(f"{system}: step of 1 h, off by", off_ms(step, STEP_MS), "ms", "< 5"),
        row(f"{system}: skew of -800 ms, off by", off_ms(skew, SKEW_MS), "ms", "< 5"),
        row(f"{system}: drift of 1,000 ppm over {DRIFT_S} s, off by", off, "%", "< 1"),
    ]


def _cost() -> list[Row]:
    """Reading the clock in a loop of Python; the loop itself is in both."""
    teller = Teller()
    loop = f"min(timeit.repeat(time.time_ns, number={READINGS}, repeat=3)) / {READINGS} * 1e9"
    try:
        teller.say("globals().update(timeit=__import__('timeit')) or 0")
        before = teller.say(loop)
        target = Target(teller.pid, Vdso.own(), Threads())
        target.install(as_block([], 0))
        after = teller.say(loop)
        target.remove()
        target.close()
    finally:
        teller.end()
    return [row("reading a shifted clock takes longer by", after - before, "ns")]
