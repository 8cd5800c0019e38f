"""A history of lists as a problem: whom each read shows, and the order of versions shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.history import Ints
from analysis.transactions.columns import APPEND
from analysis.transactions.list_cycles import Hop
from analysis.transactions.list_edges import WW
from analysis.transactions.list_words import Words
from analysis.transactions.lists import Analysis
from analysis.transactions.problem import INITIAL, Problem, new_reads
from analysis.transactions.registers import Names


def problem_of_lists(analysis: Analysis) -> Problem:
    """Committed transactions; `known` holds the versions that reads show one after another."""
    told, versions, found = analysis.transactions, analysis.versions, analysis.dependencies
    committed = np.flatnonzero(analysis.committed)
    place = np.full(len(told) + 1, INITIAL)
    place[committed] = np.arange(len(committed))
    owner = versions.owner.astype(np.int64)
    empty = np.flatnonzero((versions.ext == 0) & versions.good)
    micro = np.concatenate([found.wr.other.astype(np.int64), empty])
    source = np.concatenate([found.wr.source.astype(np.int64), np.full(len(empty), INITIAL)])
    order = np.argsort(micro, kind="stable")
    micro, source = micro[order], place[source[order]]
    reader, key = place[owner[micro]], told.key[micro]
    kept, again = new_reads(reader, key, source)
    appends = np.flatnonzero(told.kind == APPEND)
    wrote = np.unique(np.column_stack([place[owner[appends]], told.key[appends]]), axis=0)
    wrote = wrote[wrote[:, 0] >= 0]
    ww = found.ww
    key_of = told.key[ww.one.astype(np.int64)]
    known = np.column_stack([place[ww.source.astype(np.int64)], place[ww.target.astype(np.int64)]])
    known = np.column_stack([known, key_of]).astype(np.int64)
    _, session = np.unique(told.process[committed], return_inverse=True)
    return Problem(
        rows=told.rows[committed],
        session=session.astype(np.int64),
        start=told.start[committed],
        end=told.end[committed],
        raw_end=told.history.end_ns[told.rows[committed]],
        reader=np.ascontiguousarray(reader[kept]),
        read_key=np.ascontiguousarray(key[kept]),
        source=np.ascontiguousarray(source[kept]),
        again=again,
        writer=np.ascontiguousarray(wrote[:, 0]),
        write_key=np.ascontiguousarray(wrote[:, 1]),
        keys=len(told.keys),
        known=known[(known >= 0).all(axis=1)],
        key_names=Names(told),
        evidence=_Evidence(analysis, known),
    )


class _Evidence(dict[tuple[int, int, int], tuple[Any, Any, int]]):
    """Why versions are known to stand in an order, worked out when it is asked for."""

    def __init__(self, analysis: Analysis, known: Ints) -> None:
        super().__init__()
        self._analysis, self._known = analysis, known
        self._places: dict[tuple[int, int, int], int] | None = None

    def __contains__(self, pair: object) -> bool:
        if self._places is None:
            rows = map(tuple, self._known.tolist())
            self._places = {row: n for n, row in enumerate(rows)}
        return pair in self._places

    def __missing__(self, pair: tuple[int, int, int]) -> tuple[Any, Any, int]:
        if pair not in self or self._places is None:
            raise KeyError(pair)
        ww, at = self._analysis.dependencies.ww, self._places[pair]
        source, target = int(ww.source[at]), int(ww.target[at])
        one, other = int(ww.one[at]), int(ww.other[at])
        words = Words(self._analysis.versions)
        hop = Hop(kind=WW, source=source, target=target, one=one, other=other)
        reader = words.row(int(self._analysis.versions.owner[words.witness(hop)]))
        return words.value(one), words.value(other), reader

    def get(self, pair: tuple[int, int, int], default: Any = None) -> Any:
        """What was seen, or `default`."""
        try:
            return self[pair]
        except KeyError:
            return default
