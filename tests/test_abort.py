"""The conditions of `abort_when:`, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.abort import AbortWatch
from chaos.spec.experiment import AbortWhen

SECOND = 1_000_000_000
ALL = {"n1": "primary", "n2": "replica", "n3": "replica"}
ONE_ANSWERS = {"n1": "replica", "n2": "unknown", "n3": "down"}
HEADLESS = {"n1": "replica", "n2": "candidate", "n3": "replica"}


@dataclass(frozen=True)
class Totals:
    ok: int = 0
    fail: int = 0
    info: int = 0


def watch(*conditions: Mapping[str, Any]) -> AbortWatch:
    return AbortWatch([AbortWhen.model_validate(each) for each in conditions], [["n1", "n2", "n3"]])


def first(
    abort: AbortWatch, rows: list[tuple[float, Totals, Mapping[str, str]]]
) -> tuple[float | None, str]:
    """When it first says why, and why."""
    for at_s, totals, roles in rows:
        if why := abort.why(int(at_s * SECOND), totals, roles):
            return at_s, why
    return None, ""


def steady(seconds: int, per_s: Totals, roles: Mapping[str, str] = ALL) -> list[Any]:
    """Five looks a second at operations that end evenly."""
    return [
        (k / 5, Totals(per_s.ok * k // 5, per_s.fail * k // 5, per_s.info * k // 5), roles)
        for k in range(seconds * 5 + 1)
    ]


def test_without_conditions_nothing_ends_a_run() -> None:
    assert first(watch(), steady(20, Totals(fail=100), ONE_ANSWERS)) == (None, "")


def test_an_error_rate_counts_over_its_window_and_not_before() -> None:
    at_s, why = first(watch({"error_rate": "50%", "window": "3s"}), steady(9, Totals(40, 30, 30)))
    assert at_s == 3.0
    assert why == (
        "60% of the 300 operations that ended within 3s were fail or info; the limit is 50%"
    )


def test_good_times_before_do_not_hide_an_outage() -> None:
    rows = steady(60, Totals(ok=100))
    rows += [(60 + k / 5, Totals(6000, 0, 20 * k), ALL) for k in range(1, 30)]
    at_s, _ = first(watch({"error_rate": "50%", "window": "2s"}), rows)
    assert at_s is not None
    assert 60.5 < at_s <= 61.2  # half of a window of 2 s is bad after about a second


@pytest.mark.parametrize(("of", "ends"), [("fail", True), ("info", False), ("both", True)])
def test_which_operations_are_errors_can_be_said(of: str, ends: bool) -> None:
    abort = watch({"error_rate": "50%", "window": "1s", "of": of})
    assert bool(first(abort, steady(5, Totals(ok=40, fail=60)))[1]) is ends


def test_no_operations_are_no_error_rate() -> None:
    assert first(watch({"error_rate": "1%", "window": "1s"}), steady(5, Totals())) == (None, "")


def test_a_lost_quorum_must_last() -> None:
    rows = [(s, Totals(), ONE_ANSWERS if s % 3 else ALL) for s in range(9)]
    assert first(watch({"no_quorum": "2500ms"}), [*rows]) == (None, "")
    at_s, why = first(watch({"no_quorum": "2s"}), [(s, Totals(), ONE_ANSWERS) for s in range(5)])
    assert (at_s, why) == (2, "fewer than 2 of 3 nodes said which role they have for 2s")


def test_a_missing_primary_must_last() -> None:
    abort = watch({"error_rate": "90%"}, {"no_primary": "2s"})
    rows = [(s, Totals(ok=s), ALL if s < 3 else HEADLESS) for s in range(9)]
    assert first(abort, rows) == (5, "no node claimed to be primary for 2s")
    assert first(watch({"no_quorum": "2s"}), rows) == (None, "")  # a candidate answers


def test_nothing_is_concluded_before_every_node_was_asked() -> None:
    abort = watch({"no_primary": "1s"})
    assert first(abort, [(s, Totals(), {"n2": "replica"}) for s in range(9)]) == (None, "")


def test_before_the_run_begins_nothing_counts() -> None:
    abort = watch({"no_primary": "1s"})
    assert first(abort, [(-s, Totals(), HEADLESS) for s in (9, 5, 1)]) == (None, "")


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), max_size=60),
    st.integers(1, 100),
)
def test_an_error_rate_is_that_of_the_whole_window(
    ticks: list[tuple[int, int, int]], percent: int
) -> None:
    """Against the definition, tick by tick: a window of 2 s at a tick a second is the last two."""
    abort = watch({"error_rate": f"{percent}%", "window": "2s"})
    totals, expected = Totals(), False
    abort.why(0, totals, ALL)
    for k, (ok, fail, info) in enumerate(ticks, 1):
        totals = Totals(totals.ok + ok, totals.fail + fail, totals.info + info)
        last = [sum(each) for each in zip(*ticks[max(0, k - 2) : k], strict=True)]
        bad, every = last[1] + last[2], sum(last)
        expected = k >= 2 and every > 0 and bad / every >= percent / 100
        assert bool(abort.why(k * SECOND, totals, ALL)) is expected


def test_one_group_of_those_that_clients_use_is_enough() -> None:
    condition = [AbortWhen.model_validate({"no_primary": "2s"})]
    abort = AbortWatch(condition, [["c1"], ["p1", "p2"]])
    well = {"c1": "primary", "p1": "primary", "p2": "replica", "e1": "down"}
    assert first(abort, steady(5, Totals(ok=10), well)) == (None, "")
    at_s, why = first(abort, steady(5, Totals(ok=10), {**well, "p1": "replica"}))
    assert (at_s, why) == (2.0, "no node claimed to be primary for 2s")


def test_a_quorum_is_that_of_its_group() -> None:
    condition = [AbortWhen.model_validate({"no_quorum": "2s"})]
    roles = {"c1": "primary", "p1": "primary", "p2": "down", "p3": "down"}
    at_s, why = first(AbortWatch(condition, [["c1"], ["p1", "p2", "p3"]]),
                      steady(5, Totals(ok=10), roles))  # fmt: skip
    assert (at_s, "fewer than 2 of 3 nodes" in why) == (2.0, True)


def test_members_take_writes() -> None:
    members = dict.fromkeys(("n1", "n2", "n3"), "member")
    assert first(watch({"no_primary": "1s"}), steady(5, Totals(ok=10), members)) == (None, "")
