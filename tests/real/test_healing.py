"""Faults of a dead controller, ended by another process from the journal alone, and proven so."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.healing.remains import find
from chaos.record.journal import Journal, open_faults
from chaos.record.reader import open_run
from chaos.runtime import docker as engine_api
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
EXPERIMENT = """\
name: torn
topology: redis-sentinel
workload: {name: set, rate: 100/s}
duration: 60s
schedule:
  - {at: 300ms, for: 50s, fault: pause, target: n3}
  - {at: 300ms, for: 50s, fault: kill, target: n2}
  - {at: 300ms, for: 50s, fault: client-latency, zones: all, nodes: n1, delay: 80ms}
  - {at: 300ms, for: 50s, fault: partition, between: [[n1], [n3]]}
  - {at: 300ms, for: 50s, fault: clock-step, target: n1, by: 1h}
  - {at: 300ms, for: 50s, fault: delay, from: [n2], to: [n1], delay: 20ms}
"""


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def foreign(engine_client: Any) -> Iterator[Any]:
    """A container that is not ours, called as a node might be."""
    image = engine_client.images.list(name="aftershock/redis")[0]
    container = engine_client.containers.run(
        image.id, ["sleep", "600"], name=f"n1-{secrets.token_hex(4)}", detach=True
    )
    yield container
    container.remove(force=True)


def state_of(container: Any) -> tuple[Any, ...]:
    container.reload()
    at = container.attrs
    return at["State"]["StartedAt"], at["State"]["Status"], at["HostConfig"]["CpuQuota"]


def test_heal_by_another_process(
    command: Any, tmp_path: Path, engine_client: Any, foreign: Any
) -> None:
    file, out = tmp_path / "torn.yaml", tmp_path / "runs"
    file.write_text(EXPERIMENT)
    process = command.start(out, str(file))
    run_id = ""
    try:
        run = wait_until("the run", lambda: next(iter(out.glob("torn/*/run.json")), None))
        run = run.parent
        run_id = open_run(run).meta["run_id"]
        wait_until("all faults", lambda: sum(e["event"] == "probed" for e in events(run)) == 6)
        refused = command.say("heal", str(run))
        assert refused.returncode == 2, refused.stderr
        assert "is still going on" in refused.stderr
        assert command.say("heal", "--out", str(out)).stdout == "no run has faults to heal\n"
        _in_force({n: look.held for n, look in find(engine_client, run_id).look().items()})
        # Both at once: this is the case in which nobody is left to do it.
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            if b"chaos.healing.watchdog" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.communicate()
        _healed_by_its_id(command, run, run_id, tmp_path)
        _foreign_containers_stay(command, run, foreign)
        engine_api.remove_run(engine_client, run_id)
        gone = command.say("heal", str(run))
        assert gone.returncode == 0
        assert "its containers are gone" in gone.stdout
        shown = command.say("show", str(run))
        assert shown.returncode == 0, shown.stderr
        assert "f9" in shown.stdout
    finally:
        process.kill()
        process.communicate()
        if run_id:
            engine_api.remove_run(engine_client, run_id)


def test_down_while_the_watchdog_heals(command: Any, tmp_path: Path, engine_client: Any) -> None:
    """Neither hinders the other: nothing comes back, and the record says what became of it."""
    file, out = tmp_path / "torn.yaml", tmp_path / "runs"
    file.write_text(EXPERIMENT)
    process = command.start(out, str(file))
    run_id = ""
    try:
        run = wait_until("the run", lambda: next(iter(out.glob("torn/*/run.json")), None)).parent
        run_id = open_run(run).meta["run_id"]
        wait_until("all faults", lambda: sum(e["event"] == "injected" for e in events(run)) == 6)
        process.kill()
        process.communicate()
        wait_until("the watchdog", lambda: any(e.get("by") == "watchdog" for e in events(run)), 20)
        engine_api.remove_run(engine_client, run_id)
        wait_until("healing", lambda: not open_faults(run / "journal.jsonl"), 40)
        assert run_id not in engine_api.runs(engine_client)
        assert "Error" not in (run / "logs/watchdog.log").read_text()
    finally:
        process.kill()
        process.communicate()
        if run_id:
            engine_api.remove_run(engine_client, run_id)


def _in_force(held: dict[str, dict[str, list[str]]]) -> None:
    """What is looked for later is seen while it is there."""
    assert sorted(held["n1"]) == ["clocks", "drops", "queues"]
    assert sorted(held["n3"]) == ["drops", "stopped"]
    assert len(held["n1"]["clocks"]) == len(held["n3"]["stopped"]) == 2
    assert held["n2"] == {}


def _healed_by_its_id(command: Any, run: Path, run_id: str, elsewhere: Path) -> None:
    """From another folder, by the label alone; and twice."""
    done = command.say("heal", run_id, "--json", cwd=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["healed"]
    assert {f["id"]: f["outcome"] for f in report["faults"]} == dict.fromkeys(
        ("f1", "f2", "f3", "f4", "f5", "f6"), "confirmed"
    )
    assert {f["id"]: f["undone"] for f in report["faults"]} == {
        "f1": [], "f2": ["n2 started"], "f3": ["every toxic taken off"], "f4": [], "f5": [],
        "f6": [],
    }  # fmt: skip
    assert sorted(report["nodes"]) == ["clients", "n1", "n2", "n3"]
    assert {n["request"] for n in report["nodes"].values()} == {"", "answered"}
    healed = [e for e in events(run) if e["event"] == "healed"]
    assert {e["by"] for e in healed} == {"aftershock heal"}
    faults = open_run(run).faults.to_pylist()
    assert {f["heal_outcome"] for f in faults} == {"confirmed"}
    assert all(f["healed_ns"] > f["effect_ns"] for f in faults)
    again = command.say("heal", run_id, cwd=elsewhere)
    assert (again.returncode, again.stdout.partition(" in ")[0]) == (0, "nothing to heal")


def _foreign_containers_stay(command: Any, run: Path, foreign: Any) -> None:
    """A journal that names other containers, by whatever name, moves none of them."""
    before = state_of(foreign)
    names = (foreign.name, foreign.id, f"../{foreign.name}")
    items = [{"do": "restart", "node": name} for name in names]
    items += [{"do": "update", "node": name, "cpu_quota": 1000} for name in names]
    journal = Journal(run / "journal.jsonl")
    journal.append({"id": "f9", "event": "inject", "t_ns": 1, "targets": [], "undo": items})
    journal.close()
    done = command.say("heal", str(run), "--json")
    assert done.returncode == 70
    (fault,) = json.loads(done.stdout)["faults"]
    assert fault["outcome"] == "mismatch"
    assert "expected a node of run" in fault["why"]
    assert state_of(foreign) == before
