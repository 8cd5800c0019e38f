"""Counters and locks through real client processes, judged: leases, pauses and tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import pytest

from analysis.verdict import judge
from chaos.load.plan import LoadPlan, PartPlan
from chaos.record.reader import RunData
from chaos.record.writer import RunWriter
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape
from tests.load.playing import played

CLIENTS = 4
Ran = Callable[..., RunData]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    def run(
        workload: str,
        properties: list[str],
        options: dict[str, int],
        seconds: float = 1.0,
        **more: Any,
    ) -> RunData:
        spec = ClientSpec(
            zone="a", home="n1", endpoints={}, settings={},
            options={"latency_ms": 1, **more}, timeout_s=1.0,
        )  # fmt: skip
        kinds = {"lock": "lock", "store": "document"} if workload == "lock" else {}
        asked = {"workload": {"name": workload, "options": options}, "properties": properties}
        writer = RunWriter.create(tmp_path, "test", 1, {"experiment": asked})
        plan = LoadPlan(
            system="fake",
            workload=workload,
            shape=LoadShape(options=options),
            clients=[spec] * CLIENTS,
            parts={
                part: PartPlan(system="fake", kind=kind, clients=[spec] * CLIENTS)
                for part, kind in kinds.items()
            },
            segment=str(writer.segments),
        )
        return played(writer, plan, seconds)

    return run


def verdicts(run: RunData) -> dict[str, str]:
    return {check["property"]: check["verdict"] for check in judge(run)["checks"]}


def anomalies(run: RunData) -> dict[str, int]:
    return {a["name"]: a["count"] for check in judge(run)["checks"] for a in check["anomalies"]}


def ended(run: RunData) -> Counter[tuple[str, str]]:
    """How often each operation ended how: ok, or the code of its error."""
    rows = run.history.to_pylist()
    return Counter((row["f"], (row["error"] or "ok").split(":")[0]) for row in rows)


COUNTED = ["counter", "linearizable-counter"]


def test_counters_that_count_are_valid_and_others_are_not(ran: Ran) -> None:
    assert set(verdicts(ran("counter", COUNTED, {"most": 1})).values()) == {"valid"}
    assert "too-low" in anomalies(ran("counter", COUNTED, {}, lie="lose-acked", rate=0.05))


def test_a_lock_that_nobody_outlives_loses_nothing(ran: Ran) -> None:
    run = ran("lock", ["set", "lock"], {"fencing": 0}, lease="60s")
    assert verdicts(run) == {"set": "valid", "lock": "valid"}
    counts = ended(run)
    assert counts["add", "ok"] > 10
    assert counts["acquire", "held"] > 10
    assert {code for f, code in counts if f in ("read", "add", "release")} == {"ok"}


PAUSES = {"pause-ms": 200, "pause-every": 3}


def test_a_pause_beyond_the_lease_loses_adds_without_tokens(ran: Ran) -> None:
    run = ran("lock", ["set", "lock"], {**PAUSES, "fencing": 0}, 2.0, lease="50ms")
    found = anomalies(run)
    assert found["lost-write"] > 0
    assert found["two-holders"] > 0
    assert ended(run)["release", "not-held"] > 0
    rows = sorted(run.history.to_pylist(), key=lambda row: (row["process"], row["start_ns"]))
    idle = [b["start_ns"] - a["end_ns"] for a, b in pairwise(rows) if b["f"] == "add"]
    assert max(idle) >= 200e6, "the pause is between two operations, and within none"


def test_with_tokens_the_same_pauses_lose_nothing(ran: Ran) -> None:
    run = ran("lock", ["set"], {**PAUSES, "fencing": 1}, 2.0, lease="50ms")
    assert verdicts(run) == {"set": "valid"}
    assert ended(run)["add", "stale-token"] > 0
    adds = [row for row in run.history.to_pylist() if row["f"] == "add" and row["type"] == "ok"]
    assert all(row["value"] == json.loads(row["payload"])[-1] for row in adds)
    for one, other in permutations(adds, 2):
        assert one["end_ns"] >= other["start_ns"] or one["expected"] <= other["expected"]
