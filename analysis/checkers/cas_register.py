"""`linearizable-cas-register`: a register whose refused swaps are observations too.

A cas that failed with `cas-mismatch` says that the register did not hold what it expected, at some
moment between its start and its end. `registers.py` decides.
"""

from __future__ import annotations

from dataclasses import replace

from analysis.checkers import register
from analysis.checkers.base import CheckResult, Context
from analysis.checkers.kinds import HERLIHY_WING, Kind
from analysis.checkers.registers import judge
from analysis.history import History

PROPERTY = "linearizable-cas-register"
KINDS = (
    *(replace(kind, property=PROPERTY) for kind in register.KINDS[:-1]),
    Kind(
        property=PROPERTY,
        name="refused-swap",
        counts="swaps refused because another value was there, that began after the value they "
        "expected was seen, and ended before it was seen again or replaced",
        rules_out="atomic compare-and-set",
        reference=HERLIHY_WING,
    ),
    replace(register.KINDS[-1], property=PROPERTY),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide the same, and a cas refused with `cas-mismatch` saw that another value was there."""
    return judge(PROPERTY, history, context, refusals=True)
