"""Every fault on real databases: confirmed by its probe, healed, and proven healed."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

EVERY_FAULT = """\
name: every-fault
topology: {topology}
workload: {{name: register, rate: 100/s, keys: 5}}
duration: 24s
settle: 20s
schedule:
  - {{at: 1s, for: 1s, fault: client-latency, zones: all, nodes: n1, delay: 80ms}}
  - {{at: 3s, for: 1s, fault: client-reset, zones: [us-east-a], nodes: n1}}
  - {{at: 5s, for: 1s, fault: client-down, zones: [us-east-b], nodes: all}}
  - {{at: 7s, for: 1s, fault: partition, isolate: {isolated}, one_way: true, direction: in}}
  - {{at: 9s, for: 1s, fault: partition, between: [[n1, clients@us-east-a], [n2]]}}
  - {{at: 9.2s, for: 1500ms, fault: partition, between: [[n1], [n2]]}}
  - {{at: 11.2s, for: 1s, fault: pause, target: n2}}
  - {{at: 13s, for: 1s, fault: kill, target: n2}}
  - {{at: 17s, fault: restart, target: n2}}
"""


ISOLATED = {"redis-sentinel": "replica", "etcd-three": "random(1)", "postgres-async": "n2"}


@pytest.fixture(scope="module")
def ran_on(
    tmp_path_factory: pytest.TempPathFactory, engine_client: object, command: Any
) -> dict[str, Any]:
    """One run on each system, all at once: they share nothing but the machine."""
    out = tmp_path_factory.mktemp("faults")
    processes = {}
    for topology, isolated in ISOLATED.items():
        path = out / f"{topology}.yaml"
        path.write_text(EVERY_FAULT.format(topology=topology, isolated=isolated))
        processes[topology] = command.start(out / "runs", str(path))
    try:
        return {topology: command.finish(process) for topology, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()


@pytest.mark.parametrize("topology", ISOLATED)
def test_every_fault_takes_effect_and_ends(
    ran_on: dict[str, Any], nothing_left: Any, topology: str
) -> None:
    ran = ran_on[topology]
    assert "Traceback" not in ran.stderr
    faults = ran.run.faults.to_pylist()
    assert len(faults) == 9
    table = [(f["id"], f["fault"], f["outcome"], f["heal_outcome"], f["why"]) for f in faults]
    # The sixth cuts what the fifth has cut already: nothing can be seen of it, and that is said.
    outcomes = ["confirmed"] * 5 + ["inconclusive"] + ["confirmed"] * 3
    assert [row[2] for row in table] == outcomes, table
    assert [row[3] for row in table] == ["confirmed"] * 9, table
    assert "before the cut" in table[5][4]
    assert "held by another fault: n1→n2, n2→n1" in table[4][4]
    late_ms = [(f["inject_ns"] - f["scheduled_ns"]) / 1e6 for f in faults]
    assert max(late_ms) < 500, late_ms
    assert {"clients@us-east-a→n2", "n2→n1"} <= {*json.loads(faults[4]["measured"])["cut"]}
    assert ran.results["faults"]["confirmed"] == 8
    assert ran.results["verdict"] in ("valid", "invalid")
    nothing_left()
