"""Transactions through real client processes, on the system in memory: honest, and lying."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.verdict import judge
from chaos.load.plan import LoadPlan
from chaos.record.reader import RunData
from chaos.record.writer import RunWriter
from chaos.registry import WORKLOADS
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape
from tests.load.playing import played

CLIENTS = 4
Ran = Callable[..., RunData]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    def run(workload: str, keys: int = 3, seconds: float = 0.7, **options: Any) -> RunData:
        shape = LoadShape(keys=keys)
        initial = WORKLOADS.get(workload).initial(shape)
        meta = {
            "experiment": {"workload": {"name": workload}},
            "imported": {"initial": initial},
        }
        writer = RunWriter.create(tmp_path, workload, 1, meta)
        client = ClientSpec(
            zone="a",
            home="n1",
            endpoints={"n1": {"db": ("127.0.0.1", 1)}},
            settings={"store": str(writer.path)},
            options={"latency_ms": 0.5, **options},
            timeout_s=1.0,
        )
        plan = LoadPlan(
            system="fake",
            workload=workload,
            shape=shape,
            clients=[client] * CLIENTS,
            segment=str(writer.segments),
        )
        return played(writer, plan, seconds)

    return run


def found(run: RunData) -> tuple[str, set[str]]:
    results = judge(run)
    names = {a["name"] for check in results["checks"] for a in check["anomalies"]}
    return results["verdict"], names


@pytest.mark.parametrize("workload", ["append", "wr", "bank", "session", "long-fork", "write-skew"])
def test_one_at_a_time_is_valid(ran: Ran, workload: str) -> None:
    run = ran(workload)
    assert len(run.history) > 200
    assert found(run) == ("valid", set())


def test_accounts_are_there_before_the_first_operation(ran: Ran) -> None:
    rows = ran("bank", seconds=0.2).history.to_pylist()
    assert {row["f"] for row in rows} == {"transfer", "read"}
    assert all(row["type"] == "ok" or "insufficient" in row["error"] for row in rows)
    assert all(json.loads(row["payload"]).keys() == {"from", "to", "amount"} for row in rows
               if row["f"] == "transfer")  # fmt: skip


def test_a_transaction_without_an_answer_is_recorded_as_asked(ran: Ran) -> None:
    run = ran("append", lie="timeouts", rate=0.1)
    rows = run.history.to_pylist()
    unsure = [row for row in rows if row["type"] == "info"]
    assert len(unsure) > 5
    asked = [micro for row in unsure for micro in json.loads(row["payload"])]
    assert {kind for kind, _, _ in asked} == {"append", "r"}
    assert all((value is None) == (kind == "r") for kind, _, value in asked)
    assert found(run) == ("valid", set())


@pytest.mark.parametrize(
    ("workload", "lie", "rate", "names"),
    [
        ("append", "interleaved", 1, {"G-single"}),
        ("append", "snapshots", 1, {"write-skew"}),
        ("append", "duplicates", 0.05, {"duplicate-elements"}),
        ("append", "failed-yet-done", 0.05, {"G1a"}),
        ("append", "lose-acked", 0.05, set()),
        ("bank", "interleaved", 0.5, {"wrong-total"}),
        ("bank", "stale-reads", 0.2, {"wrong-total"}),
        ("write-skew", "snapshots", 1, {"write-skew"}),
        ("session", "stale-reads", 0.2, {"monotonic-reads", "read-your-writes"}),
    ],
)
def test_a_lie_is_seen(ran: Ran, workload: str, lie: str, rate: float, names: set[str]) -> None:
    verdict, anomalies = found(ran(workload, keys=2, lie=lie, rate=rate))
    assert verdict == "invalid"
    assert names <= anomalies


def test_snapshots_lose_no_update(ran: Ran) -> None:
    results = judge(ran("append", keys=2, lie="snapshots", rate=1), ["snapshot-isolation"])
    assert results["verdict"] == "valid", results["summary"]
