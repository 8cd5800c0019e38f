"""`awdit`: AWDIT's text: a read or write a line, transactions and sessions set apart by rules.

    w 1 10
    r 2 0
    -----
    r 1 10
    =====
    w 2 7

`r key value`, `w key value`; `-----` begins the next transaction, `=====` the next session.
(Møldrup & Pavlogiannis: "AWDIT: An Optimal Weak Database Isolation Tester", PLDI 2025)
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
from analysis.formats.sessions import MicroOps, Sessions, initial_reads

_RULES = np.frombuffer(b"-=", np.uint8)  # between transactions, between sessions
_OPERATIONS = np.frombuffer(b"rw", np.uint8)
_LINES = Lines(
    columns=2,
    exact=rf"^(?:[rw] {NUMBER} {NUMBER}|-{{3,}}|={{3,}}|)$",
    tolerant=re.compile(r"(?:([rRwW])\s+([+-]?\d+)\s+([+-]?\d+)|-{3,}|={3,})", re.ASCII),
    separator=" ",
    form="`r key value`, `w key value`, `-----` or `=====`",
)
_WHOLE = re.compile(
    rb"(?:[ \t]*+(?:[rw][ \t]++[+-]?\d++[ \t]++[+-]?\d++|-{3,}+|={3,}+)?+[ \t\r]*+\n)++"
)
_SIGN = re.compile(rb"(?m)^[ \t]*[rw][ \t]")


def recognises(path: Path, head: bytes) -> bool:
    """Nothing but lines such as `w 1 10` and rules of dashes or equals signs."""
    whole = head[: head.rfind(b"\n") + 1] or head + b"\n"
    return bool(_WHOLE.fullmatch(whole) and _SIGN.search(whole))


def read(path: Path, initial: Any) -> Imported:
    """The transactions of the file; HistoryError with the line that is none."""
    parts = list(numeric.read(path, _LINES))
    letters = np.concatenate([held for held, _ in parts])
    key, value = (np.concatenate([columns[k] for _, columns in parts]) for k in range(2))
    ruled, told = np.isin(letters, _RULES), np.isin(letters, _OPERATIONS)
    write = letters[told] == _OPERATIONS[1]
    transaction = np.cumsum(ruled)[told]
    session = np.cumsum(letters == _RULES[1])[told]
    first = np.flatnonzero(np.diff(transaction, prepend=-1))
    count = np.diff(np.append(first, len(key)))
    made = Sessions()
    null = initial_reads(write, key, value)
    operations = MicroOps(write=write, key=key, value=value, null=null)
    made.add(session[first], count, np.full(len(count), OK), operations)
    return made.finish(path, initial)


FORMAT = Format(
    name="awdit",
    about="AWDIT's text: `r key value` or `w key value` a line, ----- and ===== between",
    signs="lines such as `w 1 10`, and rules `-----` and `=====`, and nothing else",
    recognises=recognises,
    read=read,
)
