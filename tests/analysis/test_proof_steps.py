"""Contradictions: what each step must be, and what was read out of thin air."""

from __future__ import annotations

import copy

import pytest

from tests.analysis.certified import CONTRADICTION, REGISTER, STALE, STEPS, invalid
from tests.truth.rows import Row


def test_a_contradiction_is_followed_step_by_step():
    assert invalid(REGISTER, CONTRADICTION, STALE) is None
    assert "no contradiction can show" in invalid("set", CONTRADICTION, STALE)


def bent(changes):
    """The contradiction with some of its steps otherwise."""
    steps = copy.deepcopy(STEPS)
    for number, step in changes.items():
        steps[number] = step
    return {**CONTRADICTION, "steps": steps}


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({**CONTRADICTION, "steps": STEPS[:-1]}, "does not say"),
        ({**CONTRADICTION, "steps": []}, "does not say"),
        ({**CONTRADICTION, "steps": None}, "malformed"),
        ({**CONTRADICTION, "operations": [0, 2, 3]}, "not those of its steps"),
        ({**CONTRADICTION, "operations": [0, 1, 2, 3, 4]}, "not those of its steps"),
        ({**CONTRADICTION, "operations": [0, 2, 3, 4, 4]}, "twice"),
        ({**CONTRADICTION, "operations": [0, 2, 3, 5]}, "does not have"),
        ({**CONTRADICTION, "anomaly": "non-sequential"}, "can show non-sequential"),
        ({**CONTRADICTION, "anomaly": "thin-air-read"}, "can show thin-air-read"),
        ({**CONTRADICTION, "anomaly": None}, "can show"),
        (bent({0: [0, 4, "real-time", [0]]}), "step 0 rests"),
        (bent({1: [0, 2, "real-time", [0]]}), "step 1"),
        (bent({1: [2, 0, "real-time", []]}), "does not follow"),
        (bent({0: [0, 3, "reads-from", []]}), "does not follow"),
        (bent({0: [-1, 4, "reads-from", []]}), "does not follow"),
        (bent({0: [4, 0, "reads-from", []]}), "does not follow"),
        (bent({1: [0, 2, "process", []]}), "does not follow"),
        (bent({1: [0, 2, "initial", []]}), "does not follow"),
        (bent({1: [0, 2, "because", []]}), "malformed"),
        (bent({1: [0, 2, None, []]}), "malformed"),
        (bent({1: [0, 2, "real-time", None]}), "malformed"),
        (bent({1: [0, 2, "real-time"]}), "malformed"),
        (bent({1: [0, 2.0, "real-time", []]}), "not about rows"),
        (bent({1: [False, 2, "real-time", []]}), "not about rows"),
        (bent({1: [0, 5, "real-time", []]}), "not known to have happened"),
        (bent({1: [0, -2, "real-time", []]}), "not known to have happened"),
        (bent({1: [-1, 2, "real-time", []]}), "does not follow"),
        (bent({2: [4, 2, "overwrite", [1, 0]]}), "does not follow"),
        (bent({2: [4, 2, "overwrite", [0]]}), "malformed"),
        (bent({2: [4, 2, "overwrite", [0, 1, 1]]}), "malformed"),
        (bent({2: [4, 2, "overwrite", [0, True]]}), "not about rows"),
        (bent({2: [4, 2, "overwrite", [0, 2]]}), "step 2 rests"),
        (bent({2: [4, 2, "overwritten", [0, 1]]}), "does not follow"),
        (bent({2: [4, 3, "overwrite", [0, 1]]}), "does not follow"),
        (bent({5: [2, 4, "transitive", [4, 3]]}), "does not follow"),
        (bent({5: [3, 4, "transitive", [3, 4]]}), "does not follow"),
    ],
)
def test_a_step_that_does_not_follow_is_refused(claim, why):
    assert why in (invalid(REGISTER, claim, STALE) or "accepted")


def one_step(step, rows, prop=REGISTER, initial=None):
    """Whether a step without premises follows: the complaint is about the claim's end then."""
    claim = {"anomaly": "stale-read", "kind": "contradiction", "steps": [step]}
    claim["operations"] = [row for row in step[:2] if row >= 0]
    return "does not say" in invalid(prop, claim, rows, initial=initial)


def test_reads_from_needs_the_only_writer():
    rows = [Row("write", 1, 0, 1), Row("read", 1, 2, 3), Row("write", 1, 4, 5, type="info")]
    assert not one_step([0, 1, "reads-from", []], rows)
    assert one_step([0, 1, "reads-from", []], rows[:2])
    assert one_step([0, 1, "reads-from", []], [*rows[:2], rows[2]._replace(type="fail")])
    assert not one_step([0, 1, "reads-from", []], rows[:2], initial=1)
    assert one_step([-1, 0, "reads-from", []], rows[1:2], initial=1)
    assert not one_step([-1, 0, "reads-from", []], rows[1:], initial=1)
    assert not one_step([0, 1, "reads-from", []], [rows[0], rows[1]._replace(key="other")])
    assert one_step([0, 1, "reads-from", []], [rows[0], Row("cas", 2, 2, 3, expected=1)])
    for value in (1.0, "1", True, [1]):
        assert not one_step([0, 1, "reads-from", []], [rows[0], rows[1]._replace(value=value)])


def test_real_time_is_strict_and_needs_an_answer():
    rows = [Row("write", 1, 0, 2), Row("write", 2, 2, 3), Row("write", 3, 3, 4, type="info")]
    rows += [
        Row("read", 3, 9, 9),
        Row("read", None, 10, 11, error="unread"),
        Row("read", 3, 12, 13),
    ]
    assert not one_step([0, 1, "real-time", []], rows)
    assert one_step([0, 1, "real-time", []], [rows[0]._replace(end=1), *rows[1:]])
    assert one_step([0, 2, "real-time", []], rows)
    assert not one_step([2, 3, "real-time", []], rows)
    assert not one_step([3, 4, "real-time", []], rows)
    assert one_step([3, 5, "real-time", []], rows)
    assert not one_step([3, 5, "real-time", []], rows, "sequential")
    assert one_step([3, 5, "process", []], rows, "sequential")


def test_process_order_has_an_end_where_the_other_begins():
    rows = [
        Row("write", 1, 0, 2),
        Row("write", 2, 2, 3),
        Row("read", 2, 3, 3),
        Row("read", 2, 3, 3),
    ]
    rows += [Row("read", 2, 4, 4, process=1)]
    for x, y in ((0, 1), (1, 2), (2, 3), (0, 3)):
        assert one_step([x, y, "process", []], rows, "sequential")
        assert not one_step([y, x, "process", []], rows, "sequential")
    assert not one_step([0, 4, "process", []], rows, "sequential")


def test_what_was_seen_has_happened_however_it_was_seen():
    rows = [
        Row("cas", 1, 0, 1, expected=None, type="info"),
        Row("cas", 2, 0, 1, expected=1, type="info"),
        Row("cas", 3, 0, 1, expected=2, type="info"),
        Row("read", 3, 5, 6),
        Row("write", 4, 0, 1, type="info"),
    ]
    for step in ([-1, 0], [0, 1], [1, 2], [2, 3]):
        assert one_step([*step, "reads-from", []], rows)
    assert one_step([-1, 0, "initial", []], rows)
    assert not one_step([-1, 4, "initial", []], rows)
    assert not one_step([-1, 0, "initial", []], [*rows[:2], rows[3]])


def test_refused_swaps_stand_outside_what_they_did_not_find():
    rows = [Row("write", 1, 0, 1), Row("read", 1, 6, 7)]
    rows += [Row("cas", 9, 2, 3, expected=1, type="fail", error="cas-mismatch")]
    steps = [
        [0, 1, "reads-from", []],
        [0, 2, "real-time", []],
        [1, 2, "overwrite", [0, 1]],
        [2, 1, "real-time", []],
        [1, 1, "transitive", [2, 3]],
    ]
    claim = {"kind": "contradiction", "anomaly": "refused-swap", "operations": [0, 1, 2]}
    claim["steps"] = steps
    assert invalid("linearizable-cas-register", claim, rows) is None
    plainly = {**claim, "anomaly": "stale-read"}
    assert "known to have happened" in invalid(REGISTER, plainly, rows)
    rows[2] = rows[2]._replace(expected=2)
    assert "does not follow" in invalid("linearizable-cas-register", claim, rows)


@pytest.mark.parametrize("prop", [REGISTER, "linearizable-cas-register", "sequential"])
def test_values_out_of_thin_air(prop):
    rows = [Row("read", 7, 0, 1), Row("write", 8, 2, 3, type="fail"), Row("read", 8, 4, 5)]
    rows += [Row("write", 9, 6, 7), Row("read", 9, 8, 9), Row("read", None, 10, 11)]
    rows += [Row("cas", 6, 0, 1, expected=5, type="info"), Row("read", 6, 12, 13)]

    def why(name, *operations):
        claim = {"kind": "observed", "anomaly": name, "operations": list(operations)}
        return invalid(prop, claim, rows) or "accepted"

    assert why("thin-air-read", 0) == "accepted"
    assert why("aborted-read", 1, 2) == "accepted"
    assert why("thin-air-read", 6, 7) == "accepted"
    assert "that it happened" in why("thin-air-read", 6)
    assert "that it happened" in why("thin-air-read", 0, 7)
    assert "did" in why("thin-air-read", 2)
    assert "named" in why("aborted-read", 3, 2)
    assert "named" in why("aborted-read", 1, 0)
    assert "somebody" in why("thin-air-read", 4)
    assert "somebody" in why("thin-air-read", 5)
    assert "malformed" in why("thin-air-read")
    assert "malformed" in why("aborted-read", 1)
    assert "can show" in why("phantom", 0)
