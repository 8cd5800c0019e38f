"""Many segments into one history, ordered by completion, in little memory.

**The consistent cut.** A run may end anywhere: a worker is killed, the host loses power, or the run
is still going on. Let W be the least last watermark of the segments that were not closed (none: the
run is whole). Then of what the segments hold
  - an operation that ended before W stays as it is;
  - one invoked before W and unfinished, or finished at W or later, becomes `info`: it may have
    happened. What it read is dropped;
  - one invoked at or after W is dropped.

This is sound: no checker finds an anomaly in the cut history that the real run did not have.
Every operation invoked before W is in some segment, because each segment's watermark is at least W
and promises just that. So what was dropped or never written was invoked at or after W. No remaining
operation can have observed it: those that stay ended before W, and so before it began, and the
others lost what they read. A restriction of a linearizable history to a prefix in time, in which
unanswered operations may or may not have happened, is linearizable; so an invalid cut means an
invalid run.
(The converse does not hold, as for every observation that stops: what was valid until W may have
gone wrong later.) All processes share one clock, CLOCK_MONOTONIC of one host, so W means the same
to all of them.

**Order.** Rows come nearly ordered, since each flush is sorted; but an operation may end just
before a flush and be handed over after it. A first pass over the times alone finds, for every
batch, the earliest completion from there on; the merge gives out a row only when nothing earlier
can follow. So the order is exact, and memory holds a few batches of each segment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaos.errors import RecordError
from chaos.record.schema import HISTORY
from chaos.record.segment import Batch, read_segment
from chaos.record.tables import REQUIRED_HISTORY as REQUIRED
from chaos.record.tables import plain

ROWS = plain(HISTORY)
UNFINISHED = "unfinished: the client was stopped before an answer"
CUT = "unfinished: the record ends before the answer"
END_OF_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the first pass over one segment finds."""

    path: Path
    closed: bool
    watermark_ns: int  # 0 when nothing can be read: nothing is invoked before t = 0
    earliest_ns: Sequence[int]  # for each batch, the earliest completion in it or after it
    unfinished: pa.RecordBatch  # operations that began and never ended
    rows: int


def scan(path: Path) -> Scan:
    """The first pass over a segment; RecordError when it is no segment of operations."""
    if not path.exists():  # lost with its worker before the first byte
        return Scan(
            path=path,
            closed=False,
            watermark_ns=0,
            earliest_ns=[],
            unfinished=_one_batch([]),
            rows=0,
        )
    earliest: list[int] = []
    opened: dict[tuple[int, int], pa.RecordBatch] = {}
    watermark_ns, closed, rows = 0, False, 0
    for batch in _checked(path):
        watermark_ns, closed = batch.watermark_ns, batch.closed
        finished = _finished(batch)
        rows += len(finished)
        ends = finished["end_ns"]
        earliest.append(pc.min(ends).as_py() if len(ends) else END_OF_TIME)
        _follow(opened, batch, finished)
    for i in range(len(earliest) - 2, -1, -1):
        earliest[i] = min(earliest[i], earliest[i + 1])
    return Scan(
        path=path,
        closed=closed,
        watermark_ns=watermark_ns,
        earliest_ns=earliest,
        unfinished=_one_batch(list(opened.values())),
        rows=rows + len(opened),
    )


def cut_ns(scans: Sequence[Scan]) -> int | None:
    """W of the module's text; None when every segment was closed."""
    return min((scan.watermark_ns for scan in scans if not scan.closed), default=None)


def merged(scans: Sequence[Scan]) -> Iterator[pa.RecordBatch]:
    """The history in batches, cut, ordered by completion, with text as plain text."""
    until_ns = cut_ns(scans)
    last_ns = max((scan.watermark_ns for scan in scans), default=0)
    held = [_unanswered(scan.unfinished, UNFINISHED, last_ns) for scan in scans]
    held = [_cut(batch, until_ns) for batch in held]
    sources = [_Source(scan, until_ns) for scan in scans]
    while True:
        behind = min(sources, key=lambda source: source.earliest_ns, default=None)
        if behind is None or behind.earliest_ns == END_OF_TIME:
            break
        held.append(behind.take())
        bound = min(source.earliest_ns for source in sources)
        if until_ns is not None:  # operations cut at W are to come until the very end
            bound = min(bound, until_ns)
        out, keep = _split(held, bound)
        held = [keep]
        if len(out):
            yield out
    out, _ = _split(held, END_OF_TIME)
    if len(out):
        yield out


class _Source:
    """The batches of one segment that are still to come."""

    def __init__(self, scan: Scan, until_ns: int | None) -> None:
        self._batches = _checked(scan.path)
        self._earliest = iter([*scan.earliest_ns[1:], END_OF_TIME])
        self._until_ns = until_ns
        self.earliest_ns = scan.earliest_ns[0] if scan.earliest_ns else END_OF_TIME

    def take(self) -> pa.RecordBatch:
        """The finished operations of the next batch, cut."""
        batch = next(self._batches)
        self.earliest_ns = next(self._earliest)
        return _cut(_finished(batch), self._until_ns)


def _checked(path: Path) -> Iterator[Batch]:
    for batch in read_segment(path, ROWS):
        for name in REQUIRED:
            if batch.rows[name].null_count:
                raise RecordError(f"{path}: column {name} has empty values")
        yield batch


def _finished(batch: Batch) -> pa.RecordBatch:
    return batch.rows.filter(pc.not_equal(batch.rows["type"], "open"))


def _follow(
    opened: dict[tuple[int, int], pa.RecordBatch], batch: Batch, finished: pa.RecordBatch
) -> None:
    """Bring `opened`, the operations in flight by (process, start), up to the end of `batch`."""
    still = batch.rows.filter(pc.equal(batch.rows["type"], "open"))
    for i, key in enumerate(_keys(still)):
        opened[key] = still.slice(i, 1)
    if opened:
        starts = pa.array([start for _, start in opened], pa.int64())
        for key in _keys(finished.filter(pc.is_in(finished["start_ns"], value_set=starts))):
            opened.pop(key, None)


def _keys(rows: pa.RecordBatch) -> Iterator[tuple[int, int]]:
    return zip(rows["process"].to_pylist(), rows["start_ns"].to_pylist(), strict=True)


def _unanswered(rows: pa.RecordBatch, error: str, end_ns: int) -> pa.RecordBatch:
    """`rows` as operations that may have happened, given up at `end_ns`; reads read nothing."""
    n = len(rows)
    nothing = pa.nulls(n, pa.int64())
    changes: dict[str, Any] = {
        "type": pa.array(["info"] * n, pa.string()),
        "error": pa.array([error] * n, pa.string()),
        "payload": pa.array(
            map(_asked, rows["f"].to_pylist(), rows["payload"].to_pylist()), pa.string()
        ),
        "value": pc.if_else(pc.equal(rows["f"], "read"), nothing, rows["value"]),
        "end_ns": pc.max_element_wise(rows["start_ns"], pa.scalar(end_ns, pa.int64())),
    }
    return pa.RecordBatch.from_arrays(
        [changes.get(name, rows[name]) for name in ROWS.names], schema=ROWS
    )


def _asked(f: str, payload: str | None) -> str | None:
    """The payload of an operation as it was asked for: of a transaction without what was read."""
    if f == "read" or payload is None:
        return None
    if f != "txn":
        return payload
    try:
        micros = [[kind, key, None if kind == "r" else x] for kind, key, x in json.loads(payload)]
    except (ValueError, TypeError):
        return None
    return json.dumps(micros, separators=(",", ":"))


def _cut(rows: pa.RecordBatch, until_ns: int | None) -> pa.RecordBatch:
    if until_ns is None or not len(rows):
        return rows
    rows = rows.filter(pc.less(rows["start_ns"], until_ns))
    # An answer at the very moment of the cut may rest on an operation that began then.
    late = pc.greater_equal(rows["end_ns"], until_ns)
    return _one_batch([rows.filter(pc.invert(late)), _unanswered(rows.filter(late), CUT, until_ns)])


def _split(held: Sequence[pa.RecordBatch], bound_ns: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """All held rows in order: those that ended before `bound_ns`, and those still to be held."""
    rows = _one_batch(held)
    rows = rows.take(pc.sort_indices(rows["end_ns"]))
    before = int(np.searchsorted(rows["end_ns"].to_numpy(), bound_ns))
    return rows.slice(0, before), rows.slice(before)


def _one_batch(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches([batch for batch in batches if len(batch)], schema=ROWS)
    combined = table.combine_chunks().to_batches()
    return combined[0] if combined else pa.RecordBatch.from_pylist([], schema=ROWS)
