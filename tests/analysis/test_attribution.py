"""Which faults an anomaly falls in."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from analysis.attribution import Moments, attribute, place
from analysis.availability import Window
from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, run_checker
from analysis.history import read_history
from chaos.record.reader import open_run

S = 1_000_000_000
F1 = Window(name="f1", start_ns=10 * S, end_ns=20 * S)
F2 = Window(name="f2", start_ns=15 * S, end_ns=30 * S)
TITLES = {"f1": "f1 (partition, confirmed)", "f2": "f2 (kill, inconclusive)"}


def moments(*spans, verb="running"):
    times = np.array(spans) * S
    return Moments(start=times[:, 0].astype(np.int64), end=times[:, 1].astype(np.int64), verb=verb)


@pytest.mark.parametrize(
    ("spans", "windows", "faults", "sentence"),
    [
        ([(1, 2)], [F1], (), "it was running before any fault"),
        (
            [(11, 12)],
            [F1],
            ("f1",),
            "it was running during f1 (partition, confirmed), 1.0 s after it began",
        ),
        (
            [(9, 10), (12.5, 13)],
            [F1],
            ("f1",),
            "all 2 were running during f1 (partition, confirmed), 0.0–2.5 s after it began",
        ),
        (
            [(20.5, 21)],
            [F1],
            ("f1",),
            "it was running 0.5 s after f1 (partition, confirmed) had ended",
        ),
        (
            [(1, 2), (11, 12), (16, 17), (40, 41)],
            [F1, F2],
            ("f1", "f2"),
            "2 of 4 were running during f1 (partition, confirmed), 1.0–6.0 s after it began; "
            "1 of 4 was running during f2 (kill, inconclusive), 1.0 s after it began; "
            "1 of 4 was running 10.0 s after f2 (kill, inconclusive) had ended; "
            "1 of 4 was running before any fault",
        ),
    ],
)
def test_moments_are_placed_in_windows_or_after_the_last(spans, windows, faults, sentence):
    assert place(moments(*spans), windows, TITLES) == (faults, sentence)


def test_without_a_fault_it_is_said_once_and_not_of_each_anomaly(root):
    run = open_run(root / "experiments" / "recorded" / "redis-split-brain")
    run = replace(run, faults=run.faults.slice(0, 0))
    history = read_history(run.history)
    check = run_checker("set", CHECKERS, history, Context())
    told = attribute(check, history, run)
    assert told.anomalies == check.anomalies
    assert told.anomalies
    assert told.why == f"{check.why}; no fault was injected"


def test_placing_agrees_with_one_moment_at_a_time():
    rng = random.Random(3)
    for _ in range(500):
        windows = []
        for name in ("f1", "f2", "f3"):
            start = rng.randint(0, 40)
            windows.append(
                Window(name=name, start_ns=start * S, end_ns=(start + rng.randint(0, 20)) * S)
            )
        windows.sort(key=lambda w: w.start_ns)
        spans = [(t, t + rng.randint(0, 3)) for t in (rng.randint(0, 70) for _ in range(4))]
        expected = set()
        for start, end in spans:
            inside = {w.name for w in windows if w.start_ns <= end * S and start * S <= w.end_ns}
            before = [w for w in windows if w.end_ns < start * S]
            latest = max((w.end_ns for w in before), default=None)
            after = [w.name for w in before if w.end_ns == latest]
            expected |= inside or set(after[:1])
        found, _ = place(moments(*spans), windows, dict.fromkeys(("f1", "f2", "f3"), "f"))
        assert set(found) == expected
