"""What is observed and what is counted: each rule accepts what it is for, and nothing near it."""

from __future__ import annotations

import pytest

from tests.analysis.certified import invalid, valid
from tests.truth.rows import Row


def add(value, start, end, **more):
    return Row("add", value, start, end, **more)


def read(value, start, end, **more):
    return Row("read", value, start, end, **more)


def lock(f, token, start, end, process, **more):
    return Row(f, token, start, end, process=process, **more)


SET = [add(1, 0, 1), add(2, 2, 3), read([1, 2], 4, 5), read([1], 6, 7), read([1, 1], 8, 9)]
LATE = [read([7], 0, 1), add(7, 2, 3), add(8, 2, 3, type="fail"), read([8], 4, 5), read([7], 1, 2)]
BACK = [add(1, 0, 1), read([], 2, 3), read([1], 4, 5)]
QUEUE = [
    Row("enqueue", 1, 0, 1),
    Row("dequeue", 1, 2, 3),
    Row("dequeue", 1, 4, 5),
    Row("enqueue", 2, 6, 7),
    Row("drain", [], 8, 9),
    Row("dequeue", 9, 8, 9),
]
IDS = [Row("generate", 4, 0, 1), Row("generate", 4, 0, 1), Row("generate", 5, 2, 3)]
IDS += [Row("generate", 4, 0, 1, type="info"), Row("generate", None, 4, 5)]
COUNTS = [
    add(5, 0, 1),
    add(-1, 2, 9),
    add(2, 3, 9, type="info"),
    read(3, 4, 8),
    read(4, 4, 8),
    read(7, 4, 8),
    read(8, 4, 8),
    add(100, 4, 8, type="fail"),
]
LOCK = [
    lock("acquire", 1, 0, 1, 1),
    lock("acquire", 2, 2, 3, 2),
    lock("release", None, 4, 5, 1),
    lock("acquire", 2, 6, 7, 1),
    lock("acquire", 1, 8, 9, 3),
    lock("guarded", 3, 10, 11, 3),
    lock("guarded", 2, 12, 13, 2),
    lock("guarded", 2, 10, 13, 2),
]
NODES = [
    Row("write", 1, 0, 1, node="n1"),
    read(1, 2, 3, node="n1"),
    read(0, 2, 3, node="n2"),
    read(1, 4, 5, node="n2"),
    read(0, 6, 7, node="n3"),
    read(0, 6, 7, node=""),
]
STALE = [
    Row("write", 1, 0, 1),
    Row("write", 2, 2, 3),
    Row("write", 3, 4, 5, type="info"),
    read(3, 6, 7),
    read(1, 8, 9),
    read(2, 8, 9),
    read(None, 10, 11),
    read(2, 6, 9),
]
SWAPS = [Row("write", 1, 0, 9), Row("cas", 2, 1, 2, expected=1), read(1, 3, 4)]

MEMBERS = [
    Row("subscribe", ["k0"], 0, 1, process=1),
    Row("send", [0, 7], 2, 3, key="k0"),
    Row("send", [1, 8], 4, 5, key="k0"),
    Row("send", [2, 9], 6, 7, key="k0"),
    Row("poll", {"k0": [[0, 7]]}, 8, 9, process=1),
    Row("poll", {"k0": [[0, 7], [2, 9]]}, 10, 11, process=1),
    Row("poll", {"k0": [[1, 8], [2, 9]]}, 10, 11, process=2),
    Row("poll", None, 3, 5, process=1, type="fail"),
]
MAY = [*MEMBERS, Row("poll", None, 3, 4, process=1, type="info")]

RULES = [  # property, anomaly, value, history, (operations that show it), (operations that do not)
    ("set", "phantom", 7, LATE, [[0]], [[4], [3], [1], [], [0, 4]]),
    ("set", "resurrected", 8, LATE, [[3]], [[0], [2], [3, 0]]),
    ("set", "duplicate", 1, SET, [[4]], [[2], [3], [0]]),
    ("set", "lost-write", 2, SET, [[1, 3], [2, 3], [1, 4]], [[0, 3], [3, 4], [1, 2], [3, 1]]),
    ("set-full", "lost", 2, SET, [[1, 3]], [[1], [1, 3, 4], [1, 1]]),
    ("set", "vanished", 1, BACK, [], [[0, 1], [2, 1]]),
    ("set", "stale-read", 1, BACK, [[0, 1, 2]], [[0, 1], [0, 2, 1], [2, 1, 0], [1, 0, 2]]),
    ("set", "diverged", 2, SET, [[1, 3, 2], [2, 3]], [[1, 3], [1, 2, 3], [0, 3, 2]]),
    ("set", "resurrected", 1, BACK, [[0, 1, 2]], [[0, 1], [2]]),
    ("total-queue", "duplicated", 1, QUEUE, [[1, 2], [2, 1]], [[1], [2], [1, 1], [0, 1]]),
    ("total-queue", "unexpected", 9, QUEUE, [[5]], [[1], [4]]),
    ("total-queue", "lost", None, QUEUE, [[4]], [[5], [1], [3]]),
    ("at-least-once", "unexpected", 9, QUEUE, [[5]], [[1], [4]]),
    ("at-least-once", "unexpected", 1, QUEUE, [], [[1], [2], [1, 2]]),
    ("at-least-once", "lost", None, QUEUE, [[4]], [[5], [1], [3]]),
    ("group-at-least-once", "skipped", None, MEMBERS, [[2, 5]], [[2, 4], [2, 6], [1, 5], [3, 5]]),
    ("group-at-least-once", "skipped", None, MAY, [], [[2, 5]]),
    ("group-at-least-once", "repeated", None, MEMBERS, [], [[4, 5]]),
    ("group-exactly-once", "repeated", None, MEMBERS, [[4, 5], [5, 4]], [[5, 6], [4, 6], [5]]),
    ("unique-ids", "duplicate-id", None, IDS, [[0, 1], [1, 0]], [[0, 2], [0, 3], [0], [4, 2]]),
    ("counter", "too-low", None, COUNTS, [[3]], [[4], [5], [6], [0], [3, 4]]),
    ("counter", "too-high", None, COUNTS, [[6]], [[3], [4], [5], [7]]),
    ("lock", "two-holders", None, LOCK, [[0, 1], [1, 0], [1, 3], [3, 4]], [[0, 3], [0, 4], [1]]),
    ("lock", "token-reused", None, LOCK, [[1, 3], [0, 4]], [[0, 1], [6, 7]]),
    ("lock", "token-backwards", None, LOCK, [[1, 4], [3, 4]], [[0, 1], [4, 1], [5, 6]]),
    ("lock", "stale-token", None, LOCK, [[5, 6]], [[6, 5], [5, 7], [3, 4]]),
    ("convergence", "diverged", None, NODES, [[1, 4], [3, 4]], [[1, 2], [1, 3], [1, 5], [2, 4]]),
    ("staleness", "stale-read", None, STALE,
     [[0, 1, 4], [0, 2, 3, 4], [1, 2, 3, 5], [0, 6], [2, 3, 6]],
     [[0, 4], [1, 0, 4], [0, 1, 5], [1, 2, 3, 7], [2, 3, 5], [3, 2, 5]]),
    ("staleness", "stale-read", None, SWAPS, [[1, 2]], [[0, 2], [0, 1, 2]]),
    ("staleness", "thin-air-read", 2, SWAPS, [], [[2], [1]]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prop", "name", "value", "rows", "shown", "not_shown"),
    RULES,
    ids=[f"{rule[0]}-{rule[1]}-{number}" for number, rule in enumerate(RULES)],
)
def test_a_rule_accepts_what_it_is_for_and_nothing_near_it(
    prop, name, value, rows, shown, not_shown
):
    def why(operations):
        claim = {"kind": "observed", "anomaly": name, "operations": operations, "value": value}
        return invalid(prop, claim, rows)

    assert {str(operations): why(operations) for operations in shown} == {
        str(operations): None for operations in shown
    }
    assert [operations for operations in not_shown if why(operations) is None] == []


FIGURES = [  # property, history, figures, whether they mean valid, what else is known
    ("set", SET[:3], {"confirmed": 2, "missed": 0, "lost": 0, "excess": 0, "repeated": 0}, True,
     {"final_ns": 4}),
    ("set", SET, {"confirmed": 2, "missed": 1, "lost": 1, "excess": 0, "repeated": 1}, False, {}),
    ("set", SET[:3], {"confirmed": 0, "missed": 0, "lost": 0, "excess": 0, "repeated": 0}, False,
     {"final_ns": 5}),
    ("set-full", BACK, {"kept": 1, "missed": 1, "lost": 0, "excess": 0, "repeated": 0}, True, {}),
    ("set-full", LATE, {"kept": 0, "missed": 1, "lost": 1, "excess": 2, "repeated": 0}, False, {}),
    ("total-queue", QUEUE[:2], {"acknowledged": 1, "missing": 0, "excess": 0}, True, {}),
    ("total-queue", QUEUE, {"acknowledged": 2, "missing": 1, "excess": 2}, False, {}),
    ("at-least-once", QUEUE[:3],
     {"acknowledged": 1, "missing": 0, "unexpected": 0, "again": 1}, True, {}),
    ("at-least-once", QUEUE,
     {"acknowledged": 2, "missing": 1, "unexpected": 1, "again": 1}, False, {}),
    ("group-at-least-once", MEMBERS[:5],
     {"acknowledged": 3, "polled": 1, "skipped": 0, "unsure": 0, "repeated": 0}, True, {}),
    ("group-at-least-once", MAY,
     {"acknowledged": 3, "polled": 3, "skipped": 0, "unsure": 1, "repeated": 1}, False, {}),
    ("group-exactly-once", MEMBERS,
     {"acknowledged": 3, "polled": 3, "skipped": 1, "unsure": 0, "repeated": 1}, False, {}),
    ("unique-ids", IDS[1:], {"ids": 2, "distinct": 2}, True, {}),
    ("unique-ids", IDS, {"ids": 3, "distinct": 2}, False, {}),
    ("counter", [*COUNTS[:3], *COUNTS[4:6]], {"adds": 2, "reads": 2, "outside": 0}, True, {}),
    ("counter", COUNTS, {"adds": 2, "reads": 4, "outside": 2}, False, {}),
    ("lock", [LOCK[0], LOCK[2], LOCK[1]._replace(start=6, end=7)],
     {"rivals": 1, "overlaps": 0, "tokens": 0, "stale": 0}, True, {}),
    ("lock", LOCK, {"rivals": 1, "overlaps": 4, "tokens": 4, "stale": 1}, False, {}),
    ("convergence", NODES[:4], {"compared": 1, "differing": 0}, True, {}),
    ("convergence", NODES, {"compared": 1, "differing": 1}, False, {}),
    ("convergence", NODES[1:4], {"compared": 0, "differing": 0}, False, {}),
    ("staleness", STALE[:4], {"reads": 1, "stale": 0, "excess": 0}, True, {}),
    ("staleness", STALE, {"reads": 5, "stale": 3, "excess": 0}, False, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prop", "rows", "figures", "right", "known"),
    FIGURES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(FIGURES)],
)
def test_figures_are_counted_again(prop, rows, figures, right, known):
    def why(told):
        return valid(prop, {"kind": "figures", "figures": told}, rows, **known)

    assert why(figures) == (None if right else "these figures do not mean that it is valid")
    for name, count in figures.items():
        others = [
            {**figures, name: count + 1},
            {**figures, name: float(count)},
            {**figures, name: count > 0},
            {key: number for key, number in figures.items() if key != name},
        ]
        assert [told for told in others if "counted" not in (why(told) or "")] == []
    assert "counted" in why({**figures, "more": 0})


def test_values_put_twice_leave_staleness_open():
    twice = [Row("write", 1, 0, 1), Row("write", 1, 2, 3), Row("read", 1, 4, 5)]
    claim = {"kind": "figures", "figures": {"reads": 1, "stale": 0, "excess": 0}}
    assert "twice" in valid("staleness", claim, twice)
    assert valid("staleness", claim, twice[1:]) is None
    assert "initial" in valid("staleness", claim, twice[1:], initial=1)


def test_a_witness_of_any_length_is_refused_at_once():
    many = [Row("write", 1, 0, 1), *(read(1, 2, 3) for _ in range(3000))]
    everything = list(range(len(many)))
    for prop, name in (("staleness", "stale-read"), ("set", "phantom"), ("lock", "two-holders")):
        claim = {"kind": "observed", "anomaly": name, "operations": everything, "value": 1}
        assert invalid(prop, claim, many) is not None
    takes = [Row("enqueue", 1, 0, 1), *(Row("dequeue", 1, 2, 3) for _ in range(3000))]
    claim = {"kind": "observed", "anomaly": "duplicated", "operations": everything, "value": 1}
    assert "0" in invalid("total-queue", claim | {"operations": [0]}, takes)
    assert invalid("total-queue", claim | {"operations": everything[1:]}, takes) is None
