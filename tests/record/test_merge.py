"""Compaction is the sorted union of the segments, and a cut never invents an observation."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.errors import RecordError
from chaos.record import compact, rundir
from chaos.record.reader import open_run
from chaos.record.writer import RunWriter

Make = Callable[..., Any]
Rows = list[dict[str, Any]]


def simulate(rng: random.Random, op: Make, workers: int, clients: int) -> tuple[Rows, list[Any]]:
    """A run with a known truth: every operation, and each worker's flushes of it.

    A flush hands over what had ended by then, but for a few that are a flush late, as when a
    thread is held up between its answer and handing it over.
    """
    truth: Rows = []
    flushes: list[list[tuple[int, Rows]]] = []
    for worker in range(workers):
        mine: Rows = []
        for client in range(clients):
            now = 0
            for _ in range(rng.randrange(15)):
                start = now + rng.randrange(5)
                now = start + rng.randrange(1, 40)
                read = rng.random() < 0.5
                mine.append(
                    op(worker * clients + client, start, now, f="read" if read else "write")
                )
                now += 1
        truth += mine
        file, todo = [], mine
        ticks = [*sorted(rng.sample(range(1, 200), rng.randrange(1, 6))), 1000]
        for tick in ticks:
            late = [] if tick == 1000 else [row for row in todo if rng.random() < 0.1]
            done = [row for row in todo if row["end_ns"] <= tick and row not in late]
            todo = [row for row in todo if row not in done]
            begun = [
                row | {"type": "open", "end_ns": max(tick, row["start_ns"])}
                | ({"value": None} if row["f"] == "read" else {})
                for row in todo
                if row["start_ns"] < tick
            ]  # fmt: skip
            file.append((tick, sorted(done, key=lambda row: row["end_ns"]) + begun))
        flushes.append(file)
    return truth, flushes


def identity(row: dict[str, Any]) -> tuple[int, int]:
    return row["process"], row["start_ns"]


@given(seed=st.integers(0, 2**32), workers=st.integers(1, 4), clients=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_closed_segments_give_the_sorted_union(
    seed: int, workers: int, clients: int, op: Make, make_segment: Make
) -> None:
    truth, flushes = simulate(random.Random(seed), op, workers, clients)
    with TemporaryDirectory() as folder:
        run = RunWriter.create(Path(folder), "test", 1, {})
        for worker, file in enumerate(flushes):
            make_segment(run.segments / f"history-{worker}.arrows", file, closed=True)
        before = open_run(run.path).history
        run.finish("done")
        data = open_run(run.path)
        assert not run.segments.exists()
    assert data.cut_ns is None
    rows = data.history.to_pylist()
    assert rows == before.to_pylist()
    ends = [row["end_ns"] for row in rows]
    assert ends == sorted(ends)
    empty = {"expected": None, "payload": None, "error": None}
    assert sorted(rows, key=identity) == sorted((row | empty for row in truth), key=identity)


@given(seed=st.integers(0, 2**32), workers=st.integers(1, 3), clients=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_a_cut_keeps_what_is_certain_and_nothing_else(
    seed: int, workers: int, clients: int, op: Make, make_segment: Make
) -> None:
    rng = random.Random(seed)
    truth, flushes = simulate(rng, op, workers, clients)
    with TemporaryDirectory() as folder:
        run = RunWriter.create(Path(folder), "test", 1, {})
        for worker, file in enumerate(flushes):
            kept = rng.randrange(len(file) + 1)
            make_segment(
                run.segments / f"history-{worker}.arrows", file[:kept], closed=kept == len(file)
            )
        run.close()
        data = open_run(run.path)
        compact.compact(run.path)
        again = open_run(run.path)
        assert again.history.to_pylist() == data.history.to_pylist()
        assert again.cut_ns == data.cut_ns
    check_cut(data.history.to_pylist(), truth, data.cut_ns)


def check_cut(rows: Rows, truth: Rows, cut_ns: int | None) -> None:
    """`rows` are exactly the operations of `truth` invoked before the cut, and say of each no more
    than was known then."""
    until = 10**9 if cut_ns is None else cut_ns
    found = {identity(row): row for row in rows}
    assert len(found) == len(rows)
    assert set(found) == {identity(row) for row in truth if row["start_ns"] < until}
    for real in truth:
        if real["start_ns"] >= until:
            continue
        row = found[identity(real)]
        if row["type"] == "ok":
            assert real["end_ns"] <= until
            assert (row["value"], row["end_ns"]) == (real["value"], real["end_ns"])
        else:
            assert row["type"] == "info"
            assert row["error"].startswith("unfinished: ")
            assert row["value"] == (None if real["f"] == "read" else real["value"])


def test_every_cut_of_a_segments_bytes_is_sound(
    run: RunWriter, op: Make, make_segment: Make
) -> None:
    truth, flushes = simulate(random.Random(5), op, 2, 3)
    first, second = (run.segments / f"history-{i}.arrows" for i in range(2))
    make_segment(first, flushes[0], closed=True)
    make_segment(second, flushes[1], closed=True)
    whole = second.read_bytes()
    sizes = set()
    for length in range(0, len(whole), 61):
        for tail in (b"", bytes(40), b"\xff\xff\xff\xff" + bytes(range(64))):
            second.write_bytes(whole[:length] + tail)
            data = open_run(run.path)
            check_cut(data.history.to_pylist(), truth, data.cut_ns)
            sizes.add(data.history.num_rows)
    assert len(sizes) > 2  # the cuts really fell into different batches


def test_flipped_bytes_give_an_answer_or_a_record_error(
    run: RunWriter, op: Make, make_segment: Make
) -> None:
    rng = random.Random(6)
    _, flushes = simulate(rng, op, 1, 4)
    segment = run.segments / "history-0.arrows"
    make_segment(segment, flushes[0], closed=True)
    whole = segment.read_bytes()
    refused = 0
    for _ in range(300):
        bad = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        segment.write_bytes(bytes(bad))
        try:
            open_run(run.path)
        except RecordError:
            refused += 1
    assert refused < 300


def test_a_segment_that_never_came_hides_everything(
    run: RunWriter, op: Make, make_segment: Make
) -> None:
    make_segment(run.segments / "history-0.arrows", [(50, [op(0, 1, 9)])], closed=True)
    run.update(segments=["history-0.arrows", "history-1.arrows"])
    data = open_run(run.path)
    assert (data.history.num_rows, data.cut_ns) == (0, 0)
    assert "history-1.arrows is missing" in data.notes


def test_an_operation_never_answered_is_info_to_the_end(
    run: RunWriter, op: Make, make_segment: Make
) -> None:
    begun = op(3, 10, 20, type="open")
    make_segment(
        run.segments / "history-0.arrows", [(20, [begun]), (90, [op(1, 5, 80)])], closed=True
    )
    run.finish("done")
    last = open_run(run.path).history.to_pylist()[-1]
    assert (last["type"], last["end_ns"]) == ("info", 90)
    assert last["error"] == "unfinished: the client was stopped before an answer"


@pytest.mark.parametrize("name", [rundir.HISTORY, rundir.FAULTS, rundir.SAMPLES])
def test_finishing_leaves_parquet_only(run: RunWriter, name: str) -> None:
    run.finish("done")
    assert (run.path / name).is_file()
    assert not list(run.path.rglob("*.arrows"))
