"""Beside Porcupine: the same register histories, judged by both in turns on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.checkers import cas_register, register
from analysis.checkers.base import Checker, Context
from analysis.history import read_history
from tests.bench.register_histories import Operation, busy, etcd_like, table
from tests.bench.support import Row, row, say

PROGRAM = Path(__file__).parent / "porcupine"
LIMIT_S = 15.0
LOGS = 40
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Verdicts and seconds of some histories, one each."""

    verdicts: Sequence[str]
    seconds: Sequence[float]


def theirs(binary: Path, histories: Sequence[list[Operation]]) -> Judged:
    """What Porcupine says, at most LIMIT_S for each history."""
    question = json.dumps({"limit_s": LIMIT_S, "histories": histories})
    done = subprocess.run([binary], input=question, capture_output=True, text=True, check=True)
    answers = json.loads(done.stdout)
    return Judged(verdicts=[a["verdict"] for a in answers], seconds=[a["seconds"] for a in answers])


def ours(check: Checker, histories: Sequence[list[Operation]]) -> Judged:
    """What the checker says, from columns to verdict and certificate's claim."""
    verdicts, seconds = [], []
    for operations in histories:
        history = read_history(table(operations))
        began = time.perf_counter()
        result = check(history, Context(enough=1))
        seconds.append(time.perf_counter() - began)
        verdicts.append(str(result.verdict))
    return Judged(verdicts=verdicts, seconds=seconds)


def best(rounds: Sequence[Judged]) -> Judged:
    """The least time of each history over some rounds."""
    columns = zip(*(judged.seconds for judged in rounds), strict=True)
    return Judged(verdicts=rounds[0].verdicts, seconds=[min(column) for column in columns])


def same(one: Judged, other: Judged) -> None:
    """ValueError unless both say the same wherever both say something."""
    for number, pair in enumerate(zip(one.verdicts, other.verdicts, strict=True)):
        if len(set(pair) - {"unknown"}) > 1:
            raise ValueError(f"history {number}: {pair[0]} and {pair[1]}")


def compared(binary: Path, what: str, operations: list[Operation], goal: str) -> list[Row]:
    """One large history, by both."""
    there = theirs(binary, [operations])
    here = best([ours(register.check, [operations]) for _ in range(ROUNDS)])
    same(there, here)
    verdict, least = here.verdicts[0], there.seconds[0] / here.seconds[0]
    more = "at least " if there.verdicts[0] == "unknown" else ""
    return [
        row(f"{what}: {verdict}, ours", here.seconds[0] * 1000, "ms", "< 20"),
        row(f"· Porcupine: {there.verdicts[0]}", there.seconds[0] * 1000, "ms"),
        row(f"· ours is {more}so many times faster", least, "×", goal),
    ]


def logs(binary: Path) -> list[Row]:
    """Many short logs with values written often and operations without an answer."""
    histories = [etcd_like(seed) for seed in range(LOGS)]
    there, here = [], []
    for _ in range(ROUNDS):
        there.append(theirs(binary, histories))
        here.append(ours(cas_register.check, histories))
    same(there[0], here[0])
    a, b = best(there), best(here)
    bad = b.verdicts.count("invalid")
    what = f"{LOGS} logs like etcd's, 85 operations of 5 clients, {bad} not linearizable"
    return [
        row(f"{what}: ours, in all", sum(b.seconds) * 1000, "ms"),
        row("· Porcupine, in all", sum(a.seconds) * 1000, "ms"),
        row("· ours: so many times Porcupine's", sum(b.seconds) / sum(a.seconds), "×", "≤ 1"),
        row("· the slowest of ours", max(b.seconds) * 1000, "ms"),
    ]


def run() -> list[dict[str, Any]]:
    """Rows {"what", "value", "unit", "goal"}; none where there is no Go, or no Porcupine for it."""
    go = shutil.which("go")
    if go is None:
        say("  not measured: there is no Go here")
        return []
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "porcupine"
        built = subprocess.run([go, "build", "-o", binary, "."], cwd=PROGRAM, check=False)
        if built.returncode:
            say("  not measured: Porcupine could not be built")
            return []
        rows = []
        for clients, stale in ((8, False), (8, True), (12, False)):
            what = f"{clients} clients, 10,000 operations{', one stale read' if stale else ''}"
            goal = "≥ 100" if stale or clients == 12 else ""
            rows += compared(binary, what, busy(clients, 10_000, stale=stale), goal)
        return rows + logs(binary)
