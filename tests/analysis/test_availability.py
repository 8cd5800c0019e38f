"""Availability, against histories small enough to work out by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analysis.availability import measure
from chaos.record.reader import RunData, open_run
from chaos.record.rundir import new_run_json
from chaos.record.schema import FAULTS, HISTORY, SAMPLES
from chaos.record.tables import conform
from chaos.record.writer import write_run

S = 1_000_000_000
MS = 1_000_000
Make = Callable[..., RunData]


def op(zone: str, start_ms: int, end_ms: int, kind: str = "ok", **more: Any) -> dict[str, Any]:
    row = {"process": 0, "zone": zone, "f": "add", "type": kind}
    return {**row, "start_ns": start_ms * MS, "end_ns": end_ms * MS, **more}


def steady(zone: str, from_ms: int, to_ms: int, kind: str = "ok") -> list[dict[str, Any]]:
    """A request every 50 ms, each taking 10 ms."""
    return [op(zone, t, t + 10, kind) for t in range(from_ms, to_ms, 50)]


def partition(start_ms: int, end_ms: int, name: str = "f1", **more: Any) -> dict[str, Any]:
    row = {"id": name, "kind": "fault", "fault": "partition", "outcome": "confirmed"}
    times = {"inject_ns": start_ms * MS, "heal_ns": end_ms * MS, "healed_ns": end_ms * MS}
    return {**row, **times, **more}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(
        history: list[dict[str, Any]],
        faults: Sequence[dict[str, Any]] = (),
        load_s: int = 10,
        **meta: Any,
    ) -> RunData:
        phases = [{"name": "load", "start_ns": 0, "end_ns": load_s * S}]
        return open_run(write_run(tmp_path / "run", {"phases": phases, **meta}, history, faults))

    return make


def test_nothing_wrong_is_fully_available(make: Make) -> None:
    found = measure(make(steady("a", 0, 10_000)))
    assert found["by_requests"] == found["by_time"] == 1.0
    assert found["windows"] == []
    assert found["longest_outage_s"] == 0
    assert found["latency_ms"] == {"p50": 10.0, "p90": 10.0, "p99": 10.0, "max": 10.0}
    assert found["recover_s"] is None
    assert found["recover_why"] == "no fault was injected"


def test_an_outage_of_two_seconds_in_ten(make: Make) -> None:
    history = steady("a", 0, 4000) + steady("a", 4000, 6000, "fail") + steady("a", 6000, 10_000)
    found = measure(make(history, [partition(3950, 5900)]))
    assert found["by_requests"] == 0.8
    assert found["by_time"] == 0.8
    assert found["down_s"] == 2.0
    assert found["windows"] == [
        {"zone": "a", "start_ns": 4000 * MS, "end_ns": 6010 * MS, "failed": 40, "faults": ["f1"]}
    ]
    assert found["longest_outage_s"] == 2.01
    assert found["recover_s"] == 0.11


def test_requests_left_out_by_waiting_clients_were_not_served(make: Make) -> None:
    run = make(steady("a", 0, 1000))
    run.meta["skipped"] = run.history.num_rows
    found = measure(run)
    assert found["by_requests"] == 0.5
    assert found["skipped"] == run.history.num_rows


def test_only_the_load_phase_counts(make: Make) -> None:
    run = make([*steady("a", 0, 2000), op("a", 5000, 6000, "info", f="read")], load_s=2)
    assert measure(run)["by_requests"] == 1.0


@pytest.mark.parametrize(
    "no",
    [
        "cas-mismatch: the key held 3",
        "held: another has the lock",
        "not-held: the lock has passed to another, or to nobody",
        "stale-token: the document has met a higher token",
    ],
)
def test_a_no_that_the_system_is_there_to_give_is_an_answer(make: Make, no: str) -> None:
    found = measure(make([op("a", t, t + 1, "fail", error=no) for t in range(0, 1000, 10)]))
    assert found["by_requests"] == found["by_time"] == 1.0
    refused = measure(make([op("a", 0, 400, "fail", error="no-primary: none known")]))
    assert refused["by_requests"] == refused["by_time"] == 0.0


def test_a_poll_that_was_never_sent_is_no_request(make: Make) -> None:
    polls = [op("a", 500 * n, 500 * n + 1, "fail", error="not-assigned: none") for n in range(20)]
    found = measure(make([*steady("a", 0, 10_000), *polls]))
    assert found == measure(make(steady("a", 0, 10_000)))


def test_a_frozen_system_that_answers_late_was_down(make: Make) -> None:
    found = measure(make([*steady("a", 0, 3000), op("a", 3000, 8000), *steady("a", 8000, 10_000)]))
    assert found["by_requests"] == 1.0
    assert found["by_time"] == pytest.approx(0.5)
    assert found["windows"][0]["start_ns"] == 3 * S
    assert found["windows"][0]["end_ns"] == 8 * S


def test_few_requests_are_not_an_outage(make: Make) -> None:
    """One request every two seconds, all answered: nobody was let down in between."""
    found = measure(make([op("a", t, t + 400) for t in range(0, 10_000, 2000)]))
    assert found["by_time"] == 1.0
    assert found["windows"] == []


def test_zones_weigh_as_many_clients_as_they_have(make: Make) -> None:
    history = steady("a", 0, 10_000) + steady("b", 0, 10_000, "info")
    assert measure(make(history, clients={"a": 3, "b": 1}))["by_time"] == 0.75
    assert measure(make(history))["by_time"] == 0.5


def test_a_zone_is_served_while_one_of_its_clients_is(make: Make) -> None:
    """As defined: the other client's failures show by requests, not by time."""
    found = measure(make(steady("a", 0, 10_000) + [op("a", t, t + 990, "info") for t in (0, 5000)]))
    assert found["by_time"] == 1.0
    assert found["windows"] == []
    assert found["by_requests"] == pytest.approx(200 / 202, abs=1e-6)


def test_groups_split_by_zone_and_operation(make: Make) -> None:
    history = [*steady("a", 0, 1000), op("a", 0, 500, "fail", f="read"), op("b", 0, 5, "info")]
    groups = {(g["zone"], g["f"]): g for g in measure(make(history))["groups"]}
    assert set(groups) == {("a", "add"), ("a", "read"), ("b", "add")}
    assert groups["a", "read"]["fail"] == 1
    assert groups["a", "read"]["by_requests"] == 0.0
    assert groups["a", "read"]["longest_outage_s"] == 10.0, "no read was ever answered"
    assert groups["b", "add"]["info"] == 1


def test_recovery_waits_for_the_slowest_zone_and_a_relapse(make: Make) -> None:
    """b is served 1 s after the heal, then fails again for 1.5 s: it has recovered after 3.5 s."""
    b = steady("b", 0, 2000) + steady("b", 2000, 5000, "fail") + steady("b", 5000, 6000)
    b += steady("b", 6000, 7500, "fail") + steady("b", 7500, 10_000)
    found = measure(make(steady("a", 0, 10_000) + b, [partition(2000, 4000)]))
    assert found["recover_s"] == pytest.approx(3.51)


def test_not_seen_to_recover_is_none(make: Make) -> None:
    history = steady("a", 0, 2000) + steady("a", 2000, 10_000, "info")
    found = measure(make(history, [partition(2000, 4000)]))
    assert found["recover_s"] is None
    assert "no answer after" in found["recover_why"]
    never_healed = measure(
        make(steady("a", 0, 9000), [partition(2000, 0, heal_ns=None, healed_ns=None)])
    )
    assert never_healed["recover_s"] is None


def test_latency_before_during_and_after(make: Make) -> None:
    history = [op("a", 0, 10), op("a", 2500, 2700), op("a", 6000, 6030)]
    phases = measure(make(history, [partition(2000, 4000)]))["latency_ms_by_phase"]
    assert {name: q["max"] for name, q in phases.items()} == {
        "before fault": 10.0,
        "during faults": 200.0,
        "after": 30.0,
    }


def test_empty_history(make: Make) -> None:
    found = measure(make([]))
    assert found["by_requests"] is None
    assert found["by_time"] is None
    assert found["latency_ms"]["p99"] is None
    assert found["groups"] == []


def test_a_million_operations_in_a_second() -> None:
    count, rng = 1_000_000, np.random.default_rng(7)
    start = np.sort(rng.integers(0, 600 * S, count))
    columns: dict[str, Any] = {
        "process": np.arange(count) % 12,
        "node": pa.array(np.array(["n1", "n2", "n3"])[rng.integers(0, 3, count)]),
        "zone": pa.array(np.array(["a", "b", "c"])[rng.integers(0, 3, count)]),
        "f": pa.array(np.array(["read", "write"])[rng.integers(0, 2, count)]),
        "type": pa.array(np.array(["ok", "ok", "ok", "fail", "info"])[rng.integers(0, 5, count)]),
        "start_ns": start,
        "end_ns": start + rng.integers(1, 9 * MS, count),
    }
    nothing = {name: pa.nulls(count) for name in HISTORY.names if name not in columns}
    table = conform(pa.table({**columns, **nothing}), HISTORY, "test")
    run = RunData(
        path=Path("none"),
        meta=new_run_json(),
        history=table,
        faults=FAULTS.empty_table(),
        samples=SAMPLES.empty_table(),
        cut_ns=None,
    )
    began = time.process_time()
    found = measure(run)
    took = time.process_time() - began
    assert took < 2.0  # < 1 s alone; the machine may be busy
    assert sum(g["ok"] + g["fail"] + g["info"] for g in found["groups"]) == count
