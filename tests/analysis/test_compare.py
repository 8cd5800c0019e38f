"""Break-even prices worked by hand, and every way one run can dominate another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.compare import Assumptions, acknowledged_writes, compare, lost_writes, usd
from chaos.errors import RecordError
from chaos.record.reader import RunSummary
from chaos.record.rundir import new_run_json


def run(
    name: str,
    *,
    lost: int | None = 0,
    usd_month: float | None = 300.0,
    down_s: float | None = 0.0,
    **more: Any,
) -> RunSummary:
    found = [{"name": "lost-write", "count": lost}] if lost else []
    verdict = "unknown" if lost is None else "invalid" if lost else "valid"
    results = {
        "verdict": verdict,
        "checks": [{"property": "set", "verdict": verdict, "anomalies": found}],
        "availability": {
            "down_s": down_s,
            "by_time": 0.9,
            "by_requests": 0.95,
            "latency_ms": {"p99": 12.0},
            "groups": [{"f": "add", "ok": 2000}, {"f": "read", "ok": 30}],
        },
        "cost": {"monthly": {"total": usd_month, "at_least": 234.24, "cross_zone": None}},
        **more,
    }
    return RunSummary(path=Path(name), meta=new_run_json(name=name), results=results)


def even(naked: RunSummary, guarded: RunSummary, faults: float = 1.0, downtime: float = 0.0) -> Any:
    assumptions = Assumptions(faults_per_month=faults, downtime_usd_per_hour=downtime)
    return compare([naked, guarded], assumptions).break_evens[0]


def test_break_even_price_of_a_lost_write() -> None:
    """$50 more a month, 36 s longer down at $1,000/h = $10, 1,000 writes kept: 6 cents each."""
    found = even(
        run("naked", lost=1100),
        run("guarded", lost=100, usd_month=350.0, down_s=36.0),
        downtime=1000,
    )
    assert found.kind == "above"
    assert found.usd_per_lost_write == pytest.approx(0.06)
    assert "more than $0.06" in found.sentence
    assert "36.0 s longer" in found.sentence
    assert "1,000 fewer" in found.sentence


def test_more_faults_a_month_spread_the_extra_cost() -> None:
    guarded = run("guarded", usd_month=350.0)
    assert even(run("naked", lost=1000), guarded, faults=5).usd_per_lost_write == 0.01


@pytest.mark.parametrize(
    ("lost", "usd_month", "down_s", "kind", "words"),
    [
        (0, 250.0, 0.0, "always", "at any price"),  # cheaper and loses less
        (0, 300.0, 0.0, "always", "at any price"),  # same cost, loses less
        (1000, 350.0, 0.0, "never", "never wins"),  # dearer, loses as much
        (1000, 300.0, 9.0, "never", "never wins"),  # down longer, loses as much
        (1000, 250.0, 0.0, "always", "$50.00 less"),  # cheaper, loses as much
        (1000, 300.0, 0.0, "same", "cost the same"),
        (1500, 350.0, 0.0, "never", "500 more"),  # dearer and loses more
        (1500, 250.0, 0.0, "below", "less than $0.10"),  # cheaper but loses more
    ],
)
def test_dominated_cases(lost: int, usd_month: float, down_s: float, kind: str, words: str) -> None:
    guarded = run("guarded", lost=lost, usd_month=usd_month, down_s=down_s)
    found = even(run("naked", lost=1000), guarded, downtime=3600.0)
    assert found.kind == kind
    assert words in found.sentence


def test_what_is_not_known_gives_no_break_even() -> None:
    found = even(run("naked", lost=None), run("guarded", down_s=None))
    assert found.kind == "unknown"
    assert found.usd_per_lost_write is None
    assert "lost writes were not counted" in found.sentence
    assert "downtime was not measured" in found.sentence


def test_a_part_of_the_cost_that_neither_knows_is_left_out_and_said() -> None:
    found = compare([run("naked", lost=10, usd_month=None), run("guarded", usd_month=None)])
    assert found.break_evens[0].kind == "always"
    assert found.notes[0] == "naked: the cost leaves out cross_zone, which is not known"


def test_rows_count_acknowledged_writes_and_not_reads() -> None:
    found = compare([run("naked", lost=500)])
    assert found.break_evens == []
    assert found.rows[0].acknowledged == 2000
    assert found.rows[0].lost_share == 0.25
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["lost_share"] == 0.25


def test_lost_messages_and_elements_are_lost_writes() -> None:
    def found(**lost: tuple[str, int]) -> int | None:
        checks = [
            {
                "property": name.replace("_", "-"),
                "verdict": "invalid",
                "anomalies": [{"name": what, "count": n}, {"name": "duplicated", "count": 99}],
            }
            for name, (what, n) in lost.items()
        ]
        return lost_writes({"checks": checks})

    assert found(log=("lost-write", 4)) == found(log=("vanished", 4)) == 4
    assert found(set_full=("lost", 5)) == 5
    assert found(at_least_once=("lost", 3), total_queue=("lost", 3)) == 3
    assert found(total_queue=("unexpected", 3)) == 0
    assert found(linearizable_queue=("lost-element", 3)) is None


def test_what_takes_or_polls_writes_nothing() -> None:
    groups = [{"f": f, "ok": 10} for f in ("enqueue", "dequeue", "send", "poll", "assign", "txn")]
    assert acknowledged_writes({"availability": {"groups": groups}}) == 30


def test_lost_writes_are_unknown_where_no_check_looked() -> None:
    assert (
        lost_writes({"checks": [{"property": "linearizable-register", "verdict": "valid"}]}) is None
    )
    assert lost_writes({}) is None
    assert acknowledged_writes({}) == 0


def test_who_holds_a_lock_is_nothing_that_could_be_lost() -> None:
    groups = [{"f": "add", "ok": 5}, {"f": "acquire", "ok": 70}, {"f": "release", "ok": 70}]
    assert acknowledged_writes({"availability": {"groups": groups}}) == 5


def test_a_run_not_judged_yet() -> None:
    row = compare([RunSummary(path=Path("x/y"), meta=new_run_json(), results=None)]).rows[0]
    assert row.name == "y"
    assert row.verdict == "unknown"
    assert row.lost is None


@pytest.mark.parametrize(
    "results",
    [
        {"checks": 7},
        {"checks": [3]},
        {"availability": {"down_s": "x"}},
        {"availability": {"groups": [{}]}},
        {"cost": {"monthly": [1]}},
    ],
)
def test_hostile_results_are_refused(results: dict[str, Any]) -> None:
    hostile = RunSummary(path=Path("x"), meta=new_run_json(), results=results)
    with pytest.raises(RecordError, match=r"results\.json"):
        compare([hostile])


def test_dollars() -> None:
    assert [usd(v) for v in (None, 0, 0.00042, 1234.5)] == [
        "unknown",
        "$0.00",
        "$0.00042",
        "$1,234.50",
    ]


def test_runs_whose_faults_were_skipped_say_so() -> None:
    held = compare([run("naked"), run("guarded", faults={"injected": 1, "skipped": 2})])
    assert held.notes == [
        *(n for n in held.notes if "cost" in n),
        "guarded: 2 of its faults were skipped, not injected",
    ]
