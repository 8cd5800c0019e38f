"""The pages of histories of other tools: what was never measured is not spoken of."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from analysis.formats import open_history
from analysis.verdict import judge, write_results
from chaos.record.reader import open_run
from chaos.record.writer import write_run

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
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


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A folder with two imported runs: Jepsen's without times, and fastlin's with large ones."""
    events = [
        {"process": p, "type": kind, "f": "write" if p else "read", "value": 1 if p else value}
        for p, kind, value in [(0, "invoke", None), (1, "invoke", 1), (0, "ok", 9), (1, "ok", 1)]
    ]
    texts = {
        "jepsen": "\n".join(map(json.dumps, events)),
        "fast": "# queue\nenq 1 1700000000000000 1700000000000900\ndeq 1 "
        "1700000000002000 1700000000003000\n",
    }
    for name, text in texts.items():
        file = tmp_path / f"{name}.log"
        file.write_text(text)
        data = open_history(file)
        path = write_run(tmp_path / "runs" / name / "1", data.meta, data.history)
        run = open_run(path)
        write_results(run, judge(run))
    return tmp_path / "runs"


def test_the_run_page_says_where_it_is_from(open_page: Open, imported: Path) -> None:
    app = open_page(imported, "run", run="jepsen/1")
    assert not app.exception
    text = words(app)
    assert "imported from jepsen.log (elle-json)" in text
    assert "INVALID" in app.error[0].value
    assert "Operations: 2 ok · 0 fail · 0 info" in text
    assert "thin-air-read" in text
    assert not app.metric
    for word in ("seed", "faults: none", "no fault", "during"):
        assert word not in text
    assert len(app.dataframe[0].value) == 2


def test_times_of_another_clock_fill_the_chart(open_page: Open, imported: Path) -> None:
    app = open_page(imported, "run", run="fast/1")
    assert not app.exception
    begun = app.dataframe[0].value["begun (s)"]
    assert begun.between(1_700_000, 1_700_001).all()
    (chart,) = app.get("plotly_chart")
    spec = json.loads(chart.proto.spec)
    ok = next(trace for trace in spec["data"] if trace.get("name") == "ok")
    assert ok["x"]


def test_the_other_pages(open_page: Open, imported: Path) -> None:
    app = open_page(imported, "runs")
    assert not app.exception
    assert "INVALID" in words(app)
    assert "0 of 0" not in words(app)
    app = open_page(imported, "tradeoffs")
    assert not app.exception
    assert "not known" in words(app)
