"""Real client processes on the in-memory system: what they record is what happened."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import AftershockError
from chaos.load.plan import LoadPlan, from_json, to_json
from chaos.load.pool import LoadPool
from chaos.record.reader import open_run
from chaos.record.writer import RunWriter
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape

CLIENTS = 4
Plan = Callable[..., LoadPlan]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunWriter]:
    writer = RunWriter.create(tmp_path, "test", 1, {})
    yield writer
    writer.close()


@pytest.fixture
def plan(run: RunWriter) -> Plan:
    def make(workload: str = "register", rate: float | None = None, **options: Any) -> LoadPlan:
        client = ClientSpec(
            zone="a",
            home="n1",
            endpoints={"n1": {"db": ("127.0.0.1", 1)}},
            settings={},
            options={"latency_ms": 1, **options},
            timeout_s=1.0,
        )
        return LoadPlan(
            system="fake",
            workload=workload,
            shape=LoadShape(keys=3),
            clients=[client] * CLIENTS,
            rate=rate,
            segment=str(run.segments),
        )

    return make


def load(pool: LoadPool, seconds: float) -> None:
    pool.wait_ready(30)
    pool.start(time.monotonic_ns())
    time.sleep(seconds)


def whole_run(run: RunWriter, plan: LoadPlan, seconds: float) -> list[dict[str, Any]]:
    with LoadPool(plan) as pool:
        load(pool, seconds)
        pool.stop(10)
        pool.final(10)
        pool.quit()
    stats = pool.stats()
    run.finish("done")
    rows: list[dict[str, Any]] = open_run(run.path).history.to_pylist()
    counts = Counter(row["type"] for row in rows)
    assert (counts["ok"], counts["fail"], counts["info"]) == (stats.ok, stats.fail, stats.info)
    return rows


def test_a_plan_crosses_the_pipe_unchanged(plan: Plan) -> None:
    part = plan(rate=100.0).split(2)[1]
    again = from_json(to_json(part))
    assert list(again.processes) == [1, 3]
    assert again.clients[0].endpoints == {"n1": {"db": ("127.0.0.1", 1)}}
    assert to_json(again) == to_json(part)


def test_a_process_is_never_used_after_an_indefinite_answer(run: RunWriter, plan: Plan) -> None:
    rows = whole_run(run, plan(lie="timeouts"), 1.0)
    given_up = {row["process"]: row["start_ns"] for row in rows if row["type"] == "info"}
    assert given_up, "the fake should have timed out"
    for row in rows:
        assert row["start_ns"] <= given_up.get(row["process"], row["start_ns"])
    assert max(row["process"] for row in rows) >= CLIENTS
    for process in {row["process"] for row in rows}:  # one operation at a time
        mine = sorted((r["start_ns"], r["end_ns"]) for r in rows if r["process"] == process)
        assert all(a[1] <= b[0] for a, b in pairwise(mine))


def test_answers_are_judged_definite_or_not(run: RunWriter, plan: Plan) -> None:
    rows = whole_run(run, plan(lie="timeouts"), 1.0)
    errors = {(row["type"], (row["error"] or "").partition(":")[0]) for row in rows}
    assert errors == {("ok", ""), ("fail", "cas-mismatch"), ("info", "timeout")}


def test_written_values_are_unique_and_reads_saw_them(run: RunWriter, plan: Plan) -> None:
    rows = whole_run(run, plan(), 0.6)
    written = [row["value"] for row in rows if row["f"] in ("write", "cas")]
    assert len(written) == len(set(written)) > 50
    read = {row["value"] for row in rows if row["f"] == "read" and row["value"] is not None}
    assert read
    assert read <= set(written)


def test_every_client_reads_the_whole_set_at_the_end(run: RunWriter, plan: Plan) -> None:
    rows = whole_run(run, plan("set"), 0.5)
    reads = [row for row in rows if row["f"] == "read"]
    added = sorted(row["value"] for row in rows if row["f"] == "add")
    assert len(reads) == CLIENTS
    assert all(sorted(map(int, row["payload"][1:-1].split(","))) == added for row in reads)


def test_a_fixed_rate_is_kept_and_staggered(run: RunWriter, plan: Plan) -> None:
    rows = whole_run(run, plan("set", rate=100.0), 2.0)
    adds = [row for row in rows if row["f"] == "add"]
    assert 100 <= len(adds) <= 210  # 200 when nothing else runs; never a burst beyond
    for process in range(CLIENTS):
        starts = sorted(row["start_ns"] for row in adds if row["process"] == process)
        gaps_ms = [(b - a) / 1e6 for a, b in pairwise(starts)]
        assert sorted(gaps_ms)[len(gaps_ms) // 2] == pytest.approx(40, rel=0.3)
    assert len({min(r["start_ns"] for r in adds if r["process"] == p) for p in range(4)}) == 4


def test_a_killed_worker_is_noticed_and_what_it_did_is_kept(run: RunWriter, plan: Plan) -> None:
    with LoadPool(plan(), workers=2) as pool:
        load(pool, 1.0)
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(AftershockError, match="signal 9"):
            pool.stop(10)
        known = pool.stats().ok
    data = open_run(run.path)
    assert data.cut_ns is not None
    assert 0.2e9 < data.cut_ns < 3e9
    assert data.history.num_rows > known / 4


def test_workers_outlive_ctrl_c_and_leave_with_their_controller(tmp_path: Path) -> None:
    """The controller, a real process, is killed; its workers flush, close and go."""
    code = (
        "import sys, time, pathlib\n"
        "from chaos.load.plan import LoadPlan\n"
        "from chaos.load.pool import LoadPool\n"
        "from chaos.record.writer import RunWriter\n"
        "from chaos.systems.base import ClientSpec\n"
        "from chaos.workloads.base import LoadShape\n"
        "run = RunWriter.create(pathlib.Path(sys.argv[1]), 'test', 1, {})\n"
        "client = ClientSpec(zone='a', home='n1', endpoints={}, settings={},\n"
        "    options={'latency_ms': 1}, timeout_s=1)\n"
        "pool = LoadPool(LoadPlan(system='fake', workload='set', shape=LoadShape(),\n"
        "    clients=[client] * 4, segment=str(run.segments)))\n"
        "pool.wait_ready(30)\n"
        "pool.start(time.monotonic_ns())\n"
        "print(pool.pids[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    with process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        os.kill(worker, signal.SIGINT)
        time.sleep(0.7)
        os.kill(worker, 0)  # still there
        process.kill()
    end = time.monotonic() + 10
    while Path(f"/proc/{worker}/cmdline").exists() and time.monotonic() < end:
        if not Path(f"/proc/{worker}/cmdline").read_bytes():
            break  # a zombie: ended, nobody to collect it
        time.sleep(0.05)
    data = open_run(tmp_path / "latest")
    assert "the run's process ended early" in data.notes
    assert data.cut_ns is None, "the worker had time to close its segment"
    assert data.history.num_rows > 100


def test_a_full_disk_stops_the_load_and_says_so(run: RunWriter, plan: Plan) -> None:
    """A limit on file size, inherited by the worker, stands for the disk."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        pool = LoadPool(plan(latency_ms=0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    with pool:
        pool.wait_ready(30)
        pool.start(time.monotonic_ns())
        end = time.monotonic() + 20
        with pytest.raises(AftershockError, match="cannot write"):  # noqa: PT012
            while time.monotonic() < end:
                pool.check()
                time.sleep(0.05)
    data = open_run(run.path)
    assert data.cut_ns is not None


def test_without_an_answer_the_deadline_names_what_was_awaited(plan: Plan) -> None:
    with LoadPool(plan(latency_ms=60_000)) as pool:
        load(pool, 0.3)
        with pytest.raises(AftershockError, match=r"waited 0\.5 s for operations in flight to end"):
            pool.stop(0.5)


def test_an_unknown_system_is_said_by_name(plan: Plan, run: RunWriter) -> None:
    with pytest.raises(AftershockError, match="unknown system"):
        LoadPool(LoadPlan(**{**{f: getattr(plan(), f) for f in LoadPlan.__slots__}, "system": "x"}))
