"""What no set may show, whatever it promises: elements that nobody added, and elements twice."""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Anomaly
from analysis.checkers.counting import Case, runs
from analysis.checkers.lists import Carried
from analysis.checkers.set_evidence import Evidence
from analysis.history import Ints


def phantom(case: Case, evidence: Evidence, told: Carried) -> Anomaly | None:
    """Values never attempted, or read before the first attempt that may have happened began."""
    elements, reads, history = evidence.elements, evidence.reads, case.history
    early = np.flatnonzero((evidence.seen_end < elements.begun) & ~elements.failed)
    read = np.append(reads.unknown[0], evidence.seen_read[early])
    if not len(read):
        return None
    code = np.append(reads.unknown[1], elements.code[early])
    add = np.append(np.full(len(reads.unknown[0]), -1), elements.row[early])
    key, row = reads.key[read], reads.row[read]
    order = np.lexsort((history.end_ns[row], code, key))
    firsts = order[runs(key[order], code[order])[:-1]]
    rows = row[firsts]
    chosen = firsts[np.argmin(history.end_ns[rows])]
    first, begun = int(row[chosen]), int(add[chosen])
    witness = [first] if begun < 0 else [first, begun]
    tell = case.tell(*witness)
    rest = (
        "which no client ever tried to add"
        if begun < 0
        else f"whose add began only at {tell.at(int(history.start_ns[begun]))}"
    )
    value = told.content(code[chosen])
    argument = f"{_read(case, first)} shows {told.text(code[chosen])}, {rest}"
    return case.anomaly(
        "phantom", rows, witness, argument, count=len(firsts), proof=[first], value=value
    )


def duplicate(case: Case, evidence: Evidence, told: Carried) -> Anomaly | None:
    """Values that one read shows more than once."""
    reads = evidence.reads
    read, code = reads.repeated
    if not len(read):
        return None
    rows = reads.row[read]
    first = int(rows[np.argmin(case.history.end_ns[rows])])
    value = int(code[np.argmax(rows == first)])
    key = reads.key[read]
    order = np.lexsort((code, key))
    count = len(runs(key[order], code[order])) - 1
    argument = f"{_read(case, first)} shows {told.text(value)} more than once"
    return case.anomaly(
        "duplicate", rows, [first], argument, count=count, value=told.content(value)
    )


def failed(evidence: Evidence) -> Ints:
    """Elements that a read shows although every attempt to add them was told that it failed."""
    return np.flatnonzero(evidence.elements.failed & (evidence.seen_read >= 0))


def failed_argument(case: Case, evidence: Evidence, place: int) -> str:
    """Why one of these is none to be shown."""
    row = int(evidence.elements.row[place])
    seen = int(evidence.reads.row[evidence.seen_read[place]])
    tell = case.tell(row, seen)
    at = tell.at(int(case.history.end_ns[seen]))
    return f"{tell.did(row)}, but {tell.who(seen)} read {tell.value(row)} at {at}"


def _read(case: Case, row: int) -> str:
    tell = case.tell(row)
    return f"{tell.who(row)}'s read, which ended at {tell.at(int(case.history.end_ns[row]))},"
