"""Edits through real client processes, on the system in memory, judged: lies are found out."""

from __future__ import annotations

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
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape
from tests.load.playing import played

NODES = ("n1", "n2", "n3")
PROPERTIES = ["authorised-edits", "convergence"]
Ran = Callable[..., RunData]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    def run(options: dict[str, int], **lies: Any) -> RunData:
        meta = {"experiment": {"workload": {"name": "edits"}}}
        writer = RunWriter.create(tmp_path, "edits", 1, meta)
        clients = [
            ClientSpec(
                zone="a",
                home=node,
                endpoints={node: {"db": ("127.0.0.1", 1)} for node in NODES},
                settings={"store": str(writer.path)},
                options={"latency_ms": 1, **lies},
                timeout_s=1.0,
            )
            for node in NODES
        ]
        plan = LoadPlan(
            system="fake",
            workload="edits",
            shape=LoadShape(options=options),
            clients=clients,
            segment=str(writer.segments),
        )
        return played(writer, plan)

    return run


ONCE = {"revoke-after": 30, "admit-after": 0, "member": 2}


@pytest.mark.parametrize(
    ("options", "lies", "verdict", "names"),
    [
        (ONCE, {}, "valid", set()),
        ({"revoke-after": 20, "admit-after": 10}, {}, "valid", set()),
        (ONCE, {"lie": "revoked-edits", "rate": 0.5}, "invalid", {"unauthorised-edit"}),
        (ONCE, {"lie": "lose-acked", "rate": 0.05}, "invalid", {"lost-edit"}),
        (ONCE, {"lie": "timeouts", "rate": 0.05}, "valid", set()),
    ],
)
def test_lies_are_found_out(
    ran: Ran, options: dict[str, int], lies: dict[str, Any], verdict: str, names: set[str]
) -> None:
    run = ran(options, **lies)
    results = judge(run, PROPERTIES, proofs=run.path / "proofs")
    for check in results["checks"]:
        certificate = (run.path / check["proof"]).read_bytes()
        verify(certificate, run.history, fingerprint(run.path))
    edits, agreed = results["checks"]
    assert (edits["verdict"], {a["name"] for a in edits["anomalies"]}) == (verdict, names)
    assert agreed["verdict"] == "valid"
    rows = run.history.to_pylist()
    revoked = [row for row in rows if (row["error"] or "").startswith("revoked")]
    assert {row["type"] for row in revoked} == {"fail"}
    assert sum(row["f"] == "add" and row["type"] == "ok" for row in rows) > 100
