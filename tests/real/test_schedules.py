"""Drawn schedules, aborted runs and faults that a host cannot do, on real databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.agent.ladder import ladder
from chaos.cli import schedule as cli_schedule
from chaos.cli.runs import run_one
from chaos.errors import UsageError
from chaos.record.reader import open_run
from chaos.runtime import capabilities
from chaos.runtime import docker as engine_api
from chaos.spec.files import drawn, load_experiment

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ABORTED = """\
name: aborted
topology: etcd-three
workload: {name: register, rate: 100/s, keys: 5}
duration: 30s
settle: 10s
random: {count: 2, from: 20s, for: 1s, mix: [{fault: pause, target: random(1)}]}
schedule:
  - {at: 1s, for: 18s, fault: kill, target: majority}
abort_when:
  - {no_quorum: 1s}
"""
SHORT = """\
name: short
topology: etcd-three
workload: {name: register, rate: 50/s, keys: 5}
duration: 3s
settle: 5s
when_unavailable: skip
schedule:
  - {at: 1s, for: 1s, fault: partition, isolate: random(1)}
  - {at: 1s, for: 1s, fault: pause, target: n1}
"""


def test_an_aborted_run_heals_and_is_judged_and_can_be_replayed(
    tmp_path: Path, command: Any, nothing_left: Any
) -> None:
    path = tmp_path / "aborted.yaml"
    path.write_text(ABORTED)
    ran = command.finish(command.start(tmp_path / "runs", str(path), "--seed", "4"))
    assert "schedule drawn from seed 4, 3 entries:" in ran.stderr.splitlines()[0]
    assert "aborted at" in ran.stderr
    why = ran.run.meta["aborted"]["why"]
    assert why == "fewer than 2 of 3 nodes said which role they have for 1s"
    at_s = ran.run.meta["aborted"]["t_ns"] / 1e9
    assert 2 < at_s < 8
    assert f"Aborted at {at_s:.1f} s, because {why}" in ran.results["summary"]
    assert ran.results["verdict"] in ("valid", "invalid")  # it has its final reads
    told = [(f["fault"], f["outcome"], f["heal_outcome"]) for f in ran.run.faults.to_pylist()]
    assert told == [("kill", "confirmed", "confirmed"), *[("pause", "skipped", None)] * 2]
    load = next(p for p in ran.run.meta["phases"] if p["name"] == "load")
    assert (load["end_ns"] - load["start_ns"]) / 1e9 < 15
    assert ran.results["faults"]["skipped"] == 2
    assert "pause" in command.say("show", str(ran.path)).stdout
    again = drawn(load_experiment(ran.path), 99)
    assert again.experiment.schedule == drawn(load_experiment(path), 4).experiment.schedule
    assert again.experiment.seed == 4
    nothing_left()


def test_what_this_host_can_do_is_asked_within_a_second(
    engine_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    doctor = command.say("doctor", "--json")
    found = {f["what"]: f for f in json.loads(doctor.stdout)}
    assert found["faults, partition"]["rung"] == "nftables"
    kept = json.loads((tmp_path / "aftershock/capabilities.json").read_text())["ladders"]
    assert kept["partition"]["rung"] == "nftables"
    assert set(kept) >= set(capabilities.ABILITIES)
    assert engine_api.leftovers(engine_client) == {}


@pytest.fixture
def no_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host like this one, but without nftables."""
    real = capabilities.probe

    def probe(*arguments: Any, **options: Any) -> Any:
        return {**real(*arguments, **options), "partition": ladder(("nftables", "no module"))}

    monkeypatch.setattr(capabilities, "probe", probe)


@pytest.mark.usefixtures("no_cuts")
def test_what_the_host_cannot_do_is_refused_before_anything_starts(
    engine_client: Any, tmp_path: Path
) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(SHORT.replace("skip", "refuse"))
    before = set(engine_api.runs(engine_client))
    with pytest.raises(UsageError, match=r"f1 \(partition\) cannot be injected.*no module"):
        run_one(load_experiment(path), None, tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()
    assert set(engine_api.runs(engine_client)) <= before


@pytest.mark.usefixtures("no_cuts")
def test_or_left_out_and_said(
    tmp_path: Path, nothing_left: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(cli_schedule, "say", said.append)
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    where, results = run_one(load_experiment(path), None, tmp_path / "runs", quiet=True)
    assert said == [
        "f1 (partition) is skipped: this host lacks dropping packets between nodes "
        "(nftables: no module)"
    ]
    assert results["summary"].startswith("f1 (partition) was skipped: this host lacks")
    run = open_run(where)
    assert [f["outcome"] for f in run.faults.to_pylist()] == ["skipped", "confirmed"]
    assert run.meta["capabilities"]["faults"]["partition"]["rung"] is None
    nothing_left()
