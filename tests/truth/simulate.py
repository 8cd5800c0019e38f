"""Small histories of concurrent clients of an object that works, or is broken in one known way.

Each operation takes effect at a moment. Sorting them by it and running the object gives every
answer; a broken object moves moments, loses or repeats effects, or answers what is not so.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from tests.truth.objects import Request, Thing, Values
from tests.truth.rows import Row

LATER = 30.0  # how long after it was given up an operation may still take effect, at most
FAULTS = ("stale", "lost", "moved", "wild", "swapped", "stale", "lost", "moved", "twice", "undone")
REMEMBERED = 40  # states that a stale answer may come from
KEYS = ((None,), (None,), (None,), ("x",), ("x",), ("x", "y"), ("x", None))


class Style(NamedTuple):
    """How the clients of one history behave."""

    operations: int
    processes: int
    gap: int  # ticks between two operations of a process, at most
    length: int  # ticks that an operation takes, at most
    info: float  # share of indeterminate operations
    fail: float
    unread: float  # share of reads whose value was not recorded
    values: str  # unique | few | json
    keys: tuple[str | None, ...]
    fault: str | None
    same: bool = False  # whether a process goes on after an indeterminate answer
    finals: int = 0  # of the operations, how many are asked when the others are over
    final_ns: int | None = None  # not before this


class Moment(NamedTuple):
    """One operation while it is simulated."""

    at: float  # when it takes effect
    row: int
    request: Request
    outcome: str  # ok | fail | info; a fail has no effect
    key: str | None


def style(
    rng: Random,
    kinds: tuple[str, ...],
    *,
    operations: tuple[int, int] = (3, 10),
    keys: tuple[tuple[str | None, ...], ...] = KEYS,
    broken: float = 0.8,
) -> Style:
    """A style at random: half of the histories have no indeterminate operation at all."""
    draw = rng.random
    low, high = operations
    indeterminate = draw() < 0.4
    fault = FAULTS[int(draw() * len(FAULTS))] if draw() < broken else None
    return Style(
        operations=low + int(draw() * (high - low + 1)),
        processes=2 + int(draw() * 4),
        gap=(2, 3, 4, 6, 8, 8)[int(draw() * 6)],
        length=(1, 2, 4, 6, 8, 12)[int(draw() * 6)],
        info=0.1 + 0.3 * draw() if indeterminate else 0.0,
        fail=0.4 if fault == "undone" else 0.2 * draw() if draw() < 0.2 else 0.0,
        unread=0.2 if draw() < 0.1 else 0.0,
        values=kinds[int(draw() * len(kinds))],
        keys=keys[int(draw() * len(keys))],
        fault=fault,
    )


def simulate(
    rng: Random, thing: Thing, how: Style, initial: Any, begin: int = 0, first: int = 0
) -> list[Row]:
    """A history, ordered by completion. Times from `begin` on, processes from `first` on."""
    values = Values(rng, how.values)
    rows, moments = _asked(rng, thing, how, values, begin, first)
    if not rows:
        return rows
    victims = {row for row in range(len(rows)) if rng.random() < 0.5}
    moments.sort()
    if how.fault == "moved":
        moments = [_moved(rng, m) if m.row in victims else m for m in moments]
        moments.sort()
    if how.fault == "twice":
        moments += [_again(rng, m) for m in moments if m.row in victims]
        moments.sort()
    states: dict[Any, list[Any]] = {}
    answers: dict[int, Any] = {}
    for moment in moments:
        past = states.setdefault(moment.key, [thing.initial(initial)])
        fault = how.fault if moment.row in victims else None
        if moment.outcome != "fail" or fault == "undone":
            answer = _take_effect(rng, thing, values, past, moment, fault)
            answers.setdefault(moment.row, answer)
    if how.fault == "swapped":
        _swap(rng, rows, answers)
    for moment in moments:
        if rows[moment.row].type == "ok":
            rows[moment.row] = _answered(rng, thing, how, rows, moment, answers[moment.row])
    rows.sort(key=lambda row: row.end)
    return rows


def _asked(
    rng: Random, thing: Thing, how: Style, values: Values, begin: int, first: int
) -> tuple[list[Row], list[Moment]]:
    """Every operation with its interval and its outcome, not yet answered."""
    draw = rng.random
    free, now = [begin] * how.processes, begin
    name = list(range(first, first + how.processes))
    asked = [0] * how.processes
    rows, moments = [], []
    for row in range(how.operations):
        client = int(draw() * how.processes)
        now += int(draw() * how.gap)
        last = row >= how.operations - how.finals
        if row == how.operations - how.finals:
            now = max(max(free) + int(draw() * 3), how.final_ns or 0)
        start = max(now, free[client])
        end = start + int(draw() * how.length)
        free[client] = end
        process = name[client]
        request = thing.last(process) if last else thing.ask(rng, values, process, asked[client])
        asked[client] += 1
        chance = draw()
        outcome = "info" if chance < how.info else "ok" if chance > how.info + how.fail else "fail"
        at = start + draw() * (end - start)
        if outcome == "info" and not how.same:
            name[client] = first + how.processes + row  # a process is not used again
            asked[client] = 0
        if outcome == "info" and draw() < 0.6:
            at = end + draw() * LATER
        key = how.keys[int(draw() * len(how.keys))]
        value, expected = thing.row(request, None) if outcome != "ok" else (None, None)
        error = None if outcome == "ok" else "timeout" if outcome == "info" else "refused: not now"
        rows.append(Row(request.f, value, start, end, outcome, process, key, expected, error))
        if outcome != "info" or draw() < 0.8:  # the others never take effect
            moments.append(Moment(at, row, request, outcome, key))
    return rows, moments


def _moved(rng: Random, moment: Moment) -> Moment:
    return moment._replace(at=moment.at + (rng.random() - 0.5) * 20)


def _again(rng: Random, moment: Moment) -> Moment:
    return moment._replace(at=moment.at + rng.random() * 10)


def _take_effect(
    rng: Random,
    thing: Thing,
    values: Values,
    past: list[Any],
    moment: Moment,
    fault: str | None,
) -> Any:
    """Run one operation on the newest state, or as the fault has it; its answer."""
    request = moment.request
    state, answer = thing.run(past[-1], request)
    if fault == "stale":
        answer = thing.run(past[int(rng.random() * len(past))], request)[1]
    elif fault == "wild":
        answer = thing.wild(values, request)
    elif fault == "lost":
        state = past[-1]
    if state != past[-1]:
        past.append(state)
        del past[:-REMEMBERED]
    return answer


def _swap(rng: Random, rows: list[Row], answers: dict[int, Any]) -> None:
    """Two operations of one kind get each other's answers."""
    one = list(answers)[int(rng.random() * len(answers))] if answers else -1
    same = [row for row in answers if rows[row].f == rows[one].f]
    if same:
        two = same[int(rng.random() * len(same))]
        answers[one], answers[two] = answers[two], answers[one]


def _answered(
    rng: Random, thing: Thing, how: Style, rows: list[Row], moment: Moment, answer: Any
) -> Row:
    """The row of an operation that was answered."""
    row = rows[moment.row]
    refused = thing.refuses.get(moment.request.f)
    if refused is not None and answer is False:
        value, expected = thing.row(moment.request, None)
        error = refused if rng.random() < 0.8 else None
        return row._replace(type="fail", value=value, expected=expected, error=error)
    if moment.request.f == "read" and how.unread and rng.random() < how.unread:
        return row._replace(error="unread: not recorded")
    value, expected = thing.row(moment.request, answer)
    return row._replace(value=value, expected=expected)
