"""The smallest history that still shows a wrong verdict.

Leaving out an operation makes another history, of which something else may be true: the oracle is
asked again each time, so what is left is wrong in its own right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.truth import rows
from tests.truth.properties import PROPERTIES
from tests.truth.rows import Row
from tests.truth.runner import Wrong, checked

OPERATIONS_MAX = 60  # a history of more is not shrunk: the oracle would not end


def smallest(wrong: Wrong) -> Wrong:
    """Keys are left out, then operations, as long as checker and oracle differ."""
    if len(wrong.history) > OPERATIONS_MAX:
        return wrong
    smaller = True
    while smaller:
        smaller = False
        for part in _parts(wrong.history):
            if (found := _judged(wrong, part)) is not None:
                wrong, smaller = found, True
                break
    return wrong


def _parts(history: list[Row]) -> Iterator[list[Row]]:
    keys = list(dict.fromkeys(row.key for row in history))
    if len(keys) > 1:
        for key in keys:
            yield [row for row in history if row.key != key]
    for at in range(len(history)):
        if len(history) > 1:
            yield history[:at] + history[at + 1 :]


def _judged(wrong: Wrong, history: list[Row]) -> Wrong | None:
    about = PROPERTIES[wrong.property]
    truth = about.truth(history, wrong.setting)
    result = checked(about, rows.history(history), wrong.setting)
    if str(result.verdict) == truth:
        return None
    return replace(wrong, history=history, expected=truth, got=str(result.verdict), why=result.why)
