"""import, export, and files of other tools: as users and scripts meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
Say = Callable[..., subprocess.CompletedProcess[str]]
GOOD = """{:type :invoke, :f :write, :value 1, :process 0}
{:type :invoke, :f :read, :value nil, :process 1}
{:type :ok, :f :write, :value 1, :process 0}
{:type :ok, :f :read, :value 1, :process 1}
{:type :info, :f :start, :process :nemesis}
"""
BAD = GOOD.replace(":ok, :f :read, :value 1", ":ok, :f :read, :value 7")


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Run the command in an empty folder, on a machine without an engine."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        dead = {"DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock"}
        done = subprocess.run(
            [AFTERSHOCK, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **dead},
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a good and a bad history."""
    (tmp_path / "good.edn").write_text(GOOD)
    (tmp_path / "bad.edn").write_text(BAD)
    return tmp_path


def test_files_are_judged_like_runs(say: Say, files: Path) -> None:
    done = say("check", "--json", "good.edn", "bad.edn")
    assert done.returncode == 1
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (good["verdict"], bad["verdict"]) == ("valid", "invalid")
    assert (good["path"], good["format"]) == ("good.edn", "jepsen-edn")
    assert good["availability"] == good["cost"] == {}
    assert good["notes"] == ["1 events of no client (a nemesis, for instance) are left out"]
    assert bad["checks"][0]["anomalies"][0]["name"] == "thin-air-read"
    assert "fault" not in bad["summary"]
    shown = say("show", "bad.edn")
    assert shown.returncode == 0, shown.stderr
    assert "imported from bad.edn" in shown.stdout
    assert "thin-air-read" in shown.stdout
    told = say("check", "good.edn").stdout
    assert "history      good.edn (jepsen-edn)" in told
    assert "faults" not in told


def test_a_file_in_another_format_than_it_is(say: Say, files: Path) -> None:
    done = say("check", "--format", "fastlin", "good.edn")
    assert done.returncode == 2
    assert "good.edn:1: expected `method value start end`" in done.stderr
    done = say("check", "--format", "csv", "good.edn")
    assert done.returncode == 2
    assert "jepsen-edn" in done.stderr


def test_an_imported_history_is_a_run(say: Say, files: Path) -> None:
    done = say("import", "bad.edn", "--to", "runs/bad/one")
    assert done.returncode == 0, done.stderr
    assert "2 operations for linearizable-register" in done.stdout
    assert "left out" in done.stderr
    assert say("import", "good.edn", "--to", "runs/good/one").returncode == 0
    assert say("check", "runs/bad/one").returncode == 1
    assert say("check", "runs/good/one", "--json").returncode == 0
    shown = say("show", "runs/bad/one").stdout
    assert "imported from bad.edn (jepsen-edn)" in shown
    assert "thin-air-read" in shown
    listed = say("runs", "--json").stdout.splitlines()
    assert {"runs/bad/one", "runs/good/one"} <= {json.loads(line)["path"] for line in listed}
    held = say("compare", "runs/good/one", "runs/bad/one", "--json")
    assert held.returncode == 0, held.stderr
    rows = json.loads(held.stdout)["rows"]
    assert [row["verdict"] for row in rows] == ["valid", "invalid"]
    assert [row["acknowledged"] for row in rows] == [None, None]
    meta = json.loads((files / "runs/bad/one/run.json").read_text())
    assert meta["imported"]["file"] == "bad.edn"
    assert len(meta["imported"]["sha256"]) == 64


@pytest.mark.parametrize("name", ["jepsen-edn", "elle-json"])
def test_out_and_in_again(say: Say, files: Path, name: str) -> None:
    say("import", "bad.edn", "--to", "one")
    out = say("export", "one", "--format", name)
    assert out.returncode == 0, out.stderr
    assert len(out.stdout.splitlines()) == 4
    assert say("export", "bad.edn", "--format", name, "--to", "out.txt").stdout == ""
    assert (files / "out.txt").read_text() == out.stdout
    assert say("import", "out.txt", "--to", "two").returncode == 0
    assert say("export", "two", "--format", name).stdout == out.stdout
    assert say("check", "two").returncode == 1


def test_import_is_all_or_nothing(say: Say, files: Path) -> None:
    (files / "cut.edn").write_text(GOOD + "{:type :inv")
    before = sorted(files.rglob("*"))
    done = say("import", "cut.edn", "--to", "runs/cut")
    assert done.returncode == 2
    assert "cut.edn:6: expected" in done.stderr
    assert sorted(files.rglob("*")) == before
    (files / "full").mkdir()
    (files / "full/thing").write_text("mine")
    done = say("import", "good.edn", "--to", "full")
    assert done.returncode == 2
    assert "expected full to be empty" in done.stderr
    assert say("import", "good.edn", "--to", "bad.edn").returncode == 2
    assert (files / "bad.edn").read_text() == BAD
    (files / "empty").mkdir()
    assert say("import", "good.edn", "--to", "empty").returncode == 0
    assert say("check", "empty").returncode == 0
    done = say("import", "empty", "--to", "other")
    assert "expected a history file" in done.stderr
    assert say("import", "nowhere", "--to", "other").returncode == 2


def test_the_initial_value_stays_with_the_run(say: Say, files: Path) -> None:
    (files / "nil.edn").write_text(
        "{:type :invoke, :f :read, :value nil, :process 0}\n"
        "{:type :ok, :f :read, :value nil, :process 0}\n"
        "{:type :invoke, :f :read, :value nil, :process 0}\n"
        "{:type :ok, :f :read, :value 5, :process 0}\n"
    )
    assert say("check", "nil.edn").returncode == 1
    assert say("check", "nil.edn", "--initial", "5").returncode == 0
    assert say("import", "nil.edn", "--to", "five", "--initial", "5").returncode == 0
    assert json.loads((files / "five/run.json").read_text())["imported"]["initial"] == 5
    assert say("check", "five").returncode == 0
    assert say("check", "nil.edn", "--initial", "five").returncode == 2


def test_formats_are_listed(say: Say) -> None:
    listed = json.loads(say("list", "formats", "--json").stdout)
    assert {"run", "jepsen-edn", "elle-json", "porcupine-etcd", "porcupine-kv", "limo", "fastlin",
            "fptlin"} <= {entry["name"] for entry in listed}  # fmt: skip


def test_export_into_a_pipe_that_closes(say: Say, files: Path) -> None:
    (files / "long.edn").write_text(GOOD[: GOOD.rindex("{")] * 3000)
    shell = f"{AFTERSHOCK} export long.edn --format elle-json | head -1"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=files, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith('{"type": "invoke"')
    assert done.stderr == ""


def test_a_small_file_needs_no_compiler(files: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from analysis.formats import open_history\n"
        "open_history(Path('good.edn')); sys.exit('numba' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], cwd=files, env=env).returncode == 0
