"""Disks that lose power, fill up, slow down, rot and are wiped: on real databases, each proven."""

from __future__ import annotations

import json
import secrets
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from chaos.runner import images_for
from chaos.runtime import docker as engine_api
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.ways import CLIENTS
from chaos.spec.files import load_topology

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

REDIS = """\
name: disks-redis
topology: redis-sentinel
set: {disk.size: 64MB, settings.appendonly: yes, settings.appendfsync: always}
workload: {name: set, rate: 50/s}
duration: 18s
settle: 20s
schedule:
  - {at: 1s, for: 1s, fault: power-loss, target: n2}
  - {at: 1s, for: 2500ms, fault: disk-slow, target: n3, iops: 30}
  - {at: 5s, for: 1500ms, fault: disk-read-only, target: n2}
  - {at: 5s, for: 1s, fault: bit-flip, target: n1}
  - {at: 5s, fault: bit-flip, target: n1, file: "appendonlydir/*.rdb"}
  - {at: 6s, for: 4s, fault: disk-full, target: n3, leave: 1MB}
  - {at: 7500ms, for: 1s, fault: power-loss, target: n3}
  - {at: 11s, for: 1s, fault: wipe, target: n2}
  - {at: 14s, for: 1s, fault: power-loss, target: replica}
"""
POSTGRES = """\
name: disks-postgres
topology: postgres-async
set: {disk.size: 512MB, disk.filesystem: xfs}
workload: {name: set, rate: 50/s}
duration: 8s
settle: 20s
schedule:
  - {at: 2s, for: 1s, fault: power-loss, target: all}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, engine_client: Any, command: Any) -> Any:
    """Both runs, at once."""
    out = tmp_path_factory.mktemp("disks")
    processes = {}
    for name, text in {"redis": REDIS, "postgres": POSTGRES}.items():
        (out / f"{name}.yaml").write_text(text)
        processes[name] = command.start(out / "runs", str(out / f"{name}.yaml"))
    try:
        return {name: command.finish(process) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()


def told(fault: dict[str, Any], column: str = "measured") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fault[column])
    return found


def test_every_disk_fault_takes_effect_and_ends(ran: Any, nothing_left: Any) -> None:
    faults = ran["redis"].run.faults.to_pylist()
    table = [(f["id"], f["fault"], f["outcome"], f["heal_outcome"], f["why"]) for f in faults]
    assert [row[2] for row in table] == ["confirmed"] * 9, table
    assert [row[3] for row in table] == ["confirmed"] * 9, table
    lost, slow, read_only, flip, stays, full, lost_full, wiped, lost_all = faults
    assert set(told(lost)["n2"]["write"].values()) == {"EIO"}
    assert told(slow)["n3"]["iops"]["during"] <= 30 * 1.25 < told(slow)["n3"]["iops"]["before"]
    assert {d["write"] for d in told(read_only)["n2"].values()} == {"EROFS"}
    assert told(flip)["n1"]["bits"] == told(stays)["n1"]["bits"] == 1
    assert "appendonlydir" in told(stays)["n1"]["file"]
    assert all(d["free_bytes"] <= 2 << 20 for d in told(full)["n3"].values())
    assert told(lost_full)["n3"]["fills_ended"] == 2  # of its two disks: power loss unmounts them
    assert all(d["files"] and not d["left"] for d in told(wiped)["n2"]["wiped"].values())
    assert set(told(lost_all)) == {"n2", "n3"}
    nothing_left()


def test_what_was_synced_survives_a_power_loss_of_all_nodes(ran: Any) -> None:
    """Also the witnesses: without the one and with the other the heal is no confirmed one."""
    fault = ran["postgres"].run.faults.to_pylist()[0]
    assert (fault["outcome"], fault["heal_outcome"]) == ("confirmed", "confirmed"), fault["why"]
    assert set(told(fault)) == {"n1", "n2"}
    assert ran["postgres"].results["verdict"] == "valid"
    assert ran["postgres"].results["counts"]["ok"] > 20  # a busy machine does few


def test_the_kernel_frees_the_disks_of_a_cluster_that_was_killed(engine_client: Any) -> None:
    loaded = load_topology(Path(__file__).parent / "two.yaml").topology
    run_id = secrets.token_hex(4)
    cluster = RunningCluster(engine_client, Plan(
        run_id=run_id, topology=loaded, owner=engine_api.owner(),
        images=images_for(loaded, engine_client, lambda *_: None),
    ))  # fmt: skip

    def loops() -> list[str]:
        files = [p.read_text().strip() for p in Path("/sys/block").glob("loop*/loop/backing_file")]
        return sorted(file for file in files if run_id in file)

    try:
        cluster.up()
        names = [f"{n}-{c}.img" for n in ("n1", "n2") for c in ("redis", "sentinel")]
        assert loops() == [f"/aftershock-{run_id}-{name}" for name in names]
        may = {name: hello["disk"]["shutdown"] for name, hello in cluster.hello.items()}
        assert may == {"n1": True, "n2": True, CLIENTS: False}
        for container in engine_client.containers.list(
            filters={"label": f"aftershock.run={run_id}"}
        ):
            container.kill(signal.SIGKILL)
        end = time.monotonic() + 5
        while loops() and time.monotonic() < end:
            time.sleep(0.05)
        assert loops() == []
    finally:
        cluster.down()
    assert run_id not in engine_api.runs(engine_client)
