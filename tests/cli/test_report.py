"""The last lines: enough to know what happened, and no more than fits a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli.report import ANOMALIES, last_lines


@pytest.mark.parametrize("shown", [False, True])
def test_many_kinds_of_anomaly_are_counted_and_only_the_weakest_told(
    shown: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["G0", "G1c", "G-single", "G2-item", "write-skew"]
    found = [{"name": name, "count": 2, "argument": f"this is {name}"} for name in names]
    check = {"property": "list-append", "anomalies": found, "proof": None}
    results = {"verdict": "invalid", "summary": "Broken.", "checks": [check], "notes": []}
    last_lines(tmp_path, results, shown=shown)
    told = capsys.readouterr().out
    assert [f"this is {name}" in told for name in names] == [
        shown or place < ANOMALIES for place in range(len(names))
    ]
    assert all(f"{name} × 2" in told for name in names)
    assert ("and G2-item × 2, write-skew × 2" in told) is not shown
