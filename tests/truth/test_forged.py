"""Violations that were claimed of histories without one, and once were believed."""

from __future__ import annotations

import pytest

from tests.truth import proofs
from tests.truth.properties import PROPERTIES, Setting
from tests.truth.rows import Row

SEEN_EARLY = [
    Row("write", 1, 0, 42),
    Row("read", 2, 0, 63, process=1),
    Row("write", 2, 75, 138, process=2),
]
REFUSED = [
    Row("read", 0, 3, 5),
    Row("cas", 1, 7, 16, "fail", process=7, expected=1, error="cas-mismatch"),
    Row("cas", 2, 13, 20, "fail", process=2, expected=2, error="cas-mismatch"),
]
FORGED = {
    "a beginning in real time, of a property that knows none": (
        "sequential",
        SEEN_EARLY,
        {"anomaly": "non-sequential", "kind": "no-order", "model": "register", "until": 1},
    ),
    "a refused swap saw what it expected": (
        "linearizable-cas-register",
        REFUSED,
        {"anomaly": "thin-air-read", "kind": "observed", "value": 2},
    ),
}


@pytest.mark.parametrize("why", FORGED)
def test_a_forged_violation_is_refused(why):
    name, history, claim = FORGED[why]
    where = Setting(initial=0)
    claim = {**claim, "key": None, "operations": [len(history) - 1 if "value" in claim else 1]}
    forged = proofs.body(name, "invalid", [claim], len(history), where.initial)
    assert PROPERTIES[name].truth(history, where) == "valid"
    assert proofs.refusal(forged, history, where)
