"""Run directories: made, listed, read, and refused with a reason when they are broken."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaos.errors import RecordError
from chaos.record import rundir, schema
from chaos.record.reader import find_runs, open_run, read_history, run_summary
from chaos.record.writer import RunWriter, write_run

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    {"process": 0, "f": "write", "key": "k0", "value": 1, "type": "ok", "start_ns": 1, "end_ns": 9},
    {"process": 1, "f": "read", "key": "k0", "type": "info", "start_ns": 2, "end_ns": 4},
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_run(
        tmp_path / "run",
        {"name": "test"},
        ROWS,
        [{"id": "f1", "kind": "fault", "fault": "kill"}],
        [{"t_ns": 1, "node": "n1", "role": "primary"}],
    )


def test_what_is_written_is_read_by_completion(written: Path) -> None:
    data = open_run(written)
    assert [row["end_ns"] for row in data.history.to_pylist()] == [4, 9]
    assert data.history.schema.equals(schema.HISTORY)
    assert data.faults.schema.equals(schema.FAULTS)
    assert data.samples.schema.equals(schema.SAMPLES)
    assert (data.meta["name"], data.meta["state"], data.cut_ns) == ("test", "done", None)
    assert data.notes == []


def test_only_the_asked_for_columns_are_read(written: Path) -> None:
    assert read_history(written, ["end_ns", "f"]).column_names == ["end_ns", "f"]
    with pytest.raises(RecordError, match="no column 'speed'"):
        read_history(written, ["speed"])


def test_no_operations_is_a_history_too(tmp_path: Path) -> None:
    assert open_run(write_run(tmp_path / "run", {}, [])).history.num_rows == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"speed": 1}, "no column 'speed'"),
        ({"value": "many"}, "does not fit"),
        ({"value": 2**64}, "does not fit"),
        ({"type": "perhaps"}, "type is ok, fail or info"),
        ({"process": None}, "column process has 1 empty"),
        ({"end_ns": -5}, "end before they start"),
    ],
)
def test_rows_that_make_no_sense_are_refused(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(RecordError, match=text):
        write_run(tmp_path / "run", {}, [ROWS[0] | change])


def test_runs_started_in_the_same_second_differ(tmp_path: Path) -> None:
    writers = [RunWriter.create(tmp_path, "test", 1, {}) for _ in range(5)]
    for writer in writers:
        writer.finish("done")
    assert len({writer.path for writer in writers}) == 5
    assert (tmp_path / "latest").resolve() == writers[-1].path.resolve()
    assert sorted(find_runs(tmp_path)) == sorted(writer.path for writer in writers)


def test_newest_runs_come_first(tmp_path: Path) -> None:
    for name in ("a/20260102T000000Z-1", "b/20260103T000000Z-1", "a/20260101T000000Z-1"):
        write_run(tmp_path / name, {}, [])
    assert [path.name[:8] for path in find_runs(tmp_path)] == ["20260103", "20260102", "20260101"]
    assert find_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="expected a name"):
        RunWriter.create(tmp_path, name, 1, {})


def test_the_controller_writes_as_it_goes(run: RunWriter) -> None:
    run.update(versions={"redis": "8"})
    run.phase("load", 0, 10)
    run.phase("up", -5, 0)
    run.phase("load", 0, 20)
    run.add_samples([{"t_ns": 3, "node": "n1", "cpu_pct": 12.5}])
    run.journal.append({"id": "f1", "event": "inject", "fault": "kill", "t_ns": 4})
    live = open_run(run.path)
    assert "the run is still going on" in live.notes
    assert [phase["name"] for phase in live.meta["phases"]] == ["up", "load"]
    assert live.meta["phases"][1]["end_ns"] == 20
    assert live.samples.to_pylist()[0]["cpu_pct"] == 12.5
    run.finish("interrupted", "Ctrl-C")
    data = open_run(run.path)
    assert data.samples.equals(live.samples)
    assert data.faults.equals(live.faults)
    assert data.notes == ["the run interrupted: Ctrl-C"]
    assert run_summary(run.path).results is None


def test_finding_and_summing_up_ignores_what_is_large(written: Path) -> None:
    (written / rundir.HISTORY).write_bytes(b"PAR1 nonsense")
    (written / rundir.RESULTS).write_text('{"verdict": "valid"}')
    summary = run_summary(written)
    assert summary.results == {"verdict": "valid"}


def break_run_json(**keys: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        meta = json.loads((path / rundir.RUN_JSON).read_text())
        (path / rundir.RUN_JSON).write_text(json.dumps(meta | keys))

    return change


def replace(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: (path / name).write_bytes(content) and None


def replace_history(table: pa.Table) -> Callable[[Path], None]:
    return lambda path: pq.write_table(table, path / rundir.HISTORY)


HOSTILE: dict[str, Callable[[Path], None]] = {
    "gone": shutil.rmtree,
    "empty": lambda path: [p.unlink() for p in path.iterdir()] and None,
    "no run.json": lambda path: (path / rundir.RUN_JSON).unlink(),
    "empty run.json": replace(rundir.RUN_JSON, b""),
    "cut run.json": replace(rundir.RUN_JSON, b'{"version": 1, "name": "x'),
    "list run.json": replace(rundir.RUN_JSON, b"[1, 2]"),
    "binary run.json": replace(rundir.RUN_JSON, bytes(range(256))),
    "deep run.json": replace(rundir.RUN_JSON, b"[" * 200_000),
    "newer": break_run_json(version=2),
    "phases": break_run_json(phases=[1, 2]),
    "phase": break_run_json(phases=[{"name": "load"}]),
    "nodes": break_run_json(nodes={"n1": 1}),
    "state": break_run_json(state=["done"]),
    "cut": break_run_json(cut_ns="soon"),
    "no history": lambda path: (path / rundir.HISTORY).unlink(),
    "empty history": replace(rundir.HISTORY, b""),
    "text history": replace(rundir.HISTORY, b"process,f\n1,read\n" * 50),
    "wrong columns": replace_history(pa.table({"process": [1], "speed": [2]})),
    "wrong types": replace_history(
        pa.table({name: pa.array([{"a": 1}]) for name in schema.HISTORY.names})
    ),
    "wrong samples": replace(rundir.SAMPLES, b"PAR1PAR1"),
    "wrong faults": replace(rundir.FAULTS, b"x" * 5000),
    "history a folder": lambda path: (
        (path / rundir.HISTORY).rename(path / "away") and (path / rundir.HISTORY).mkdir()
    ),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_broken_directory_is_refused_with_a_reason(
    written: Path, change: Callable[[Path], None]
) -> None:
    change(written)
    with pytest.raises(RecordError) as caught:
        open_run(written)
    assert len(caught.value.what) > 20


def test_a_file_is_no_run(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(RecordError, match="found a file"):
        open_run(path)


def test_any_truncation_of_parquet_is_refused(written: Path) -> None:
    whole = (written / rundir.HISTORY).read_bytes()
    for length in range(0, len(whole), 97):
        (written / rundir.HISTORY).write_bytes(whole[:length])
        with pytest.raises(RecordError):
            open_run(written)


def test_flipped_bytes_in_parquet_never_escape(written: Path) -> None:
    rng = random.Random(3)
    whole = (written / rundir.HISTORY).read_bytes()
    refused = 0
    for _ in range(300):
        bad = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        (written / rundir.HISTORY).write_bytes(bytes(bad))
        try:
            open_run(written)
        except RecordError:
            refused += 1
    assert refused > 50


def test_a_full_disk_is_said_and_loses_nothing(run: RunWriter) -> None:
    """A limit on file size stands for the disk: write() fails in the middle of a batch."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    appended = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(RecordError, match=r"cannot write .*samples"):  # noqa: PT012
            while True:
                run.add_samples([{"t_ns": appended, "node": "n1", "note": "x" * 100}])
                appended += 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [row["t_ns"] for row in open_run(run.path).samples.to_pylist()] == [*range(appended)]
    run.add_samples([{"t_ns": -1, "node": "n2"}])
    run.finish("failed", "disk full")
    assert open_run(run.path).samples.num_rows == appended + 1


def test_a_killed_controller_leaves_a_readable_run(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing, for real."""
    code = (
        "import sys, pathlib, itertools\n"
        "from chaos.record.writer import RunWriter\n"
        "run = RunWriter.create(pathlib.Path(sys.argv[1]), 'test', 1, {})\n"
        "for i in itertools.count():\n"
        "    run.journal.append({'id': f'f{i}', 'event': 'inject', 'fault': 'kill', 't_ns': i})\n"
        "    run.add_samples([{'t_ns': i, 'node': 'n1'}])\n"
        "    print(i, flush=True)\n"
    )
    for lines in (1, 20, 70):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with process:
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        data = open_run(tmp_path / "latest")
        assert data.faults.num_rows >= lines
        assert data.samples.num_rows >= lines
        assert data.notes == ["the run's process ended early"]


def test_a_million_operations_are_read_fast(tmp_path: Path) -> None:
    n = 1_000_000
    table = pa.table(
        {
            "process": pa.array([i % 8 for i in range(n)], pa.int32()),
            "node": pa.array(["n1", "n2"] * (n // 2)),
            "zone": pa.array(["a"] * n),
            "f": pa.array(["read", "write"] * (n // 2)),
            "key": pa.array(["k0"] * n),
            "value": pa.array(range(n)),
            "expected": pa.nulls(n, pa.int64()),
            "payload": pa.nulls(n, pa.string()),
            "type": pa.array(["ok"] * n),
            "error": pa.nulls(n, pa.string()),
            "start_ns": pa.array(range(0, n * 1000, 1000)),
            "end_ns": pa.array(range(500, n * 1000 + 500, 1000)),
        }
    )
    write_run(tmp_path / "run", {}, table)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert open_run(tmp_path / "run").history.num_rows == n
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 3  # the goal of 0.3 s is measured by bench_harness, on a quiet machine
