"""The experiments that ship, each run for real, two at a time: so two runs at once work, too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.spec.files import load_experiment

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
PAIRS = [
    ("redis-split-brain", "redis-split-brain-guarded"),
    ("postgres-failover-async", "postgres-failover-sync"),
    ("etcd-partition", "etcd-serializable-reads"),
]
NAMES = [name for pair in PAIRS for name in pair]


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, engine_client: object, command: Any
) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("runs")
    found: dict[str, Any] = {}
    for pair in PAIRS:
        processes = {name: command.start(out, name) for name in pair}
        try:
            found |= {name: command.finish(process) for name, process in processes.items()}
        finally:
            for process in processes.values():
                process.kill()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_as_expected(ran: dict[str, Any], name: str) -> None:
    one = ran[name]
    expected = load_experiment(name).experiment.expect
    assert expected is not None
    assert one.results["verdict"] == expected.verdict, one.results["summary"]
    assert one.code == {"valid": 0, "invalid": 1, "unknown": 3}[expected.verdict]
    anomalies = {a["name"] for check in one.results["checks"] for a in check["anomalies"]}
    assert set(expected.anomalies) <= anomalies
    assert one.run.meta["state"] == "done"
    assert one.run.cut_ns is None


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_proven_and_healed(ran: dict[str, Any], name: str) -> None:
    for fault in ran[name].run.faults.to_pylist():
        assert fault["outcome"] == "confirmed", fault
        if fault["kind"] == "fault":
            assert fault["heal_outcome"] == "confirmed", fault
            assert fault["inject_ns"] <= fault["effect_ns"] <= fault["heal_ns"]
            assert fault["heal_ns"] <= fault["healed_ns"]


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_every_node_twice_a_second(ran: dict[str, Any], name: str) -> None:
    run = ran[name].run
    load = next(p for p in run.meta["phases"] if p["name"] == "load")
    seconds = (load["end_ns"] - load["start_ns"]) / 1e9
    for node in run.meta["nodes"]:
        times = [
            s["t_ns"]
            for s in run.samples.to_pylist()
            if s["node"] == node["name"] and load["start_ns"] <= s["t_ns"] <= load["end_ns"]
        ]
        assert len(times) >= 2 * seconds * 0.9
    assert {s["role"] for s in run.samples.to_pylist()} >= {"primary", "replica"}
    assert any(s["mem_bytes"] for s in run.samples.to_pylist())


def lost(one: Any) -> int:
    return sum(
        a["count"]
        for check in one.results["checks"]
        for a in check["anomalies"]
        if a["name"] == "lost-write"
    )


def test_split_brain_is_seen_and_the_guard_bounds_the_loss(ran: dict[str, Any]) -> None:
    naked, guarded = ran["redis-split-brain"], ran["redis-split-brain-guarded"]
    assert naked.results["primaries"]["two_at_once_s"] > 5
    assert lost(naked) > 5 * lost(guarded)
    # The price of the guard: writes refused on the minority side.
    assert guarded.results["counts"]["fail"] > naked.results["counts"]["fail"]
    assert (
        guarded.results["availability"]["by_requests"]
        < naked.results["availability"]["by_requests"]
    )


def test_async_failover_loses_and_sync_does_not(ran: dict[str, Any]) -> None:
    assert lost(ran["postgres-failover-async"]) > 0
    assert lost(ran["postgres-failover-sync"]) == 0


def test_etcd_pauses_for_an_election(ran: dict[str, Any]) -> None:
    one = ran["etcd-partition"]
    fault = one.run.faults.to_pylist()[0]
    isolated = json.loads(fault["targets"])[0]
    zone = next(n["zone"] for n in one.run.meta["nodes"] if n["name"] == isolated)
    elsewhere = [w for w in one.results["availability"]["windows"] if w["zone"] != zone]
    pauses_s = [(w["end_ns"] - w["start_ns"]) / 1e9 for w in elsewhere]
    assert pauses_s, "clients of the majority felt the election"
    assert 0.2 < max(pauses_s) < 10


def test_nothing_is_left(ran: dict[str, Any], nothing_left: Any) -> None:
    assert len({one.path for one in ran.values()}) == len(NAMES)
    nothing_left()
