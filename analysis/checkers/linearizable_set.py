"""`linearizable-set`: every key behaves like one set on one machine.

`membership.py` decides each element; this file puts keys together and tells what is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.checkers.base import CheckResult, Context, Verdict, too_little
from analysis.checkers.clock import Clock
from analysis.checkers.kinds import EMMI_ENEA, Kind
from analysis.checkers.membership import Deeds, Membership, deeds_of, membership, order
from analysis.checkers.models import MODELS, literal
from analysis.checkers.prose import number
from analysis.checkers.search import Outcome, decide
from analysis.checkers.set_answers import Answers, read_answers
from analysis.checkers.set_reads import order_of_key
from analysis.checkers.set_story import SetGround, misses, stories_of
from analysis.checkers.stories import Story, joined
from analysis.history import FAIL, OK, History, Ints, Mask
from chaos.errors import RecordError

PROPERTY = "linearizable-set"
_NAMES = (
    (
        "thin-air-element",
        "answers and reads that show an element nobody tried to add",
        "any memory at all",
    ),
    (
        "aborted-element",
        "answers and reads that show an element whose only add was told that it failed",
        "that what failed has no effect",
    ),
    (
        "future-element",
        "answers and reads that show an element and ended before its add began",
        "causality",
    ),
    (
        "repeated-element",
        "reads that show an element more than once",
        "being a set",
    ),
    (
        "duplicate-remove",
        "removals of an element beyond as many as it may have been added times",
        "that an element goes away once",
    ),
    (
        "duplicate-add",
        "adds that found an element new beyond one more than it may have been removed times",
        "that an element is new once",
    ),
    (
        "lost-element",
        "answers and reads without an element that was certainly there, and nobody removed",
        "that what was acknowledged is there",
    ),
    (
        "stale-element",
        "answers and reads that show an element and began after its removal had ended",
        "linearizability (of what is gone)",
    ),
    (
        "missed-element",
        "answers and reads without an element between its add and its removal",
        "linearizability (of what is there)",
    ),
    (
        "non-linearizable",
        "elements, and whole sets that were read, without a linear order for any other reason",
        "linearizability",
    ),
)
KINDS = tuple(
    Kind(
        property=PROPERTY,
        name=name,
        counts=counts,
        rules_out=rules_out,
        reference=EMMI_ENEA,
        acknowledged=False,
    )
    for name, counts, rules_out in _NAMES
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of sets (f: add, remove, contains, read), key by key."""

    def result(verdict: Verdict, why: str, **more: Any) -> CheckResult:
        return CheckResult(
            property=PROPERTY, verdict=verdict, why=why, operations=len(history), **more
        )

    initial = [] if context.initial is None else context.initial
    if not isinstance(initial, list):
        raise RecordError(f"expected a list of elements as the initial value, got {initial!r}")
    work = _Work(history, context, initial)
    stories = work.stories() or work.searched()
    if stories:
        known = [name for name, _, _ in _NAMES]
        stories = sorted(joined(stories), key=lambda story: known.index(story.name))
        anomalies = tuple(story.anomaly(history) for story in stories)
        counts = ", ".join(f"{a.count:,} {a.name}" for a in anomalies)
        why = f"{counts} among {number(work.answered, 'acknowledged answer')}"
        return result(Verdict.INVALID, why, anomalies=anomalies)
    if not work.answered:
        return result(Verdict.UNKNOWN, "no operation was acknowledged: nothing was observed")
    if why := too_little(history, context):
        return result(Verdict.UNKNOWN, why)
    rows = work.order()
    keys = number(int(np.count_nonzero(np.bincount(work.clock.key[rows]))), "key")
    why = f"{number(len(rows), 'operation')} on {keys} have a linear order"
    return result(Verdict.VALID, why, claim={"kind": "order", "model": "set", "order": rows})


class _Work:
    """One history on its way to a verdict."""

    def __init__(self, history: History, context: Context, initial: list[Any]) -> None:
        self._history, self._context, self._initial = history, context, initial
        f = history.f
        asking = f.equals("add") | (
            (f.equals("remove") | f.equals("contains")) & (history.type != FAIL)
        )
        self._asked = np.flatnonzero(asking)
        self._reads = np.flatnonzero(f.equals("read") & (history.type == OK))
        self.answered = int(np.count_nonzero(history.type[self._asked] == OK)) + len(self._reads)
        self.clock = Clock(history, 1 if initial else 0)
        self._answers: Answers = read_answers(history, self._asked, self._reads, initial)
        self._deeds: Deeds = deeds_of(history, self.clock, self._asked, self._reads, self._answers)
        self._found: Membership = membership(history, self.clock, self._deeds)
        self._orders: list[tuple[Ints, Ints, Ints]] = []
        self._whole: list[Ints] = []  # rows of keys that were searched as a whole
        self._read_keys = np.unique(self.clock.key[self._reads])
        self._ground = SetGround(
            history, self.clock, self._answers, self._deeds, self._found, self._reads
        )
        context.meter.in_time()

    def stories(self) -> list[Story]:
        """What is wrong with single elements."""
        missed = misses(self._ground, self._context.meter)
        return stories_of(self._ground, missed)

    def searched(self) -> list[Story]:
        """Search what the simple test cannot decide."""
        deeds, found, stories = self._deeds, self._found, list[Story]()
        in_reads = np.isin(deeds.key, self._read_keys)
        for element, rows in self._rows_of(~found.simple & ~in_reads):
            given = [self._ground.content(element)] if rows[0] < 0 else []
            rows = np.unique(rows[rows >= 0])
            outcome = self._search(rows, given)
            if outcome.order is None:
                stories.append(self._ground.unordered(element, rows))
            else:
                self._keep(outcome.order)
        for key in self._read_keys.tolist():
            guessed = self._guessed(key)
            if guessed is not None:
                self._whole.append(guessed)
                continue
            rows = np.append(self._asked, self._reads)
            rows = rows[(self.clock.key[rows] == key) & (self._history.type[rows] != FAIL)]
            outcome = self._search(np.sort(rows), self._initial)
            if outcome.order is None:
                stories.append(self._ground.searched(key, outcome.until))
            else:
                self._whole.append(outcome.order)
        return stories

    def _guessed(self, key: int) -> Ints | None:
        """An order of a key with whole reads that is found without a search."""
        if not self._found.simple[self._deeds.key == key].all():
            return None
        meter = self._context.meter
        return order_of_key(self.clock, self._deeds, self._found, self._reads, key, meter)

    def _search(self, rows: Ints, initial: list[Any]) -> Outcome:
        model = MODELS["set"]([literal(element) for element in initial])
        return decide(self._history, rows, model, self._context.meter)

    def _rows_of(self, chosen: Mask) -> list[tuple[int, Ints]]:
        """Some elements and the rows of each, in order; NOBODY's first."""
        deeds = self._deeds
        parts = [deeds.adds, deeds.removals, deeds.seen, deeds.unseen]
        element = np.concatenate([part.element for part in parts])
        row = np.concatenate([part.row for part in parts])[chosen[element]]
        element = element[chosen[element]]
        order = np.lexsort((row, element))
        names, first = np.unique(element[order], return_index=True)
        return list(zip(names.tolist(), np.split(row[order], first)[1:], strict=True))

    def _keep(self, rows: Ints) -> None:
        """Moments for an order that was found: each as early as may be."""
        at = np.maximum.accumulate(self.clock.start(rows))
        self._orders.append((rows, at, np.arange(len(rows))))

    def order(self) -> Ints:
        """The rows of all keys in a linear order."""
        deeds, found = self._deeds, self._found
        chosen = found.simple & ~np.isin(deeds.key, self._read_keys)
        parts = [order(deeds, found, chosen), *self._orders]
        rows, at, turns = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return np.concatenate([rows[np.lexsort((turns, at))], *self._whole])
