"""The watchdog as a process: when it acts, when it keeps quiet, what it survives. No engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.healing.watchdog import LOG, watching
from chaos.record.journal import Journal
from chaos.record.writer import RunWriter

INJECTED = [
    {"id": "f1", "event": "planned", "t_ns": None, "fault": "kill"},
    {"id": "f1", "event": "inject", "t_ns": 1, "targets": ["n1"], "undo": []},
]
# A controller: holds a watchdog over the run, says so, and does what it is told on its input.
CONTROLLER = """
import sys
from pathlib import Path
from chaos.healing.watchdog import watching
with watching(Path(sys.argv[1])):
    print("watched", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that goes on, as its directory shows it; its controller is no process at all."""
    meta = {"run_id": "0123abcd", "controller": {"pid": 2**22 + 1, "started": 1, "boot": "x"}}
    writer = RunWriter.create(tmp_path / "runs", "watched", 1, meta)
    writer.close()
    return writer.path


@pytest.fixture
def controller(run: Path, tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLER, str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "watched\n"
        return process

    return start


def watchdogs(run: Path) -> list[int]:
    """Processes that watch this run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"chaos.healing.watchdog" in words and str(run).encode() in words:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def the_watchdog(run: Path) -> int:
    """Its process id, once it is deaf to signals that are meant for its controller."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for pid in watchdogs(run):
            status = Path(f"/proc/{pid}/status").read_text()
            ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
            if ignored >> (signal.SIGTERM - 1) & 1:
                return pid
        time.sleep(0.01)
    raise AssertionError("no watchdog")


def ends(run: Path, within_s: float = 10.0) -> bool:
    end = time.monotonic() + within_s
    while watchdogs(run) and time.monotonic() < end:
        time.sleep(0.02)
    return not watchdogs(run)


def log(run: Path) -> str:
    path = run / "logs" / LOG
    return path.read_text() if path.exists() else ""


def inject(run: Path) -> None:
    journal = Journal(run / "journal.jsonl")
    for event in INJECTED:
        journal.append(event)
    journal.close()


def test_it_goes_with_a_run_that_ends(run: Path, controller: Callable[..., object]) -> None:
    inject(run)
    process = controller()
    pid = the_watchdog(run)
    assert os.getsid(pid) == pid, "in a session of its own"
    process.communicate("end\n", timeout=10)
    assert watchdogs(run) == []
    assert log(run) == "", "after a goodbye it does nothing, whatever the journal says"


def test_it_goes_when_the_block_is_left_by_an_error(run: Path) -> None:
    def breaks() -> None:
        with watching(run):
            assert the_watchdog(run)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        breaks()
    assert watchdogs(run) == []


def test_it_keeps_quiet_when_nothing_was_injected(
    run: Path, controller: Callable[..., object]
) -> None:
    process = controller()
    process.kill()
    process.communicate()
    assert ends(run)
    assert log(run) == ""


def test_it_outlives_the_whole_process_group_and_acts(
    run: Path, controller: Callable[..., object]
) -> None:
    inject(run)
    process = controller()
    pid = the_watchdog(run)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert ends(run), "it never stays, even where no engine answers"
    assert "the controller died with faults open" in log(run)
    assert "failed: EngineError: " in log(run)


def test_it_goes_when_the_run_directory_is_gone(
    run: Path, controller: Callable[..., object]
) -> None:
    process = controller()
    run.rename(run.with_name("elsewhere"))
    process.kill()
    process.communicate()
    assert ends(run)
    assert not run.exists()


def test_a_controller_without_its_watchdog_ends_well(run: Path) -> None:
    with watching(run):
        pid = the_watchdog(run)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
