"""Clocks of real databases: all six faults at once, a restart meanwhile, nobody else touched."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.agent.shifts import SECOND_NS, Shift
from chaos.runtime.cluster import RunningCluster
from tests.bench.support import running

pytestmark = [pytest.mark.real, pytest.mark.timeout(150)]

EVERY_CLOCK = """\
name: every-clock
topology: {topology}
workload: {{name: register, rate: 50/s, keys: 5}}
duration: 22s
settle: 10s
schedule:
  - {{at: 1s, for: 4s, fault: clock-step, target: n1, by: 1h}}
  - {{at: 1.5s, for: 5s, fault: clock-drift, target: n2, ppm: 20000}}
  - {{at: 2s, for: 4s, fault: clock-skew, target: n1, by: -800ms, over: 2s}}
  - {{at: 3s, for: 3s, fault: clock-strobe, target: n2, by: 300ms, every: 400ms}}
  - {{at: 5.5s, for: 3s, fault: clock-leap, target: n1}}
  - {{at: 6.2s, for: 1500ms, fault: clock-back, target: n1, by: 5m}}
  - {{at: 9s, for: 12s, fault: clock-step, target: n2, by: -30m}}
  - {{at: 10s, for: 1s, fault: kill, target: n2}}
"""
SYSTEMS = ("redis-sentinel", "etcd-three", "postgres-async")
KILLED_BACK_NS, STEPPED_UNTIL_NS = int(11.2e9), int(20.2e9)


@pytest.fixture(scope="module")
def ran_on(
    tmp_path_factory: pytest.TempPathFactory, engine_client: object, command: Any
) -> dict[str, Any]:
    """One run on each system, all at once."""
    out = tmp_path_factory.mktemp("clocks")
    before_ns = time.time_ns() - time.monotonic_ns()
    processes = {}
    for topology in SYSTEMS:
        path = out / f"{topology}.yaml"
        path.write_text(EVERY_CLOCK.format(topology=topology))
        processes[topology] = command.start(out / "runs", str(path))
    try:
        return {
            "host moved": lambda: time.time_ns() - time.monotonic_ns() - before_ns,
            **{topology: command.finish(process) for topology, process in processes.items()},
        }
    finally:
        for process in processes.values():
            process.kill()


def offsets_ms(ran: Any, node: str, since_ns: int, until_ns: int) -> list[float]:
    """What the samples say of a node's clock in a stretch of the run."""
    return [
        row["clock_offset_ms"]
        for row in ran.run.samples.to_pylist()
        if row["node"] == node
        and row["clock_offset_ms"] is not None
        and since_ns < row["t_ns"] < until_ns
    ]


@pytest.mark.parametrize("topology", SYSTEMS)
def test_every_clock_fault_is_proven_by_the_database(
    ran_on: dict[str, Any], nothing_left: Any, topology: str
) -> None:
    ran = ran_on[topology]
    assert "Traceback" not in ran.stderr
    faults = {f["id"]: f for f in ran.run.faults.to_pylist()}
    table = [(f["fault"], f["outcome"], f["heal_outcome"], f["why"]) for f in faults.values()]
    assert {row[1:3] for row in table} == {("confirmed", "confirmed")}, table
    measured = {id: json.loads(fault["measured"]) for id, fault in faults.items()}
    for id, node, by_ms in (
        ("f1", "n1", 3_600_000), ("f3", "n1", -800), ("f4", "n2", 300), ("f5", "n1", -1000),
        ("f6", "n1", -300_000), ("f7", "n2", -1_800_000),
    ):  # fmt: skip
        assert abs(measured[id][node]["by_ms"] - by_ms) < 5, (id, measured[id])
        assert measured[id][node]["processes"] >= 1
    assert abs(measured["f2"]["n2"]["ppm"] - 20_000) < 400, measured["f2"]
    nothing_left()


@pytest.mark.parametrize("topology", SYSTEMS)
def test_a_database_that_is_restarted_meanwhile_is_shifted_again(
    ran_on: dict[str, Any], topology: str
) -> None:
    shown = offsets_ms(ran_on[topology], "n2", KILLED_BACK_NS, STEPPED_UNTIL_NS)
    assert shown, "it did not come back in time"
    assert {round(ms / 1000) for ms in shown} == {-1800}, shown


@pytest.mark.parametrize("topology", SYSTEMS)
def test_other_pods_and_the_host_keep_their_time(ran_on: dict[str, Any], topology: str) -> None:
    ran = ran_on[topology]
    untouched = {row["node"] for row in ran.run.samples.to_pylist()} - {"n1", "n2"}
    assert untouched or topology == "postgres-async"
    quiet = [(node, 0, 2**62) for node in untouched]
    quiet += [("n2", 0, SECOND_NS), ("n1", 9 * SECOND_NS, 2**62)]
    for node, since_ns, until_ns in quiet:
        shown = offsets_ms(ran, node, since_ns, until_ns)
        assert shown, node
        assert max(map(abs, shown)) < 300, (node, shown)  # half of a request on a busy machine
    assert abs(ran_on["host moved"]()) < SECOND_NS


@pytest.fixture(scope="module")
def cluster(engine_client: object) -> Iterator[RunningCluster]:
    with running(Path(__file__).parent / "two.yaml") as (_, _, cluster):
        yield cluster


def wrong_s(cluster: RunningCluster, node: str) -> int:
    """How far the node's clock is from this host's, as its database says."""
    ask = cluster.group(node).clock(node, 2.0)
    assert ask
    reading = ask()
    assert reading
    return round(reading.offset_ns / SECOND_NS)


def test_it_ends_with_the_controller(cluster: RunningCluster) -> None:
    shift = Shift(kind="step", start_ns=0, by_ns=100 * SECOND_NS).plain()
    answer = cluster.agents()["n1"].ask("clock", fault="f1", shift=shift)
    assert answer["shifted"] == 2, "Redis and its Sentinel"
    assert answer["failed"] == []
    assert (wrong_s(cluster, "n1"), wrong_s(cluster, "n2")) == (100, 0)
    look = ["python3", "-m", "chaos.agent.inspect"]
    agent = cluster.pods["n1"]._agent
    assert len(json.loads(agent.exec_run(look).output)["clocks"]) == 2
    cluster.hang_up()
    end = time.monotonic() + 4
    while wrong_s(cluster, "n1") and time.monotonic() < end:
        time.sleep(0.02)
    assert wrong_s(cluster, "n1") == 0
    assert json.loads(agent.exec_run(look).output)["clocks"] == []
