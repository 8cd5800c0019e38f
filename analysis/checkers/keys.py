"""Keys are independent objects: the operations of each, and the search of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.checkers.base import Exhausted, Meter
from analysis.checkers.models import Model
from analysis.checkers.programs import keys_of
from analysis.checkers.search import decide
from analysis.history import History, Ints


def rows_of(history: History, functions: Iterable[str]) -> Ints:
    """The rows whose `f` is one of these."""
    chosen = np.zeros(len(history), np.bool_)
    for name in functions:
        chosen |= history.f.equals(name)
    return np.flatnonzero(chosen)


def by_key(history: History, rows: Ints) -> list[Ints]:
    """Sorted rows of each key, in the order of each key's first row; null is a key too."""
    keys = keys_of(history.key)[0][rows]
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    parts = [rows[part] for part in np.split(order, cuts)] if len(rows) else []
    return sorted(parts, key=lambda part: int(part[0]))


@dataclass(slots=True)
class Searched:
    """What the search said of several keys."""

    orders: list[Ints] = field(default_factory=list)  # of keys that have one
    untils: list[int] = field(default_factory=list)  # of keys that have none (Outcome.until)
    exhausted: Exhausted | None = None  # the budget ran out before all were searched


def search_keys(history: History, parts: Sequence[Ints], model: Model, meter: Meter) -> Searched:
    """Search each key's rows, small ones first, until the meter is empty."""
    found = Searched()
    for part in sorted(parts, key=len):
        try:
            outcome = decide(history, part, model, meter)
        except Exhausted as error:
            found.exhausted = error
            break
        if outcome.order is not None:
            found.orders.append(outcome.order)
        elif outcome.until is not None:
            found.untils.append(outcome.until)
    return found
