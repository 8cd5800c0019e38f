"""What the checkers of queues and stacks have in common: from a history to a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context, Verdict, too_little
from analysis.checkers.elements import NullPut, gather
from analysis.checkers.kinds import HENZINGER, Kind
from analysis.checkers.prose import counted, number
from analysis.checkers.sequence_story import Ground, broken_stories
from analysis.checkers.sequences import Discipline, search, settle
from analysis.checkers.stories import Story, joined
from analysis.history import FAIL, OK, History, Ints
from analysis.values import Values, canonical, coded, encode
from chaos.errors import RecordError


def kinds(property_: str, puts: str, takes: str, looks: str) -> tuple[Kind, ...]:
    """The anomalies that contradict one element's put, weakest first."""
    past = {"enqueue": "enqueued", "push": "pushed"}[puts]
    each = [
        (
            f"thin-air-{takes}",
            f"{takes}s and {looks}s of an element that nobody tried to {puts}",
            "any memory at all",
        ),
        (
            f"aborted-{takes}",
            f"{takes}s and {looks}s of an element whose only {puts} was told that it failed",
            "that what failed has no effect",
        ),
        (
            f"future-{takes}",
            f"{takes}s and {looks}s that ended before the element's {puts} began",
            "causality",
        ),
        (
            f"duplicate-{takes}",
            f"{takes}s of an element beyond as many as it may have been {past} times",
            "that an element comes out once",
        ),
        (
            f"stale-{looks}",
            f"{looks}s of an element that began after its {takes} had ended",
            "that what was taken is gone",
        ),
    ]
    return tuple(
        Kind(property=property_, name=name, counts=counts, rules_out=out, reference=HENZINGER)
        for name, counts, out in each
    )


def judge(
    history: History, context: Context, property_: str, discipline: Discipline
) -> CheckResult:
    """Decide linearizability of a history of one such object for each key."""

    def result(verdict: Verdict, why: str, **more: Any) -> CheckResult:
        return CheckResult(
            property=property_, verdict=verdict, why=why, operations=len(history), **more
        )

    values = coded(history)
    try:
        values, initial = _with_initial(values, context.initial)
        gathered = gather(history, values, discipline.words, initial)
    except NullPut as error:
        row = error.args[0]
        what = "an initial element is" if row < 0 else f"operation {row} put in"
        why = f"null is the answer of an empty {discipline.name}, but {what} null"
        return result(Verdict.UNKNOWN, why)
    settled = settle(gathered, discipline, context.meter)
    ground = Ground(history, values, gathered, settled, discipline, context.meter)
    stories = [*_flaw_stories(ground), *broken_stories(ground)]
    answers = _answers(history, discipline)
    orders = list(settled.orders)
    if not stories and len(answers):
        for key in settled.unsure.tolist():
            found = search(
                history, gathered.clock.key, key, discipline, context.initial, context.meter
            )
            if found.order is None:
                stories.append(ground.searched(key, found.until))
            else:
                orders.append(found.order)
    if stories:
        anomalies = tuple(story.anomaly(history) for story in joined(stories))
        return result(Verdict.INVALID, _why(anomalies, len(answers)), anomalies=anomalies)
    if not len(answers):
        why = f"no {discipline.words[1]} was acknowledged: nothing was observed"
        return result(Verdict.UNKNOWN, why)
    if why := too_little(history, context):
        return result(Verdict.UNKNOWN, why)
    order = np.concatenate(orders)
    keys = number(int(np.count_nonzero(np.bincount(gathered.clock.key[order]))), "key")
    why = f"{number(len(order), 'operation')} on {keys} have a linear order"
    claim = {"kind": "order", "model": discipline.name, "order": order}
    return result(Verdict.VALID, why, claim=claim)


def _why(anomalies: tuple[Anomaly, ...], answers: int) -> str:
    counts = counted(anomalies)
    return f"{counts} among {number(answers, 'acknowledged answer')}"


def _answers(history: History, discipline: Discipline) -> Ints:
    """The rows that tell what is in the object."""
    told = np.zeros(len(history), np.bool_)
    for word in discipline.words[1:]:
        told |= history.f.equals(word)
    return np.flatnonzero(told & (history.type == OK))


def _with_initial(values: Values, initial: Any) -> tuple[Values, list[int]]:
    """The values with names for what is there at first, and its codes: those of the history's own
    values where they are equal. NullPut when one of them is null; RecordError if it is no list.
    """
    if initial is None:
        return values, []
    if not isinstance(initial, list):
        raise RecordError(f"expected a list of elements as the initial value, got {initial!r}")
    if None in initial:
        raise NullPut(-1)
    texts = {canonical(content): code for code, content in values.names.items()}
    names, codes = dict(values.names), list[int]()
    for element in initial:
        text = canonical(element)
        if text not in texts:
            taken = type(element) is int and element in names  # then none here carries it
            held = np.append(values.value.values, [*names, *codes]).astype(np.int64)
            fresh, _ = encode([[element] if taken else element], held)
            texts[text] = int(fresh.values[0])
            if texts[text] != element or type(element) is not int:
                names[texts[text]] = element
        codes.append(texts[text])
    return replace(values, names=names), codes


def _flaw_stories(ground: Ground) -> list[Story]:
    """Takes and looks that contradict their element's put by themselves, weakest first."""
    _, takes, looks = ground.discipline.words
    tell: tuple[tuple[str, str, Callable[[Ground, int], Story]], ...] = (
        ("thin-air", f"thin-air-{takes}", _thin_air),
        ("aborted", f"aborted-{takes}", _aborted),
        ("future", f"future-{takes}", _future),
        ("duplicate", f"duplicate-{takes}", _duplicate),
        ("stale", f"stale-{looks}", _stale),
    )
    stories = []
    for flaw, name, story in tell:
        rows = ground.gathered.flaws[flaw]
        if len(rows):
            first = int(rows[np.argmin(ground.history.end_ns[rows])])
            stories.append(story(ground, first).named(name, rows))
    return stories


def _thin_air(ground: Ground, row: int) -> Story:
    tell = ground.tell(row)
    argument = (
        f"{tell.did(row)}, but no client ever tried to {ground.discipline.words[0]} "
        f"{tell.value(row)} there"
    )
    return ground.story((row,), argument, [row])


def _aborted(ground: Ground, row: int) -> Story:
    put = int(ground.same(row, 0, failed=True)[0])
    tell = ground.tell(put, row)
    argument = (
        f"{tell.did(row)}, but {tell.value(row)} must not be there: {tell.whose(put)} was told "
        f"that it failed at {tell.at(ground.history.end_ns[put])}"
    )
    return ground.story((put, row), argument, [row])


def _future(ground: Ground, row: int) -> Story:
    put = int(ground.same(row, 0)[0])
    tell = ground.tell(row, put)
    argument = f"{tell.did(row)}, but {tell.began(put)}, after that had ended"
    return ground.story((row, put), argument, [row])


def _duplicate(ground: Ground, row: int) -> Story:
    puts = ground.same(row, 0)
    takes = ground.same(row, 1)
    takes = takes[ground.history.type[takes] == OK]
    takes = takes[np.lexsort((takes, ground.history.end_ns[takes]))]
    takes = takes[: int(np.flatnonzero(takes == row)[0]) + 1].tolist()
    tell = ground.tell(*puts[:1].tolist(), *takes)
    times = "once" if len(takes) == 2 else f"{len(takes) - 1} times at most"
    done = ", and ".join(tell.did(take) for take in takes)
    argument = f"{done}; but {tell.value(row)} was put in only {times}"
    return ground.story((*puts[: len(takes)].tolist(), *takes), argument, [row])


def _stale(ground: Ground, row: int) -> Story:
    takes = ground.same(row, 1)
    take = int(takes[ground.history.type[takes] != FAIL][0])
    tell = ground.tell(take, row)
    argument = f"{tell.did(row)}, although {tell.done(take)}, before that began"
    return ground.story((*ground.same(row, 0)[:1].tolist(), take, row), argument, [row])
