"""Scores against worked figures; locks that hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from analysis.predictions import (
    PREDICTIONS,
    brier,
    happened,
    lock,
    log_score,
    mean_brier,
    read_locked,
    score,
)
from chaos.errors import RecordError

LOST = {
    "verdict": "invalid",
    "checks": [
        {
            "property": "set",
            "verdict": "invalid",
            "anomalies": [{"name": "lost-write", "count": 560}],
        }
    ],
    "availability": {"by_requests": 0.97, "groups": [{"f": "add", "ok": 1000}]},
    "primaries": {"two_at_once_s": 4.5, "windows": []},
}


def test_scores() -> None:
    assert brier(0.8, True) == pytest.approx(0.04)
    assert log_score(0.8, True) == pytest.approx(0.2231, abs=1e-4)
    assert brier(0.0, True) == 1.0
    assert log_score(0.0, True) == math.inf
    assert log_score(0.0, False) == 0.0


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ({"kind": "anomaly", "name": "lost-write"}, True),
        ({"kind": "anomaly", "name": "lost-write", "at_least": 561}, False),
        ({"kind": "anomaly", "name": "phantom"}, False),
        ({"kind": "lost_share_at_least", "share": 0.56}, True),
        ({"kind": "lost_share_at_least", "share": 0.57}, False),
        ({"kind": "two_primaries"}, True),
        ({"kind": "availability_below", "share": 0.97}, False),
        ({"kind": "availability_below", "share": 0.98}, True),
    ],
)
def test_outcomes(outcome: dict[str, Any], expected: bool) -> None:
    assert happened(outcome, LOST) is expected


def test_outcomes_of_a_run_that_cannot_tell() -> None:
    for kind in ("two_primaries", "lost_share_at_least", "availability_below"):
        assert happened({"kind": kind, "share": 0.5}, {}) is None
    assert happened({"kind": "anomaly", "name": "lost-write"}, {"verdict": "unknown"}) is None
    with pytest.raises(RecordError, match="kind"):
        happened({"kind": "rain"}, LOST)


def test_locked_once_and_for_good(tmp_path: Path) -> None:
    lock(tmp_path, {"q1": 0.8, "q2": 0.1})
    before = (tmp_path / PREDICTIONS).read_bytes()
    with pytest.raises(RecordError, match="locked already"):
        lock(tmp_path, {"q1": 1.0})
    assert (tmp_path / PREDICTIONS).read_bytes() == before
    assert [a.probability for a in read_locked(tmp_path)] == [0.8, 0.1]


def test_a_changed_probability_is_found(tmp_path: Path) -> None:
    lock(tmp_path, {"q1": 0.8})
    data = json.loads((tmp_path / PREDICTIONS).read_text())
    data["answers"][0]["probability"] = 1.0
    (tmp_path / PREDICTIONS).write_text(json.dumps(data))
    with pytest.raises(RecordError, match="changed after it was locked"):
        read_locked(tmp_path)
    (tmp_path / PREDICTIONS).write_text('{"answers": [{}]}')
    with pytest.raises(RecordError, match="not what was locked"):
        read_locked(tmp_path)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_no_probability(tmp_path: Path, probability: float) -> None:
    with pytest.raises(RecordError, match="from 0 to 1"):
        lock(tmp_path, {"q1": probability})
    assert not (tmp_path / PREDICTIONS).exists()


def test_score_of_a_story(tmp_path: Path) -> None:
    questions = [
        {"id": "loses", "about": "run", "outcome": {"kind": "anomaly", "name": "lost-write"}},
        {"id": "two", "about": "fix", "outcome": {"kind": "two_primaries"}},
        {"id": "open", "about": "fix", "outcome": {"kind": "availability_below", "share": 0.5}},
        {"id": "unasked", "about": "run", "outcome": {"kind": "two_primaries"}},
    ]
    answers = lock(tmp_path, {"two": 0.6, "loses": 0.8, "open": 0.5})
    fix = {"verdict": "valid", "primaries": {"two_at_once_s": 0}}
    scored = score(answers, questions, {"run": LOST, "fix": fix})
    assert [s.question for s in scored] == ["loses", "two", "open"]
    assert [s.happened for s in scored] == [True, False, None]
    assert mean_brier(scored) == pytest.approx((0.04 + 0.36) / 2)
    assert mean_brier([]) is None
