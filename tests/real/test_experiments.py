"""The experiments that ship, each run for real, several at a time: what each must show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chaos.spec.experiment import Experiment
from chaos.spec.files import load_experiment
from tests.real.conftest import shipped_experiments

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]
NAMES = sorted(shipped_experiments())
FAST = [name for name, one in shipped_experiments().items() if not one.workload.rate]


def expected_operations(experiment: Experiment) -> float:
    """How many its clients would invoke if nothing were in their way; without a rate, many."""
    seconds = experiment.duration_ns / 1e9
    return seconds * experiment.workload.rate if experiment.workload.rate else float("inf")


@pytest.mark.parametrize("name", NAMES)
def test_as_expected(ran: Mapping[str, Any], name: str) -> None:
    one = ran[name]
    expected = load_experiment(name).experiment.expect
    assert expected is not None
    assert one.results["verdict"] == expected.verdict, one.results["summary"]
    assert one.code == {"valid": 0, "invalid": 1, "unknown": 3}[expected.verdict]
    assert set(expected.anomalies) <= set(one.anomalies)
    asked = expected_operations(load_experiment(name).experiment)
    assert one.results["counts"]["ok"] > min(500, 0.05 * asked)
    assert one.run.meta["state"] == "done"
    assert one.run.cut_ns is None


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_proven_and_healed(ran: Mapping[str, Any], name: str) -> None:
    """Clients that go as fast as they can leave little of the host: a probe may be late there."""
    for fault in ran[name].run.faults.to_pylist():
        late = name in FAST and fault["fault"] == "client-reset"
        assert fault["outcome"] == "confirmed" or late, fault
        if fault["kind"] == "fault":
            assert fault["heal_outcome"] == "confirmed", fault
            assert fault["inject_ns"] <= fault["effect_ns"] <= fault["heal_ns"]
            assert fault["heal_ns"] <= fault["healed_ns"]


@pytest.mark.parametrize("name", NAMES)
def test_every_verdict_is_proven_and_the_proof_accepted(
    ran: Mapping[str, Any], name: str, command: Any
) -> None:
    one = ran[name]
    assert all(check["proof"] for check in one.results["checks"]), one.results["notes"]
    done = command.say("verify", str(one.path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_every_node_twice_a_second(ran: Mapping[str, Any], name: str) -> None:
    run = ran[name].run
    load = next(p for p in run.meta["phases"] if p["name"] == "load")
    seconds = (load["end_ns"] - load["start_ns"]) / 1e9
    samples = run.samples.to_pylist()
    for node in run.meta["nodes"]:
        times = [
            s["t_ns"]
            for s in samples
            if s["node"] == node["name"] and load["start_ns"] <= s["t_ns"] <= load["end_ns"]
        ]
        assert len(times) >= (1 if name in FAST else 2) * seconds * 0.9
    assert {"primary", "member"} & {s["role"] for s in samples}
    assert any(s["mem_bytes"] for s in samples)


def test_nothing_is_left(ran: Mapping[str, Any], nothing_left: Any) -> None:
    assert len({one.path for one in ran.values()}) == len(NAMES)
    nothing_left()
