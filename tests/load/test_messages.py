"""Queues and logs through real client processes, on the system in memory, judged: lies are found
out, in the end nothing is left, and every certificate verifies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.proof.source import fingerprint
from analysis.proof.verify import verify
from analysis.verdict import judge
from chaos.load.plan import LoadPlan
from chaos.record.reader import RunData
from chaos.record.writer import RunWriter
from chaos.registry import WORKLOADS
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape
from tests.load.playing import played

CLIENTS = 4
QUICK = {"looks": 5, "look-every-ms": 10}  # a lie in ten is that a queue is empty
QUEUES = ["at-least-once", "total-queue", "linearizable-queue"]
GROUP = {"subscribe": 1, "rebalance-every": 20}
Ran = Callable[..., RunData]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    def run(
        workload: str,
        mix: dict[str, float] | None = None,
        options: dict[str, int] | None = None,
        **lies: Any,
    ) -> RunData:
        meta = {"experiment": {"workload": {"name": workload}}}
        writer = RunWriter.create(tmp_path, workload, 1, meta)
        client = ClientSpec(
            zone="a",
            home="n1",
            endpoints={"n1": {"db": ("127.0.0.1", 1)}},
            settings={"store": str(writer.path)},
            options={"latency_ms": 0.5, **lies},
            timeout_s=1.0,
        )
        told = options or (QUICK if workload == "queue" else {})
        plan = LoadPlan(
            system="fake",
            workload=workload,
            shape=LoadShape(keys=3, mix=mix or {}, options=told),
            clients=[client] * CLIENTS,
            segment=str(writer.segments),
        )
        return played(writer, plan)

    return run


def judged(run: RunData, properties: list[str], proofs: Path) -> dict[str, tuple[str, set[str]]]:
    """(verdict, anomalies) by property; of each that is no unknown the certificate is accepted."""
    results = judge(run, properties, proofs=proofs)
    found = {}
    for check in results["checks"]:
        if check["verdict"] != "unknown":
            certificate = (run.path / check["proof"]).read_bytes()
            verify(certificate, run.history, fingerprint(run.path))
        found[check["property"]] = (check["verdict"], {a["name"] for a in check["anomalies"]})
    return found


def test_an_honest_queue_is_valid_and_empty_in_the_end(ran: Ran, tmp_path: Path) -> None:
    run = ran("queue")
    found = judged(run, QUEUES, run.path / "proofs")
    assert found == dict.fromkeys(QUEUES, ("valid", set()))
    rows = run.history.to_pylist()
    went = [row["value"] for row in rows if row["f"] == "enqueue"]
    came = [row["value"] for row in rows if row["f"] == "dequeue" and row["value"] is not None]
    assert len(went) > 100
    assert sorted(went) == sorted(came)
    assert "create" not in {row["f"] for row in rows}


@pytest.mark.parametrize(
    ("lie", "at_least_once", "total_queue"),
    [
        ("lose-acked", ("invalid", {"lost"}), ("invalid", {"lost"})),
        ("duplicates", ("valid", set()), ("invalid", {"duplicated"})),
        ("failed-yet-done", ("invalid", {"unexpected", "lost"}), None),
        ("stale-reads", ("valid", set()), ("valid", set())),
    ],
)
def test_lies_about_queues(
    ran: Ran,
    lie: str,
    at_least_once: tuple[str, set[str]],
    total_queue: tuple[str, set[str]] | None,
) -> None:
    run = ran("queue", lie=lie, rate=0.1)
    found = judged(run, QUEUES, run.path / "proofs")
    assert found["at-least-once"] == at_least_once
    assert found["total-queue"] == (total_queue or at_least_once)
    assert found["linearizable-queue"][0] == "invalid"


def test_what_comes_twice_is_told(ran: Ran) -> None:
    run = ran("queue", lie="duplicates", rate=0.1)
    (check,) = judge(run, ["at-least-once"])["checks"]
    assert "of them once more than they had been put in" in check["why"]


def test_takes_without_an_answer_are_no_losses(ran: Ran) -> None:
    run = ran("queue", lie="timeouts", rate=0.1)
    found = judged(run, QUEUES, run.path / "proofs")
    assert {verdict for verdict, _ in found.values()} <= {"valid", "unknown"}


@pytest.mark.parametrize(
    ("mix", "options"),
    [
        ({}, {}),
        ({"send": 1, "poll": 2, "txn": 2}, {}),
        ({"send": 2, "poll": 1}, {"rebalance-every": 15}),
        ({"send": 1, "poll": 1, "txn": 1}, GROUP),
    ],
)
def test_an_honest_log_is_valid_and_read_to_its_end(
    ran: Ran, mix: dict[str, float], options: dict[str, int]
) -> None:
    run = ran("log", mix, options)
    assert judged(run, ["log"], run.path / "proofs") == {"log": ("valid", set())}
    (check,) = judge(run, ["log"])["checks"]
    assert "never polled" not in check["why"]
    counts = Counter(row["f"] for row in run.history.to_pylist() if row["type"] == "ok")
    assert counts["send"] > 50
    assert counts["poll"] > 50
    assert counts["subscribe" if options.get("subscribe") else "assign"] >= CLIENTS


@pytest.mark.parametrize(
    ("lie", "names"),
    [
        ("lose-acked", {"lost-write", "poll-skip"}),
        ("duplicates", {"duplicate"}),
        ("stale-reads", {"nonmonotonic-poll"}),
        ("failed-yet-done", {"aborted-read"}),
    ],
)
def test_lies_about_logs(ran: Ran, lie: str, names: set[str]) -> None:
    run = ran("log", lie=lie, rate=0.05)
    verdict, found = judged(run, ["log"], run.path / "proofs")["log"]
    assert (verdict, found & names) == ("invalid", names)


@pytest.mark.parametrize("options", [{}, {"rebalance-every": 10}, GROUP])
def test_clients_that_were_opened_anew_begin_again_and_nobody_is_blamed(
    ran: Ran, options: dict[str, int]
) -> None:
    run = ran("log", {"send": 2, "poll": 2, "txn": 1}, options, lie="timeouts", rate=0.05)
    assert judged(run, ["log"], run.path / "proofs") == {"log": ("valid", set())}
    rows = run.history.to_pylist()
    lost = [row for row in rows if (row["error"] or "").startswith("not-assigned")]
    assert len(lost) > 3
    assert {row["f"] for row in lost} <= {"poll", "txn"}
    sends = [row for row in rows if row["f"] == "send" and row["type"] == "ok"]
    assert all(json.loads(row["payload"])[1] == row["value"] for row in sends)


def test_both_are_workloads_with_a_default_property() -> None:
    assert WORKLOADS.get("queue").properties[0] == "at-least-once"
    assert WORKLOADS.get("log").properties[0] == "log"
