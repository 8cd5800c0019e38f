"""The pages as Streamlit's own test runner sees them, over whole, broken and hostile runs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from chaos.record.writer import write_run

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
NAKED = "redis-split-brain/20261123T190000Z-7"
GUARDED = "redis-split-brain-guarded/20261123T190100Z-7"
Open = Callable[..., AppTest]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    def open_page(root: Path, page: str, **query: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(root)])
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.run()
        app.switch_page(f"views/{page}.py")
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return open_page


def words(app: AppTest) -> str:
    kinds = ("title", "markdown", "caption", "info", "warning", "error", "success", "subheader")
    return "\n".join(str(e.value) for kind in kinds for e in getattr(app, kind)).replace("\\", "")


def test_runs_newest_first_with_words_beside_colours(open_page: Open, runs: Path) -> None:
    app = open_page(runs, "runs")
    assert not app.exception
    text = words(app)
    assert text.count("✕ INVALID") == 2
    losses = [m.value for m in app.markdown if " of " in m.value]
    assert losses[0].startswith(":red[**424")
    assert losses[1].startswith(":red[**3,160")


def test_run_says_the_verdict_first(open_page: Open, runs: Path) -> None:
    app = open_page(runs, "run", run=NAKED)
    assert not app.exception
    assert app.title[0].value.replace("\\", "") == "redis-split-brain"
    assert "INVALID" in app.error[0].value
    assert {m.label: m.value for m in app.metric}["Two primaries for"] == "10.2 s"
    assert "Window: the whole run" in app.subheader[0].value


def test_a_skipped_fault_and_an_abort_are_said_on_the_page(
    open_page: Open, sample_runs: ModuleType, tmp_path: Path
) -> None:
    left = {"id": "f2", "kind": "fault", "fault": "clock-step", "outcome": "skipped",
            "why": "this host lacks clocks"}  # fmt: skip
    about = sample_runs.meta("small", aborted={"t_ns": 12_300_000_000, "why": "no quorum"})
    faults = [sample_runs.partition(), left]
    path = tmp_path / "small/20261123T190000Z-7"
    write_run(path, about, sample_runs.history(False), faults, sample_runs.samples())
    app = open_page(tmp_path, "run", run="small/20261123T190000Z-7")
    assert not app.exception
    warnings = [w.value.replace("\\", "") for w in app.warning]
    assert "f2 (clock-step) was skipped: this host lacks clocks" in warnings
    assert "Aborted at 12.3 s, because no quorum" in warnings


def test_a_window_in_the_address_filters_what_is_below(open_page: Open, runs: Path) -> None:
    whole = open_page(runs, "run", run=NAKED)
    app = open_page(runs, "run", run=NAKED, **{"from": "12", "to": "13"})
    assert not app.exception
    assert "12.00 s to 13.00 s" in app.subheader[0].value
    begun = app.dataframe[0].value["begun (s)"]
    assert begun.between(10.9, 13).all()
    assert len(begun) > 100

    def ok(app: AppTest) -> int:
        line = next(m.value for m in app.markdown if "ok ·" in m.value)
        return int(line.split("**")[1].replace(",", ""))

    assert 150 < ok(app) < 300 < ok(whole)


def test_only_chosen_outcomes(open_page: Open, runs: Path) -> None:
    app = open_page(runs, "run", run=NAKED)
    app.button_group[0].set_value(["info"]).run()
    assert set(app.dataframe[0].value["outcome"]) == {"info"}
    assert len(app.dataframe[0].value) == 48


@pytest.mark.parametrize("window", [("x", "3"), ("9", "2"), ("nan", "inf"), ("1", "1e300")])
def test_a_window_that_is_none_is_the_whole_run(
    open_page: Open, runs: Path, window: tuple[str, str]
) -> None:
    app = open_page(runs, "run", run=NAKED, **{"from": window[0], "to": window[1]})
    assert not app.exception
    assert "the whole run" in app.subheader[0].value


@pytest.mark.parametrize("key", ["../../etc", "no/such", "<script>alert(1)</script>"])
def test_an_address_reaches_only_runs_that_are_listed(
    open_page: Open, runs: Path, key: str
) -> None:
    app = open_page(runs, "run", run=key)
    assert not app.exception
    assert "There is no run" in app.warning[0].value
    assert "<script" not in app.warning[0].value.replace("\\<", "")


def test_trade_offs_pairs_naked_and_guarded(open_page: Open, runs: Path) -> None:
    app = open_page(runs, "tradeoffs")
    assert not app.exception
    assert [box.value for box in app.selectbox] == [NAKED, GUARDED]
    table = app.dataframe[0].value.set_index("")
    assert list(table.loc["Acknowledged writes lost"]) == ["3,160", "424", "−2,736"]
    assert "wins when a lost write costs more than" in words(app)


def test_a_dearer_hour_raises_the_break_even(open_page: Open, runs: Path) -> None:
    def price(app: AppTest) -> float:
        return float(words(app).split("costs more than $")[1].split(":")[0])

    app = open_page(runs, "tradeoffs")
    before = price(app)
    app.select_slider(key="hour_usd").set_value(100_000).run()
    assert price(app) > 50 * before


def test_nothing_here_yet(open_page: Open, tmp_path: Path) -> None:
    for page in ("runs", "run", "tradeoffs"):
        app = open_page(tmp_path, page)
        assert not app.exception
        assert "aftershock run" in app.code[0].value


Break = Callable[[Path], Any]


def _rewrite(name: str, **change: Any) -> Break:
    def rewrite(path: Path) -> None:
        data = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps({**data, **change}))

    return rewrite


DAMAGE: dict[str, tuple[Break, str]] = {
    "run.json cut": (lambda p: (p / "run.json").write_text('{"version": 1,'), "JSON"),
    "run.json of a later version": (_rewrite("run.json", version=99), "version"),
    "history cut": (
        lambda p: (p / "history.parquet").write_bytes((p / "history.parquet").read_bytes()[:5000]),
        "history.parquet",
    ),
    "no history": (lambda p: (p / "history.parquet").unlink(), "history.parquet"),
    "results cut": (lambda p: (p / "results.json").write_text("{"), "results.json"),
    "results of a stranger": (_rewrite("results.json", checks=7), "results.json"),
    "not judged": (lambda p: (p / "results.json").unlink(), "not been judged"),
    "still running": (_rewrite("run.json", state="running"), "process ended early"),
    "interrupted": (_rewrite("run.json", state="interrupted", reason="Ctrl-C"), "Ctrl-C"),
    "cut": (_rewrite("run.json", cut_ns=9_000_000_000), "complete until 9.000 s"),
    "samples gone": (lambda p: (p / "samples.parquet").unlink(), "no node was asked"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_explained(
    open_page: Open, runs: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / NAKED
    shutil.copytree(runs / NAKED, path)
    act, said = DAMAGE[damage]
    act(path)
    for page in ("runs", "tradeoffs"):
        assert not open_page(tmp_path, page).exception
    app = open_page(tmp_path, "run", run=NAKED)
    assert not app.exception
    charts = "".join(chart.proto.spec for chart in app.get("plotly_chart"))
    assert said in words(app) + charts


def test_an_empty_run(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "e" / "1", {"name": "empty"}, [])
    for page in ("runs", "run"):
        assert not open_page(tmp_path, page).exception


def test_hostile_names_stay_text(open_page: Open, sample_runs: ModuleType, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> ![x](http://evil.test/x.png) [a](javascript:b) $x$ :red[y]"
    fault = {**sample_runs.partition(), "fault": evil, "targets": json.dumps([evil])}
    rows = [
        {"zone": evil, "node": evil, "f": "add", "type": "fail", "error": evil}
        | {"process": 0, "start_ns": 0, "end_ns": 5}
    ]
    path = tmp_path / "evil" / "1"
    samples = [{"t_ns": 0, "node": evil, "role": evil, "lag_ms": 1.0}]
    write_run(path, sample_runs.meta(evil), rows, [fault], samples)
    results = {
        "verdict": "invalid",
        "summary": evil,
        "checks": [
            {
                "property": "set",
                "verdict": "invalid",
                "anomalies": [
                    {
                        "name": evil,
                        "count": 1,
                        "operations": [0, -4, "x"],
                        "argument": evil,
                        "faults": [evil],
                    }
                ],
            }
        ],
    }
    (path / "results.json").write_text(json.dumps(results))
    for page in ("runs", "run"):
        app = open_page(tmp_path, page)
        assert not app.exception
        for kind in ("title", "markdown", "caption", "error", "warning", "info"):
            for element in getattr(app, kind):
                bare = re.sub(r"\\.", "", element.value)  # without what is escaped
                assert not re.search(r"[<>]|[$]x|\]\(|:red\[y", bare)
                assert not getattr(element, "allow_html", False)
    spec = json.dumps([c.proto.spec for c in app.get("plotly_chart")])
    assert "evil" in spec
    assert "<img" not in spec
