"""The page of a run whose faults were not what they should be says that before anything else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from streamlit.testing.v1 import AppTest

from chaos.record.writer import write_run

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
RUN = "broken/20261123T190000Z-7"


@pytest.fixture
def page(sample_runs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    fault = sample_runs.partition()
    faults = [
        {**fault, "outcome": "mismatch", "why": "n1 and <b>n2</b> still connect"},
        {**fault, "id": "f2", "heal_outcome": "mismatch", "why": "heal: n1 is still cut off"},
        {**fault, "id": "f3"},
    ]
    meta = sample_runs.meta("broken", state="interrupted", reason="Ctrl-C")
    write_run(tmp_path / RUN, meta, sample_runs.history(True), faults, sample_runs.samples())
    results = {"version": 1, "verdict": "valid", "summary": "All is well.", "checks": []}
    (tmp_path / RUN / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(tmp_path)])
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.run()
    app.switch_page("views/run.py")
    app.query_params["run"] = RUN
    return app.run()


def test_what_is_wrong_with_the_faults_comes_before_notes_and_verdict(page: AppTest) -> None:
    assert not page.exception
    boxes = [e for e in page.main if e.type in ("error", "warning", "success", "info")]
    said = [str(e.value).replace("\\", "") for e in boxes]
    assert said[0].startswith("f1 (partition) did not take effect: n1 and ")
    assert said[1] == "f2 (partition) was not seen to heal: n1 is still cut off"
    assert "interrupted" in said[2].lower()
    assert "All is well." in said[3]
    assert not any("f3" in words for words in said)


def test_a_runs_words_are_shown_as_they_are(page: AppTest) -> None:
    assert "\\<b\\>n2" in str(page.error[0].value)
