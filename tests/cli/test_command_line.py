"""The command as users and scripts meet it: exit codes, clear words, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos import paths
from chaos.record.writer import write_run

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
Say = Callable[..., subprocess.CompletedProcess[str]]
S = 1_000_000_000


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Run the command in an empty folder, on a machine without an engine."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        dead = {"DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock"}
        done = subprocess.run(
            [AFTERSHOCK, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **dead, **environment},
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


def a_run(path: Path, lose: bool) -> Path:
    """A small finished run of the set workload; with a lost write if asked."""
    adds = [
        {
            "process": k % 4,
            "node": "n1",
            "zone": "a",
            "f": "add",
            "value": k,
            "type": "ok",
            "start_ns": k * S // 10,
            "end_ns": k * S // 10 + 1000,
        }
        for k in range(1, 101)
    ]
    left = [k for k in range(1, 101) if not (lose and k == 50)]
    read = {
        "process": 0,
        "node": "n1",
        "zone": "a",
        "f": "read",
        "payload": json.dumps(left),
        "type": "ok",
        "start_ns": 12 * S,
        "end_ns": 12 * S + 1000,
    }
    phases = [
        {"name": "load", "start_ns": 0, "end_ns": 11 * S},
        {"name": "final", "start_ns": 12 * S, "end_ns": 13 * S},
    ]
    meta: dict[str, Any] = {
        "name": "small",
        "phases": phases,
        "clients": {"a": 4},
        "processes": 4,
        "experiment": {"name": "small", "workload": {"name": "set"}},
        "nodes": [{"name": "n1", "zone": "a", "region": "r", "provider": "aws", "role": None}],
    }
    return write_run(path, meta, [*adds, read])


def test_help_names_every_command(say: Say) -> None:
    told = say("--help").stdout
    for name in (
        "doctor",
        "list",
        "new",
        "track-record",
        "validate",
        "up",
        "ps",
        "logs",
        "exec",
        "down",
        "run",
        "check",
        "show",
        "runs",
        "compare",
        "story",
        "dashboard",
        "schema",
        "images",
    ):
        assert f"  {name} " in told


@pytest.mark.parametrize("arguments", [("fly",), ("run",), ("run", "x", "--seed", "no"), ()])
def test_usage_is_2(say: Say, arguments: tuple[str, ...]) -> None:
    assert say(*arguments).returncode == 2


def test_verdicts_are_exit_codes(say: Say, tmp_path: Path) -> None:
    whole, lossy = a_run(tmp_path / "whole", lose=False), a_run(tmp_path / "lossy", lose=True)
    assert say("check", str(whole)).returncode == 0
    assert say("check", str(lossy)).returncode == 1
    assert say("check", str(whole), str(lossy)).returncode == 1
    both = say("check", str(whole), str(lossy), "--json")
    first, second = (json.loads(line) for line in both.stdout.splitlines())
    assert (first["verdict"], second["verdict"]) == ("valid", "invalid")
    assert second["checks"][0]["anomalies"][0]["name"] == "lost-write"
    assert {
        "version",
        "path",
        "verdict",
        "summary",
        "checks",
        "counts",
        "faults",
        "availability",
        "cost",
    } <= set(first)


@pytest.mark.parametrize("what", ["empty", "missing", "file", "cut", "garbage"])
@pytest.mark.parametrize("command", ["check", "show"])
def test_what_is_no_run(say: Say, tmp_path: Path, command: str, what: str) -> None:
    path = tmp_path / "run"
    if what == "empty":
        path.mkdir()
    elif what == "file":
        path.write_text("hello")
    elif what in ("cut", "garbage"):
        a_run(path, lose=False)
        history = path / "history.parquet"
        data = history.read_bytes()
        history.write_bytes(data[: len(data) // 2] if what == "cut" else b"PAR1" + b"\0" * 99)
    done = say(command, str(path))
    assert done.returncode == 2
    assert done.stderr.startswith("error:")


def test_a_hostile_run_cannot_write_to_the_terminal(say: Say, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", lose=True)
    meta = json.loads((run / "run.json").read_text())
    meta |= {"name": "\x1b[2Jgone", "started_utc": "\x1b]0;owned\x07", "notes": ["\x1b[31m"]}
    (run / "run.json").write_text(json.dumps(meta))
    for command in ("show", "check"):
        assert "\x1b" not in say(command, str(run)).stdout


def test_check_json_says_so_for_an_unreadable_path_and_goes_on(say: Say, tmp_path: Path) -> None:
    whole = a_run(tmp_path / "whole", lose=False)
    done = say("check", str(tmp_path / "nothing"), str(whole), "--json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["verdict"], second["verdict"]) == ("unknown", "valid")
    assert done.returncode == 3


def test_show_and_compare_and_runs(say: Say, tmp_path: Path) -> None:
    whole = a_run(tmp_path / "runs/small/20260101T000000Z-1", lose=False)
    lossy = a_run(tmp_path / "runs/small/20260102T000000Z-1", lose=True)
    assert "VALID" in say("show", str(whole)).stdout
    compared = say("compare", str(lossy), str(whole))
    assert compared.returncode == 0, compared.stderr
    assert "lost acknowledged writes" in compared.stdout
    assert "INVALID" in say("show", "small").stdout  # the newest of that experiment
    assert say("runs").stdout.count("small/2026010") == 2


def test_a_drawn_schedule_is_printed_first(say: Say, tmp_path: Path) -> None:
    text = """name: drawn
topology: etcd-three
workload: {name: register}
duration: 60s
schedule:
  - {at: 30s, for: 1s, fault: pause, target: n1}
random: {count: 2, for: 2s, mix: [{fault: partition, isolate: random(1)}]}
"""
    (tmp_path / "drawn.yaml").write_text(text)
    checked = say("validate", "./drawn.yaml")
    assert checked.returncode == 0
    lines = checked.stdout.splitlines()
    assert lines[0] == "schedule drawn from seed 1, 3 entries:"
    assert [line.split()[0] for line in lines[1:4]] == ["f1", "f2", "f3"]
    drawn = [line for line in lines if "partition" in line]
    assert all("for 2s " in line and "isolate random(1)" in line for line in drawn)
    assert lines[-1] == "1 file checked: right"
    assert say("validate", "./drawn.yaml").stdout == checked.stdout
    assert json.loads(say("validate", "./drawn.yaml", "--json").stdout) == []
    begun = say("run", "./drawn.yaml")  # no engine: the schedule is said before that
    assert begun.stderr.splitlines()[:4] == lines[:4]
    other = say("run", "./drawn.yaml", "--seed", "2").stderr.splitlines()
    assert other[0] == "schedule drawn from seed 2, 3 entries:"
    assert other[1:4] != lines[1:4]
    assert "schedule drawn" not in say("run", "./drawn.yaml", "--quiet").stderr


def test_no_engine_is_said_and_what_still_works(say: Say) -> None:
    for arguments in (("ps",), ("run", "redis-split-brain"), ("up", "redis-sentinel")):
        done = say(*arguments)
        assert done.returncode == 70
        assert "no container engine answers at DOCKER_HOST" in done.stderr
        assert "dashboard" in done.stderr
    doctor = say("doctor", "--json")
    assert doctor.returncode == 1
    assert not json.loads(doctor.stdout)[0]["ok"]


@pytest.mark.parametrize(
    "kind",
    [
        "systems",
        "workloads",
        "faults",
        "topologies",
        "experiments",
        "stories",
        "prices",
        "properties",
    ],
)
def test_lists(say: Say, kind: str) -> None:
    rows = json.loads(say("list", kind, "--json").stdout)
    assert rows
    assert all(row["name"] and row["about"] for row in rows)


def test_topologies_say_in_a_line_what_each_is(say: Say) -> None:
    rows = json.loads(say("list", "topologies", "--json").stdout)
    assert {row["name"] for row in rows} == set(paths.names(paths.topologies()))
    systems = list(dict.fromkeys(row["system"] for row in rows))
    assert systems == [row["system"] for k, row in enumerate(rows)
                       if not k or rows[k - 1]["system"] != row["system"]]  # fmt: skip
    by_name = {row["name"]: row for row in rows}
    assert by_name["postgres-two-regions"]["nodes"] == 3
    assert by_name["postgres-two-regions"]["regions"] == ["us-east", "eu-west"]
    assert by_name["patroni-three-zones"]["system"] == "patroni + etcd"
    assert {row["name"]: row["about"] for row in rows if len(row["about"]) > 115} == {}
    # Without a terminal a row is a line.
    lines = say("list", "topologies").stdout.splitlines()
    assert len(lines) == 1 + len(rows)
    for line, row in zip(lines[1:], rows, strict=True):
        assert row["about"] in line


BROKEN = {
    "a key misspelt": ("topology: redis-sentinel", "topologie: redis-sentinel", "topology"),
    "a node that is not there": ("isolate: primary", "isolate: n9", "n9"),
    "a number without a unit": ("duration: 30s", "duration: 30", "30s"),
    "a fault misspelt": ("fault: partition", "fault: partitoin", "partition"),
    "a fault after the end": ("at: 5s", "at: 40s", "duration"),
    "a key twice": ("seed: 1", "seed: 1\nseed: 2", "seed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_yaml(say: Say, tmp_path: Path, root: Path, name: str) -> None:
    right, wrong, hint = BROKEN[name]
    text = (root / "experiments/redis-split-brain.yaml").read_text()
    assert right in text
    (tmp_path / "broken.yaml").write_text(text.replace(right, wrong))
    done = say("validate", "broken.yaml")
    assert done.returncode == 2
    assert "broken.yaml:" in done.stderr
    assert "^" in done.stderr
    assert hint in done.stderr
    assert say("run", "broken.yaml").returncode == 2


def test_the_shipped_files_are_right(say: Say, root: Path) -> None:
    files = [str(p) for p in [*root.glob("topologies/*.yaml"), *root.glob("experiments/**/*.yaml")]]
    done = say("validate", *files)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away(say: Say, tmp_path: Path) -> None:
    shell = f"{AFTERSHOCK} list faults | head -c 1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr


def test_story_needs_answers_in_range(say: Say) -> None:
    done = say("story", "play", "redis-split-brain", "--recorded", "--answers", "0.5,7")
    assert done.returncode != 0
    assert "expected 0 to 1" in done.stderr


def test_story_from_the_shelf(say: Say, tmp_path: Path) -> None:
    done = say("story", "play", "redis-split-brain", "--recorded", "--answers", "0.9,0.2")
    assert done.returncode == 0, done.stderr
    assert "mean Brier score" in done.stdout
    assert "Locked in" in done.stdout
    assert list(tmp_path.glob("runs/story-redis-split-brain/*/predictions.json"))


def test_installed_command_is_this_checkout(root: Path) -> None:
    assert shutil.which(AFTERSHOCK)
    import chaos

    assert Path(chaos.__file__).parent.parent == root
