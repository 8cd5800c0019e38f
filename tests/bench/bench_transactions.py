"""How fast transactions of lists are judged, all anomalies, sessions and real time, and how that
grows. *From columns*: with payloads read; what a certificate claims is made in that time, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from analysis.checkers import list_append
from analysis.checkers.base import CheckResult, Context, Verdict
from analysis.history import read_history
from analysis.transactions.columns import Transactions, read_transactions
from chaos.record import rundir
from chaos.record.writer import write_run
from tests.bench.bench_cli import AFTERSHOCK
from tests.bench.list_histories import columns, serial, table
from tests.bench.support import Row, least, row

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
GOALS = {1_000_000: ("< 1", "< 2"), 10_000_000: ("< 20", "< 12")}  # seconds, GB
PROGRAM = """
import json, resource, sys
from tests.bench.bench_transactions import grown
print(json.dumps([*grown(int(sys.argv[1])), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def judged(told: Transactions, verdict: Verdict) -> tuple[float, CheckResult]:
    """The least time of three rounds after a first one, of fewer where they are long."""
    results: list[CheckResult] = []

    def work() -> None:
        results[:] = [list_append.judge(told, Context())]
        assert results[0].verdict is verdict, results[0].why

    return least(work, 4, warm=True), results[0]


def grown(count: int) -> tuple[float, int]:
    """(seconds, elements read) of a valid history of so many transactions."""
    told = columns(serial(count))
    return judged(told, Verdict.VALID)[0], len(told.element)


def growth() -> list[Row]:
    """Each size in a process of its own, which tells how much memory it needed."""
    rows = []
    for count in SIZES:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(count)],
            capture_output=True, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        goal, most = GOALS.get(count, ("", ""))
        seconds, elements, peak = json.loads(done.stdout) if done.returncode == 0 else [None] * 3
        rows.append(row(f"growth: list-append, {count:,} operations", seconds, "s", goal))
        if most:
            what = f"· its memory, {(elements or 0) / 1e6:.0f}M list elements read"
            rows.append(row(what, peak and peak / 1e6, "GB", most))
    return rows


def broken() -> list[Row]:
    """Histories that are invalid, explained: few stale reads, many, and one long cycle."""
    rows = []
    for stale, what in ((50, "50 of 1M transactions read stale"), (100_000, "one in ten does")):
        told = columns(serial(1_000_000, stale=stale))
        seconds, result = judged(told, Verdict.INVALID)
        names = len(result.anomalies)
        rows.append(row(f"{what}: {names} kinds of anomalies told", seconds, "s"))
    seconds, result = judged(ring(100_000), Verdict.INVALID)
    assert len(result.anomalies[0].operations) == 100_000
    rows.append(row("a cycle of 100,000 transactions, explained", seconds, "s", "< 2"))
    return rows


def ring(count: int) -> Transactions:
    """Each transaction reads what the one before appended, the first what the last did."""
    key = np.repeat(np.arange(count), 2)
    key[1::2] = np.roll(key[1::2], 1)
    alone = columns(serial(count))
    zeros = np.zeros(count, np.int64)
    replaced = {
        "first": 2 * np.arange(count + 1),
        "kind": np.tile(np.array([2, 0], np.int8), count),
        "key": key,
        "value": np.tile([1, -1], count),
        "list_first": np.arange(2 * count + 1) // 2,
        "element": np.ones(count, np.int64),
        "keys": np.arange(count),
        "outcome": np.zeros(count, np.int8),
        "process": np.arange(count),
        "start": zeros,
        "end": zeros,
    }
    same = {name: getattr(alone, name) for name in alone.__slots__}
    return Transactions(**{**same, **replaced})


def commands() -> list[Row]:
    """A million transactions: payloads alone, then from the start of the process to its end."""
    count = 1_000_000
    told = table(serial(count))
    megabytes = told.column("payload").nbytes / 1e6
    history = read_history(told)
    reading = min(_timed(lambda: read_transactions(history)) for _ in range(3))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "run"
        imported = {"format": "jepsen-edn", "file": "", "properties": ["list-append"]}
        write_run(path, rundir.RUN_DEFAULTS | {"imported": imported, "state": "done"}, told)
        whole = min(_timed(lambda: _check(path)) for _ in range(3))
    return [
        row(f"payloads of 1M transactions read, {megabytes:.0f} MB", reading, "s"),
        row("aftershock check, 1M transactions in Parquet, with its certificate",
            count / whole, "transactions/s", "≥ 400000"),
    ]  # fmt: skip


def _timed(work: object) -> float:
    assert callable(work)
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _check(path: Path) -> None:
    done = subprocess.run([AFTERSHOCK, "check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}; histories are made outside the measured time."""
    return [*growth(), *broken(), *commands()]
