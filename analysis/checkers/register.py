"""`linearizable-register`: every key behaves like one register on one machine.

Named anomalies, weakest first; docs/checkers.md defines each and what it counts. `registers.py`
decides.
"""

from __future__ import annotations

from analysis.checkers.base import CheckResult, Context
from analysis.checkers.kinds import ADYA, GIBBONS_KORACH, HERLIHY_WING, Kind
from analysis.checkers.registers import judge
from analysis.history import History

PROPERTY = "linearizable-register"
KINDS = (
    Kind(
        property="linearizable-register",
        name="thin-air-read",
        counts="observations (ok reads, swaps that happened) of a value nobody tried to write",
        rules_out="any memory at all",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="aborted-read",
        counts="observations of a value whose only writer was told that it failed",
        rules_out="read committed, and all above it",
        reference=ADYA,
    ),
    Kind(
        property="linearizable-register",
        name="future-read",
        counts="observations that ended before the write they rest on began",
        rules_out="causality, and all above it",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="lost-update",
        counts="swaps that replaced a value which another swap had replaced: all but the first",
        rules_out="atomic compare-and-set",
        reference=HERLIHY_WING,
    ),
    Kind(
        property="linearizable-register",
        name="stale-read",
        counts="observations of a value that had been replaced, by a write begun after that value "
        "was established and seen or completed before the observation began",
        rules_out="linearizability (regular and atomic registers)",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="non-linearizable",
        counts="observations of a value after another one was established, though that other was "
        "observed to come later too; swaps that replaced one another in a circle; and of a key "
        "that had to be searched the first answer by which its operations have no order",
        rules_out="linearizability (atomic registers)",
        reference=GIBBONS_KORACH,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of a register history (f: read, write, cas), key by key."""
    return judge(PROPERTY, history, context, refusals=False)
