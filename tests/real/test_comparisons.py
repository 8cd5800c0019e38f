"""What the shipped experiments show side by side: the weak setting and the strong one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]


def test_split_brain_is_seen_and_the_guard_bounds_the_loss(ran: Mapping[str, Any]) -> None:
    naked, guarded = ran["redis-split-brain"], ran["redis-split-brain-guarded"]
    assert naked.results["primaries"]["two_at_once_s"] > 5
    assert naked.anomalies["lost-write"] > 5 * guarded.anomalies["lost-write"]
    # The price of the guard: writes refused on the minority side.
    assert guarded.results["counts"]["fail"] > naked.results["counts"]["fail"]
    assert (
        guarded.results["availability"]["by_requests"]
        < naked.results["availability"]["by_requests"]
    )


def test_async_failover_loses_and_sync_does_not(ran: Mapping[str, Any]) -> None:
    assert ran["postgres-failover-async"].anomalies["lost-write"] > 0
    assert "lost-write" not in ran["postgres-failover-sync"].anomalies


def test_etcd_pauses_for_an_election(ran: Mapping[str, Any]) -> None:
    one = ran["etcd-partition"]
    fault = one.run.faults.to_pylist()[0]
    isolated = json.loads(fault["targets"])[0]
    zone = next(n["zone"] for n in one.run.meta["nodes"] if n["name"] == isolated)
    elsewhere = [w for w in one.results["availability"]["windows"] if w["zone"] != zone]
    pauses_s = [(w["end_ns"] - w["start_ns"]) / 1e9 for w in elsewhere]
    assert pauses_s, "clients of the majority felt the election"
    assert 0.2 < max(pauses_s) < 10


def test_each_level_keeps_what_it_promises_and_no_more(ran: Mapping[str, Any]) -> None:
    assert ran["postgres-append-read-committed"].verdicts == {
        "read-committed": "valid",
        "serializable": "invalid",
    }
    assert ran["postgres-append-repeatable-read"].verdicts == {
        "snapshot-isolation": "valid",
        "serializable": "invalid",
    }
    assert ran["postgres-append-serializable"].verdicts == {"serializable": "valid"}


def test_an_anomaly_is_drawn(ran: Mapping[str, Any], command: Any) -> None:
    one = ran["postgres-append-repeatable-read"]
    shown = command.say("show", str(one.path), "--anomaly", "1")
    assert shown.returncode in (0, 1), shown.stderr
    assert "T" in shown.stdout


def test_standbys_break_sessions_and_the_primary_does_not(ran: Mapping[str, Any]) -> None:
    broken = ran["postgres-session-standby"].anomalies
    assert min(broken["read-your-writes"], broken["monotonic-reads"]) >= 10
    nodes = set(ran["postgres-session-standby"].run.history["node"].to_pylist())
    assert nodes == {"n1", "n2", "n3"}
    assert set(ran["postgres-session-primary"].run.history["node"].to_pylist()) == {"n1"}


def outage_s(one: Any) -> float:
    """How long clients of a zone got nothing done at most, because of the fault."""
    windows = [w for w in one.results["availability"]["windows"] if "f1" in w["faults"]]
    return max((w["end_ns"] - w["start_ns"] for w in windows), default=0) / 1e9


def led_twice_s(one: Any, group: str) -> float:
    """For how long two nodes of a group claimed to be primary."""
    windows = [w for w in one.results["primaries"]["windows"] if w.get("group") == group]
    return sum(w["end_ns"] - w["start_ns"] for w in windows) / 1e9


def test_a_patroni_that_hangs_leaves_a_second_primary(ran: Mapping[str, Any]) -> None:
    hangs, waiting = ran["patroni-hangs"], ran["patroni-hangs-synchronous"]
    assert led_twice_s(hangs, "db") > 0
    assert hangs.anomalies["lost-write"] > 100
    assert waiting.anomalies == {}


def test_without_etcd_writes_stop_and_in_failsafe_mode_they_go_on(ran: Mapping[str, Any]) -> None:
    stops, goes_on = ran["patroni-etcd-lost"], ran["patroni-etcd-lost-failsafe"]
    assert outage_s(stops) > 3
    roles = [
        {s["role"] for s in one.run.samples.to_pylist() if s["node"] == "n1"}
        for one in (stops, goes_on)
    ]
    assert "replica" in roles[0], "the primary steps down"
    assert "replica" not in roles[1], "it stays"
