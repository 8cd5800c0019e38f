"""Transactions of other tools, as users meet them: check, import, show, export, verify."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.formats.binary import INITIAL, bincode, cobra

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
Say = Callable[..., subprocess.CompletedProcess[str]]
GOOD = """{:type :invoke, :value [[:append 1 1] [:r 1 nil]]}
{:type :ok, :value [[:append 1 1] [:r 1 [1]]]}
"""


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Run the command in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [AFTERSHOCK, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder of Cobra's: one transaction wrote, another read that."""
    wrote = [("S", 1), ("W", 5, 7, 0), ("C", 1)]
    read = [("S", 2), ("R", 1, 5, 7, 0), ("R", INITIAL, INITIAL, 8, 0), ("C", 2)]
    return cobra(tmp_path / "logs", {"T1.log": wrote, "T2.log": read})


def test_a_folder_is_a_history(say: Say, logs: Path) -> None:
    done = say("check", "logs", "--json")
    found = json.loads(done.stdout)
    assert found["format"] == "cobra"
    assert [check["property"] for check in found["checks"]] == ["rw-register"]
    assert found["counts"] == {"ok": 2, "fail": 0, "info": 0}
    done = say("check", "logs", "--format", "cobra")
    assert "history      logs (cobra)" in done.stdout
    assert "aftershock import logs --to runs/logs/imported" in done.stdout


def test_a_folder_is_imported(say: Say, logs: Path) -> None:
    done = say("import", "logs", "--to", "run")
    assert "2 operations for rw-register in run" in done.stdout
    assert json.loads(Path(logs.parent / "run" / "run.json").read_text())["imported"]["models"] == (
        "axiomatic"
    )
    done = say("export", "run", "--format", "elle-json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["value"] for line in lines if line["type"] == "ok"] == [
        [["w", 7, 5]], [["r", 7, 5], ["r", 8, None]],
    ]  # fmt: skip
    assert "the history has no times" in done.stderr
    assert "Adya's models" in done.stderr
    assert say("show", "run").returncode == 0


def test_binary_files_are_said_to_be_wrong_at_a_byte(say: Say, tmp_path: Path) -> None:
    (tmp_path / "h.bincode").write_bytes(bincode([[([(1, 1, 1, 1)], 1)]])[:-3])
    done = say("check", "h.bincode")
    assert done.returncode not in (0, 1)
    assert (
        "h.bincode: byte 104: expected at most 0 events in the bytes that are left" in done.stderr
    )
    assert "the file is cut, damaged" in done.stderr


def test_a_history_without_names_and_processes(say: Say, tmp_path: Path) -> None:
    (tmp_path / "h.edn").write_text(GOOD)
    assert say("check", "h.edn").returncode == 0
    done = say("export", "h.edn", "--format", "jepsen-edn", "--to", "again.edn")
    assert done.stderr == ""
    assert say("check", "again.edn").returncode == 0
    assert ":value [[:append 1 1] [:r 1 [1]]]" in (tmp_path / "again.edn").read_text()
