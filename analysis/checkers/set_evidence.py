"""What the adds and reads of a set history say about each element, as columns."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Context
from analysis.history import FAIL, OK, History, Ints, Mask
from chaos.errors import RecordError

NEVER = np.iinfo(np.int64).max
BEFORE = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class Adds:
    """Every element that a client tried to add; arrays have one entry per element."""

    element: Ints  # sorted
    row: Ints  # the acknowledged add, else the first attempt
    begun: Ints  # first start of an attempt
    acknowledged: Ints  # first end of an ok add; NEVER: none was
    failed: Mask  # every attempt definitely failed

    def places(self, values: Ints) -> Ints:
        """Positions of some values in `element`, -1 for those never attempted."""
        if not len(self.element):
            return np.full(len(values), -1, np.int64)
        low = int(self.element[0])
        if int(self.element[-1]) - low + 1 == len(self.element):  # no gaps: no search
            place = values - low
            return np.where((place >= 0) & (place < len(self.element)), place, -1)
        place = np.minimum(np.searchsorted(self.element, values), len(self.element) - 1)
        return np.where(self.element[place] == values, place, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one payload shows; reads with the same payload share it."""

    places: Ints  # elements shown, as positions in Adds, each once
    repeated: Ints  # values shown more than once
    unknown: Ints  # values never attempted


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One acknowledged read of the whole set."""

    row: int
    start: int
    end: int
    final: bool
    seen: Seen


def read_adds(history: History) -> Adds:
    """One entry per element of the history's adds (f: add)."""
    rows = np.flatnonzero(history.f.equals("add") & history.value.valid)
    element, place = np.unique(history.value.values[rows], return_inverse=True)
    kind = history.type[rows]
    begun = np.full(len(element), NEVER)
    np.minimum.at(begun, place, history.start_ns[rows])
    acknowledged = np.full(len(element), NEVER)
    ok = kind == OK
    np.minimum.at(acknowledged, place[ok], history.end_ns[rows[ok]])
    failed = np.ones(len(element), np.bool_)
    failed[place[kind != FAIL]] = False
    first = np.full(len(element), NEVER)
    np.minimum.at(first, place, rows)
    winner = np.full(len(element), NEVER)
    np.minimum.at(winner, place[ok], rows[ok])
    row = np.where(winner == NEVER, first, winner)
    return Adds(element=element, row=row, begun=begun, acknowledged=acknowledged, failed=failed)


def read_reads(history: History, adds: Adds, context: Context) -> list[Read]:
    """Every ok read, by end. RecordError when a payload is no list of integers."""
    rows = np.flatnonzero(history.f.equals("read") & (history.type == OK))
    rows = rows[np.argsort(history.end_ns[rows], kind="stable")]
    final_from = _final_from(history, context)
    parsed: dict[str, Seen] = {}
    reads = []
    for row, payload in zip(rows.tolist(), history.payloads(rows), strict=True):
        if payload is None:
            raise RecordError(f"operation {row} is a read of the set without a payload")
        if payload not in parsed:
            parsed[payload] = _parse(row, payload, adds)
        start = int(history.start_ns[row])
        reads.append(
            Read(
                row=row,
                start=start,
                end=int(history.end_ns[row]),
                final=start > final_from,
                seen=parsed[payload],
            )
        )
    return reads


def _final_from(history: History, context: Context) -> int:
    """Reads that start later than this are final; without phases, once every add has ended."""
    if context.final_ns is not None:
        return context.final_ns[0] - 1
    added = history.end_ns[history.f.equals("add")]
    return int(added.max()) if len(added) else BEFORE


def _parse(row: int, payload: str, adds: Adds) -> Seen:
    try:
        listed = json.loads(payload)
        values = np.array(listed) if listed else np.empty(0, np.int64)
    except (ValueError, RecursionError, OverflowError):
        raise RecordError(f"operation {row}: its payload is not JSON") from None
    if not isinstance(listed, list) or values.ndim != 1 or values.dtype.kind != "i":
        raise RecordError(f"operation {row}: expected a list of integers as payload")
    places = adds.places(values.astype(np.int64, copy=False))
    unknown = np.unique(values[places < 0])
    known = places[places >= 0]
    shown = np.zeros(len(adds.element), np.bool_)
    shown[known] = True
    distinct = np.flatnonzero(shown)
    repeated = np.empty(0, np.int64)
    if len(distinct) + len(unknown) < len(values):
        found, times = np.unique(values, return_counts=True)
        repeated = found[times > 1]
    return Seen(places=distinct, repeated=repeated, unknown=unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Per element: when reads showed it, and which reads lacked it although it was known.

    An element is known from its acknowledgement, or from the end of a read that shows it.
    """

    seen_end: Ints  # first end of a read that shows it; NEVER: none does
    seen_row: Ints  # that read
    seen_last: Ints  # last start of a read that shows it; BEFORE: none does
    in_final: Ints  # how many final reads show it
    informed: Mask  # some final read began after it was known
    missed_final: Ints  # last final read that lacks it although it was known; -1: none
    stale: dict[int, Ints]  # read number → acknowledged elements it lacks and a later read has
    flickered: Ints  # per element: a read lacking what was seen before and after it; -1: none


def gather(adds: Adds, reads: list[Read]) -> Evidence:
    """Two passes over the reads: what each shows, then what each lacks."""
    count = len(adds.element)
    seen_end, seen_last = np.full(count, NEVER), np.full(count, BEFORE)
    seen_row, in_final = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    for read in reads:  # by end: the first to show an element is the first to have ended
        shown = read.seen.places
        new = shown[seen_row[shown] < 0]
        seen_end[new], seen_row[new] = read.end, read.row
        seen_last[shown] = np.maximum(seen_last[shown], read.start)
        in_final[shown] += read.final
    known = np.minimum(adds.acknowledged, seen_end)
    order = np.argsort(known, kind="stable")
    known = known[order]
    informed, missed_final = np.zeros(count, np.bool_), np.full(count, -1, np.int64)
    flickered = np.full(count, -1, np.int64)
    stale: dict[int, Ints] = {}
    shown_now = np.zeros(count, np.bool_)
    for number, read in enumerate(reads):
        shown_now[read.seen.places] = True
        known_now = order[: int(np.searchsorted(known, read.start))]
        absent = known_now[~shown_now[known_now]]
        shown_now[read.seen.places] = False
        if read.final:
            informed[known_now] = True
            missed_final[absent] = read.row
            continue
        back = absent[seen_last[absent] > read.end]
        acknowledged = adds.acknowledged[back] < read.start
        if acknowledged.any():
            stale[number] = back[acknowledged]
        flickered[back[~acknowledged]] = read.row
    return Evidence(
        seen_end=seen_end,
        seen_row=seen_row,
        seen_last=seen_last,
        in_final=in_final,
        informed=informed,
        missed_final=missed_final,
        stale=stale,
        flickered=flickered,
    )
