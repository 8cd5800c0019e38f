"""Whether a large register history is linearizable at a glance, and its order if it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.checkers import zone_kernels as kernels
from analysis.checkers.compiled import Bytes, compiled
from analysis.checkers.versions import Columns
from analysis.history import Ints, Mask

_CELLS, _MORE = 8, 1024  # of the table of values: so many for each row, and some


def glance(columns: Columns) -> Ints | None:
    """Rows in an order that explains the history; None: it is too small for that, or something in
    it is odd. O(n) if the rows are in the order of their ends.
    """
    large = compiled(kernels.resolve, len(columns.history)) is not None
    return order_of(columns) if large else None


def order_of(columns: Columns) -> Ints | None:
    """The same for histories of any size."""
    start, end = columns.history.start_ns, columns.history.end_ns
    if not len(end) or int(start.min()) <= -kernels.NEVER or int(end.max()) >= kernels.NEVER:
        return None
    cells: list[Any] = [
        _deeds(columns),
        columns.history.type,
        columns.key,
        columns.value,
        columns.expected,
    ]
    cells += [start, end]
    if bool((end[1:] >= end[:-1]).all()):
        return _order(columns, [np.ascontiguousarray(cell) for cell in cells])
    by_end = np.argsort(end, kind="stable")
    rows = _order(columns, [cell[by_end] for cell in cells])
    return None if rows is None else by_end[rows]


def _order(columns: Columns, cells: list[Any]) -> Ints | None:
    """The rows of these cells in order, as soon as no kernel has found anything odd."""
    deed, kind, key, value, expected, start, end = cells
    keys = columns.keys
    twice, source = _sources(deed, kind, key, value, expected, keys, columns.initial)
    fine, live = _run(kernels.happened, deed, kind, source, twice, keys)
    if fine:
        dawn = int(start.min()) - 1
        fine, first, last, reads, met = _run(
            kernels.measure, deed, kind, start, end, source, live, keys, dawn
        )
    if fine:
        fine, root, child = _run(kernels.link, deed, source, live, first, last)
    if fine:
        fine, order = _run(kernels.arrange, met, key, root, first, last, keys)
    if not fine:
        return None
    rows: Ints = _run(kernels.emit, deed, kind, source, order, child, reads)
    return rows


def _sources(
    deed: Bytes, kind: Bytes, key: Ints, value: Ints, expected: Ints, keys: int, initial: int
) -> tuple[Mask, Ints]:
    """(versions that share their value, what each row saw): values index a table."""
    room = _CELLS * len(value) + _MORE
    if _range(value) > room:
        value, expected, initial = _renumbered(value, expected, initial)
    low, size = int(value.min()), _range(value)
    stride = size if size * keys <= room else 0
    fine, twice, source = _run(
        kernels.resolve, deed, kind, key, value, expected, low, size, stride, keys, initial
    )
    if not fine:  # a value was written to two keys: each of its own
        wide = key * (size + 2) + 1
        written, sought = (
            np.where(column == initial, -1, wide + np.clip(column - low, -1, size))
            for column in (value, expected)
        )
        value, expected, initial = _renumbered(written, sought, -1)
        size = int(max(value.max(), expected.max())) + 1
        _, twice, source = _run(
            kernels.resolve, deed, kind, key, value, expected, 0, size, 0, keys, initial
        )
    return twice, source


def _run(kernel: Any, *arguments: Any) -> Any:
    """The kernel's result: by its machine code if that pays."""
    return (compiled(kernel, len(arguments[0])) or kernel)(*arguments)


def _deeds(columns: Columns) -> Bytes:
    """What each row does, as the kernels count it."""
    names = (*columns.history.f.names, "")  # the last one is found by -1: null
    deeds = np.array([kernels.DEEDS.get(name, kernels.OTHER) for name in names], np.int8)
    found: Bytes = deeds[columns.history.f.codes]
    return found


def _range(value: Ints) -> int:
    return int(value.max()) - int(value.min()) + 1


def _renumbered(value: Ints, expected: Ints, initial: int) -> tuple[Ints, Ints, int]:
    """The same values as successive numbers from 0 on; the initial one is 0."""
    every = pa.array(np.concatenate([[initial], value, expected]))
    codes = pc.dictionary_encode(every).indices.to_numpy().astype(np.int64)
    return codes[1 : len(value) + 1], codes[len(value) + 1 :], 0
