"""How fast operations are recorded when the client itself takes no time, and in how much memory.

`make bench` runs this; it is no test, because its numbers are the machine's.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chaos.load.plan import LoadPlan
from chaos.load.pool import LoadPool
from chaos.record.reader import open_run
from chaos.record.writer import RunWriter
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape

OPERATIONS = 1_000_000
WORKERS = 2
CLIENTS = 8


def run() -> list[dict[str, Any]]:
    """Rows of {"what", "value", "unit", "goal"}."""
    with TemporaryDirectory() as folder:
        writer = RunWriter.create(Path(folder), "bench", 1, {})
        rate, growth_mb = _load(writer)
        start = time.perf_counter()
        before_mb = _rss_mb(os.getpid())
        writer.finish("done")
        compact_s = time.perf_counter() - start
        compact_mb = _rss_mb(os.getpid(), "VmHWM") - before_mb
        start = time.perf_counter()
        history = open_run(writer.path).history
        read_s = time.perf_counter() - start
    millions = len(history) / 1e6
    return [
        {"what": "recorded operations", "value": rate, "unit": "operations/s", "goal": "≥ 30000"},
        {
            "what": f"memory growth of a worker over {OPERATIONS} operations",
            "value": growth_mb,
            "unit": "MB",
            "goal": "≤ 20",
        },
        {
            "what": "compacting 1M operations",
            "value": compact_s / millions,
            "unit": "s",
            "goal": "",
        },
        {"what": "memory for compacting", "value": compact_mb, "unit": "MB", "goal": ""},
        {
            "what": "reading 1M operations",
            "value": read_s / millions,
            "unit": "s",
            "goal": "< 0.3",
        },
    ]


def _load(writer: RunWriter) -> tuple[float, float]:
    """Operations a second until a million are recorded, and how much the largest worker grew
    from the first tenth of them on."""
    client = ClientSpec(
        zone="a", home="n1", endpoints={}, settings={}, options={"noop": True}, timeout_s=1.0
    )
    plan = LoadPlan(
        system="fake",
        workload="register",
        shape=LoadShape(keys=10),
        clients=[client] * CLIENTS,
        segment=str(writer.segments),
    )
    with LoadPool(plan, workers=WORKERS) as pool:
        pool.wait_ready(30)
        start = time.perf_counter()
        pool.start(time.monotonic_ns())
        early: list[float] = []
        while (done := pool.stats().ok) < OPERATIONS:
            pool.check()
            if not early and done > OPERATIONS / 10:
                early = [_rss_mb(pid) for pid in pool.pids]
            time.sleep(0.05)
        rate = done / (time.perf_counter() - start)
        late = [_rss_mb(pid) for pid in pool.pids]
        pool.stop(10)
        pool.quit()
    return rate, max(b - a for a, b in zip(early, late, strict=True))


def _rss_mb(pid: int, field: str = "VmRSS") -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    for row in run():
        print(f"{row['what']:55} {row['value']:12.3f} {row['unit']:14} {row['goal']}")
