"""The operations of one object as the general search wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.models import Hints, Model, Op, literal
from analysis.history import FAIL, MISMATCH, OK, History, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Operations that happened or may have, in the order of their rows; one cell each."""

    rows: Sequence[int]
    ops: Sequence[Op]
    starts: Sequence[int]
    ends: Sequence[int]  # of one that only may have happened it means nothing
    known: Sequence[bool]  # it happened

    def until(self, end_ns: int, hints: Hints) -> Calls:
        """What began before `end_ns`; what ended later is unfinished."""
        kept = [place for place, start in enumerate(self.starts) if start <= end_ns]
        done = [self.known[place] and self.ends[place] <= end_ns for place in kept]
        return Calls(
            rows=[self.rows[place] for place in kept],
            ops=[
                self.ops[place] if over or not self.known[place] else hints.unanswered(op)
                for place, over in zip(kept, done, strict=True)
                for op in (self.ops[place],)
            ],
            starts=[self.starts[place] for place in kept],
            ends=[self.ends[place] for place in kept],
            known=done,
        )


_HINTS = [name for name in vars(Hints) if not name.startswith("_")]


class _Asked(Hints):
    """The hints of a model that may have some of them, or none."""

    def __init__(self, model: Model) -> None:
        for name in _HINTS:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))


def hints_of(model: Model) -> Hints:
    """What the model says besides how to step."""
    return model if isinstance(model, Hints) else _Asked(model)


def read_calls(history: History, rows: Ints, hints: Hints) -> Calls:
    """What counts of `rows`: all but failures (a cas's mismatch counts if the model wants it).

    ValueError for a payload that is no JSON.
    """
    types = history.type[rows]
    counts = types != FAIL
    if hints.wants_mismatch:
        counts |= history.errors(MISMATCH)[rows] & history.f.equals("cas")[rows]
    rows = np.sort(rows[counts])
    types = history.type[rows]
    names = history.f.names
    f = [names[code] if code >= 0 else "" for code in history.f.codes[rows].tolist()]
    values, expected = _carried(history, rows, f)
    if hints.literal:
        values, expected = [literal(v) for v in values], [literal(v) for v in expected]
    ops = [
        Op(f=MISMATCH if kind == FAIL else name, value=v, expected=e, ok=kind != 2, process=process)
        for name, v, e, kind, process in zip(
            f, values, expected, types.tolist(), history.process[rows].tolist(), strict=True
        )
    ]
    return Calls(
        rows=rows.tolist(),
        ops=ops,
        starts=history.start_ns[rows].tolist(),
        ends=history.end_ns[rows].tolist(),
        known=((types == OK) | (types == FAIL)).tolist(),
    )


def _carried(history: History, rows: Ints, f: list[str]) -> tuple[list[Any], list[Any]]:
    """(value, expected) of each row as JSON values."""
    values: list[Any] = history.value.values[rows].tolist()
    expected: list[Any] = history.expected.values[rows].tolist()
    no_value, no_expected = ~history.value.valid[rows], ~history.expected.valid[rows]
    for place in np.flatnonzero(no_expected).tolist():
        expected[place] = None
    payloads = history.payload.null_count < len(history.payload)
    for place in np.flatnonzero(no_value).tolist():
        text = history.payload[int(rows[place])].as_py() if payloads else None
        values[place] = None if text is None else json.loads(text)
        if f[place] == "cas" and text is not None:
            expected[place], values[place] = values[place]
    return values, expected
