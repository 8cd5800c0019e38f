"""The experiments of transactions, each run for real, two at a time: what each level keeps."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.spec.files import load_experiment

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
PAIRS = [
    ("postgres-append-read-committed", "postgres-append-repeatable-read"),
    ("postgres-append-serializable", "postgres-long-fork"),
    ("postgres-bank-read-committed", "postgres-bank-repeatable-read"),
    ("postgres-write-skew", "postgres-write-skew-serializable"),
    ("postgres-session-standby", "postgres-session-primary"),
    ("redis-append", "etcd-append"),
    ("postgres-append-faults", "redis-append-split-brain"),
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


def names_of(one: Any) -> dict[str, int]:
    return {a["name"]: a["count"] for check in one.results["checks"] for a in check["anomalies"]}


def verdicts_of(one: Any) -> dict[str, str]:
    return {check["property"]: check["verdict"] for check in one.results["checks"]}


@pytest.mark.parametrize("name", NAMES)
def test_as_expected(ran: dict[str, Any], name: str) -> None:
    one = ran[name]
    expected = load_experiment(name).experiment.expect
    assert expected is not None
    assert one.results["verdict"] == expected.verdict, one.results["summary"]
    assert set(expected.anomalies) <= set(names_of(one))
    assert one.results["counts"]["ok"] > 500
    assert one.results["counts"]["info"] < 100
    assert one.run.cut_ns is None


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_took_effect_and_is_healed(ran: dict[str, Any], name: str) -> None:
    """Clients that go as fast as they can leave little of the host: a probe may be late here."""
    for fault in ran[name].run.faults.to_pylist():
        assert fault["heal_outcome"] == "confirmed", fault
        assert fault["outcome"] == "confirmed" or fault["fault"] == "client-reset", fault


@pytest.mark.parametrize("name", NAMES)
def test_every_verdict_is_proven_and_the_proof_accepted(
    ran: dict[str, Any], name: str, command: Any
) -> None:
    one = ran[name]
    assert all(check["proof"] for check in one.results["checks"]), one.results["notes"]
    done = command.say("verify", str(one.path))
    assert done.returncode == 0, done.stdout


def test_each_level_keeps_what_it_promises_and_no_more(ran: dict[str, Any]) -> None:
    assert verdicts_of(ran["postgres-append-read-committed"]) == {
        "read-committed": "valid",
        "serializable": "invalid",
    }
    assert verdicts_of(ran["postgres-append-repeatable-read"]) == {
        "snapshot-isolation": "valid",
        "serializable": "invalid",
    }
    assert verdicts_of(ran["postgres-append-serializable"]) == {"serializable": "valid"}


def test_an_anomaly_is_drawn(ran: dict[str, Any], command: Any) -> None:
    one = ran["postgres-append-repeatable-read"]
    shown = command.say("show", str(one.path), "--anomaly", "1")
    assert shown.returncode in (0, 1), shown.stderr
    assert "T" in shown.stdout


def test_standbys_break_sessions_and_the_primary_does_not(ran: dict[str, Any]) -> None:
    broken = names_of(ran["postgres-session-standby"])
    assert min(broken["read-your-writes"], broken["monotonic-reads"]) >= 10
    nodes = set(ran["postgres-session-standby"].run.history["node"].to_pylist())
    assert nodes == {"n1", "n2", "n3"}
    assert set(ran["postgres-session-primary"].run.history["node"].to_pylist()) == {"n1"}


def test_nothing_is_left(ran: dict[str, Any], nothing_left: Any) -> None:
    assert len({one.path for one in ran.values()}) == len(NAMES)
    nothing_left()
