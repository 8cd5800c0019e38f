"""`polysi-text`: what PolySI, Plume and IsoVista read: an operation a line.

    w(1,10,1,1)
    r(2,0,1,1)

`r(key,value,session,transaction)`, `w(…)`. A value of 0 that nobody wrote to the key says that
nothing was there; or else session 0 writes the initial values, and does nothing else.
(Huang et al.: "Efficient Black-box Checking of Snapshot Isolation in Databases", VLDB 2023)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from analysis.formats import numeric
from analysis.formats.base import Format, Imported
from analysis.formats.events import OK
from analysis.formats.numeric import NUMBER, Lines
from analysis.formats.sessions import MicroOps, Sessions, counted, initial_reads
from analysis.history import Ints, Mask

_INTEGER = r"\s*([+-]?\d+)\s*"
_LINES = Lines(
    columns=4,
    exact=rf"^(?:[rw]\({NUMBER},{NUMBER},{NUMBER},{NUMBER}\)|)$",
    tolerant=re.compile(
        rf"([rRwW])\s*\({_INTEGER},{_INTEGER},{_INTEGER},{_INTEGER}\)\s*[;,]?", re.ASCII
    ),
    separator=",",
    opens=b"(",
    closes=b")",
    form="`r(key,value,session,transaction)` or `w(…)`",
)
_SIGN = re.compile(rb"\s*+[rwRW][ \t]*\((?:\s*[+-]?\d+\s*,){3}\s*[+-]?\d+\s*\)")


def recognises(path: Path, head: bytes) -> bool:
    """A first line such as `w(1,10,1,1)`."""
    return bool(_SIGN.match(head))


def read(path: Path, initial: Any) -> Imported:
    """The transactions of the file; HistoryError with the line that is none."""
    parts = list(numeric.read(path, _LINES))
    letters = np.concatenate([held for held, _ in parts])
    write = letters[letters != numeric.BLANK] == ord("w")
    key, value, session, transaction = (
        np.concatenate([columns[k] for _, columns in parts]) for k in range(4)
    )
    order, first = _grouped(session, transaction)
    if order is not None:
        write, key, value = write[order], key[order], value[order]
        session, transaction = session[order], transaction[order]
    notes = []
    null = initial_reads(write, key, value)
    given = session == 0
    if not null.any() and _gives_initial(write, key, value, given):
        notes.append(
            "session 0 was taken for the initial state, for it only writes "
            f"({counted(int(given.sum()), 'key')}, each once): a read of that is a read of nothing"
        )
        null = _shows(key, value, given)
        kept = ~given
        first = (np.cumsum(kept) - kept)[first[kept[first]]]
        write, key, value, null = write[kept], key[kept], value[kept], null[kept]
        session = session[kept]
    count = np.diff(np.append(first, len(key)))
    made = Sessions()
    operations = MicroOps(write=write, key=key, value=value, null=null)
    made.add(session[first], count, np.full(len(count), OK), operations)
    return made.finish(path, initial, notes)


def _grouped(session: Ints, transaction: Ints) -> tuple[Ints | None, Ints]:
    """The order that puts each transaction's operations together (None: they are), and where each
    begins then. Transactions stand in the order of their first operations."""
    new = np.append(
        True, (session[1:] != session[:-1]) | (transaction[1:] != transaction[:-1])
    )[: len(session)]  # fmt: skip
    first = np.flatnonzero(new)
    which, what = session[first], transaction[first]
    sorted_ = np.lexsort((what, which))
    which, what = which[sorted_], what[sorted_]
    again = np.append(False, (which[1:] == which[:-1]) & (what[1:] == what[:-1]))[: len(first)]
    if not again.any():
        return None, first
    leader = np.empty(len(first), np.int64)  # of each run the first one of its transaction
    leader[sorted_] = sorted_[~again][np.cumsum(~again) - 1]
    run = leader[np.cumsum(new) - 1]
    order = np.argsort(run, kind="stable")
    run = run[order]
    return order, np.flatnonzero(np.append(True, run[1:] != run[:-1]))


def _gives_initial(write: Mask, key: Ints, value: Ints, given: Mask) -> bool:
    """Whether session 0 does nothing but write, each key once and each that others read, and what
    it wrote is nobody else's."""
    if not given.any() or given.all() or not write[given].all():
        return False
    keys = np.unique(key[given])
    read = np.isin(key[~write], keys).all()
    return len(keys) == given.sum() and bool(read) and not (_shows(key, value, given) & write).any()


def _shows(key: Ints, value: Ints, given: Mask) -> Mask:
    """Which operations, of those that are not `given`, show a key's given value."""
    order = np.argsort(key[given])
    keys, values = key[given][order], value[given][order]
    place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
    found: Mask = (keys[place] == key) & (values[place] == value) & ~given
    return found


FORMAT = Format(
    name="polysi-text",
    about="PolySI's, Plume's and IsoVista's text: `r(key,value,session,transaction)` a line",
    signs="a first line such as `w(1,10,1,1)`",
    recognises=recognises,
    read=read,
)
