"""Elements of queues and stacks: who put each in, who took it out, who looked at it.

An element is a value of one key. If each is put in once at most, its operations are known by what
they carry. Times are readings of one clock for all keys (`clock.py`).

A put without an answer happened if its element was seen, and then ended after everything else;
otherwise it is left out, for no order becomes impossible without it. A take without an answer is a
*joker*: it may have taken any element. An element that nobody took is taken after all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.checkers.clock import Clock
from analysis.history import FAIL, INFO, OK, History, Ints, Mask
from analysis.values import Values

NOBODY = -1  # the row of what no operation did


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Answered peeks at elements, and `element`: the place of what each saw."""

    row: Ints
    element: Ints
    start: Ints
    end: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """One cell for each element: rows, and the clock's readings. `put` is NOBODY if it was there
    at first. `take` is NOBODY if nobody is known to have taken it; then `take_start` and
    `take_end` are after all else of its key. `first_end` and `last_start` are of its take and the
    looks at it.
    """

    key: Ints
    code: Ints
    put: Ints
    put_start: Ints
    put_end: Ints
    take: Ints
    take_start: Ints
    take_end: Ints
    first_end: Ints
    last_start: Ints
    repeated: Mask  # perhaps put in more than once: `put` is a guess
    hopeless: Mask  # certainly so, or `put` is the wrong one
    looks: Looks

    def __len__(self) -> int:
        return len(self.put)

    @property
    def shown(self) -> Ints:
        """When each element's first operation ended: from then on it has been put in."""
        return np.minimum(self.put_end, self.first_end)

    @property
    def needed(self) -> Ints:
        """When each element's last operation began: until then it has not been taken out."""
        return np.maximum(self.put_start, self.last_start)

    def only(self, chosen: Mask | Ints) -> Elements:
        """Some of the elements, with all their operations."""
        if chosen.dtype == np.bool_:
            if chosen.all():
                return self
            chosen = np.flatnonzero(chosen)
        place = np.full(len(self), NOBODY, np.int64)
        place[chosen] = np.arange(len(chosen))
        looks = self.looks
        kept = place[looks.element] >= 0
        return Elements(
            key=self.key[chosen],
            code=self.code[chosen],
            put=self.put[chosen],
            put_start=self.put_start[chosen],
            put_end=self.put_end[chosen],
            take=self.take[chosen],
            take_start=self.take_start[chosen],
            take_end=self.take_end[chosen],
            first_end=self.first_end[chosen],
            last_start=self.last_start[chosen],
            repeated=self.repeated[chosen],
            hopeless=self.hopeless[chosen],
            looks=Looks(
                row=looks.row[kept],
                element=place[looks.element[kept]],
                start=looks.start[kept],
                end=looks.end[kept],
            ),
        )

    def taken(self, chosen: Ints, jokers: Jokers) -> Elements:
        """The same where element `chosen[i]` was taken by joker i."""
        if not len(chosen):
            return self
        take, begun, ended = self.take.copy(), self.take_start.copy(), self.take_end.copy()
        take[chosen], begun[chosen], ended[chosen] = jokers.row, jokers.start, jokers.end
        return replace(self, take=take, take_start=begun, take_end=ended).with_extremes()

    def with_extremes(self) -> Elements:
        """The same with `first_end` and `last_start` as the takes and looks are."""
        first_end, last_start = self.take_end.copy(), self.take_start.copy()
        np.minimum.at(first_end, self.looks.element, self.looks.end)
        np.maximum.at(last_start, self.looks.element, self.looks.start)
        return replace(self, first_end=first_end, last_start=last_start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jokers:
    """Takes without an answer."""

    row: Ints
    key: Ints
    start: Ints
    end: Ints

    def only(self, chosen: Mask | Ints) -> Jokers:
        """Some of them."""
        return Jokers(
            row=self.row[chosen],
            key=self.key[chosen],
            start=self.start[chosen],
            end=self.end[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Empties:
    """Answers that there is nothing, of takes and of looks."""

    row: Ints
    key: Ints
    start: Ints
    end: Ints

    def only(self, chosen: Mask | Ints) -> Empties:
        """Some of them."""
        return Empties(
            row=self.row[chosen],
            key=self.key[chosen],
            start=self.start[chosen],
            end=self.end[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a history of queues or stacks says. `flaws`: rows of takes and looks that contradict
    their element's put by themselves, by what they are; such elements are not among `elements`.
    """

    clock: Clock
    elements: Elements
    jokers: Jokers
    empties: Empties
    flaws: Mapping[str, Ints]  # thin-air, aborted, duplicate, future, stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Puts:
    """What was put in: rows (NOBODY: it was there at first), whether for sure, and when."""

    row: Ints
    key: Ints
    code: Ints
    sure: Mask
    start: Ints
    end: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of each other kind of operation."""

    takes: Ints
    looks: Ints
    failed: Ints  # puts that failed


class NullPut(Exception):
    """Null was put in, which no answer tells from nothing; `args[0]` is the row."""


def gather(
    history: History, values: Values, words: tuple[str, str, str], initial: Sequence[int] = ()
) -> Gathered:
    """The elements of a history. `words`: what puts, takes and looks are called; `initial`: codes
    of the elements that each object holds at first, in the order in which they were put in.

    NullPut when null was put in.
    """
    puts, takes, looks = words
    clock = Clock(history, len(initial))
    is_put, is_take = history.f.equals(puts), history.f.equals(takes)
    is_look = history.f.equals(looks)
    ok, says = history.type == OK, values.value.valid
    put = np.flatnonzero(is_put & (history.type != FAIL))
    if not says[put].all():
        raise NullPut(int(put[np.argmin(says[put])]))
    empty = np.flatnonzero((is_take | is_look) & ok & ~says)
    joker = np.flatnonzero(is_take & (history.type == INFO))
    rows = Rows(
        takes=np.flatnonzero(is_take & ok & says),
        looks=np.flatnonzero(is_look & ok & says),
        failed=np.flatnonzero(is_put & (history.type == FAIL) & says),
    )
    chosen = np.flatnonzero(np.bincount(clock.key[is_put | is_take | is_look]))
    there = _puts(history, clock, values.value.values, put, chosen, np.array(initial, np.int64))
    elements, flaws = _match(history, clock, values.value.values, there, rows)
    elements, flawed = _timely(elements)
    return Gathered(
        clock=clock,
        elements=elements,
        jokers=Jokers(
            row=joker, key=clock.key[joker], start=clock.start(joker), end=clock.end(joker)
        ),
        empties=Empties(
            row=empty, key=clock.key[empty], start=clock.start(empty), end=clock.end(empty)
        ),
        flaws={**flaws, **flawed},
    )


def _puts(
    history: History, clock: Clock, codes: Ints, rows: Ints, keys: Ints, initial: Ints
) -> Puts:
    """The puts of these rows, and one for each initial element of each of these keys."""
    began = (clock.first[keys][:, None] + 1 + np.arange(len(initial))).ravel()
    return Puts(
        row=np.append(np.full(len(began), NOBODY), rows),
        key=np.append(np.repeat(keys, len(initial)), clock.key[rows]),
        code=np.append(np.tile(initial, len(keys)), codes[rows]),
        sure=np.append(np.ones(len(began), np.bool_), history.type[rows] == OK),
        start=np.append(began, clock.start(rows)),
        end=np.append(began, clock.end(rows)),
    )


def numbered(key: Ints, code: Ints) -> tuple[Ints, int]:
    """A number for each (key, code), equal exactly for equal pairs, and how many there may be."""
    if not len(code):
        return np.empty(0, np.int64), 0
    low, high = int(code.min()), int(code.max())
    if (high - low + 1) * (int(key.max()) + 1) <= 4 * len(code) + 1024:
        return key * (high - low + 1) + (code - low), (high - low + 1) * (int(key.max()) + 1)
    names, place = np.unique(code, return_inverse=True)
    pairs, number = np.unique(key * len(names) + place, return_inverse=True)
    return number.astype(np.int64), len(pairs)


def _match(
    history: History, clock: Clock, codes: Ints, puts: Puts, rows: Rows
) -> tuple[Elements, dict[str, Ints]]:
    """Elements by what their operations carry; takes and looks without a put, or too many."""
    others = np.concatenate([rows.takes, rows.looks, rows.failed])
    number, count = numbered(
        np.append(puts.key, clock.key[others]), np.append(puts.code, codes[others])
    )
    cuts = np.cumsum([len(puts.row), len(rows.takes), len(rows.looks)])
    put, take, look, failed = np.split(number, cuts)
    inserted, removed = np.bincount(put, minlength=count), np.bincount(take, minlength=count)
    sure = np.bincount(put[puts.sure], minlength=count)
    seen = removed > 0
    seen[look] = True
    live = (inserted > 0) & ((sure > 0) | seen)
    twice = live & (removed > inserted)
    fail = np.zeros(count, np.bool_)
    fail[failed] = True
    unknown = inserted[np.append(take, look)] == 0
    nowhere, odd = np.append(rows.takes, rows.looks)[unknown], np.append(take, look)[unknown]
    flaws = {
        "thin-air": nowhere[~fail[odd]],
        "aborted": nowhere[fail[odd]],
        "duplicate": surplus(history, rows.takes, take, twice, inserted),
    }
    chosen = np.flatnonzero(live & ~twice)
    place = np.full(count, NOBODY, np.int64)
    place[chosen] = np.arange(len(chosen))
    of_put = _which(puts, put, count)[chosen]
    take_row = np.full(count, NOBODY, np.int64)
    take_row[take] = rows.takes
    take_row = take_row[chosen]
    known = place[look] >= 0
    watchers = rows.looks[known]
    never = clock.last[puts.key[of_put]]
    elements = Elements(
        key=puts.key[of_put],
        code=puts.code[of_put],
        put=puts.row[of_put],
        put_start=puts.start[of_put],
        put_end=puts.end[of_put],
        take=take_row,
        take_start=_or_never(clock.start(take_row[take_row >= 0]), take_row, never),
        take_end=_or_never(clock.end(take_row[take_row >= 0]), take_row, never),
        first_end=never,
        last_start=never,
        repeated=((sure > 1) | ((inserted > 1) & seen))[chosen],
        hopeless=(np.maximum(sure, removed) > 1)[chosen],
        looks=Looks(
            row=watchers,
            element=place[look[known]],
            start=clock.start(watchers),
            end=clock.end(watchers),
        ),
    )
    return elements.with_extremes(), flaws


def _or_never(times: Ints, row: Ints, never: Ints) -> Ints:
    result = never.copy()
    result[row >= 0] = times
    return result


def _which(puts: Puts, number: Ints, count: int) -> Ints:
    """The put of each element; of several a sure one, else the one that began first."""
    chosen = np.full(count, NOBODY, np.int64)
    order = np.arange(len(number))
    if len(number) and int(np.bincount(number).max()) > 1:
        order = np.lexsort((-puts.start, puts.sure))
    chosen[number[order]] = order  # the last one stays
    return chosen


def surplus(history: History, rows: Ints, number: Ints, chosen: Mask, allowed: Ints) -> Ints:
    """Of the `chosen` numbers the rows that are too many: all but the `allowed` first, by end."""
    places = np.flatnonzero(chosen[number])
    if not len(places):
        return np.empty(0, np.int64)
    order = places[np.lexsort((rows[places], history.end_ns[rows[places]], number[places]))]
    name = number[order]
    begin = np.flatnonzero(np.append(True, name[1:] != name[:-1]))
    nth = np.arange(len(order)) - np.repeat(begin, np.diff(np.append(begin, len(order))))
    return rows[order[nth >= allowed[name]]]


def _timely(elements: Elements) -> tuple[Elements, dict[str, Ints]]:
    """Without the elements that were taken or seen before their put began, or seen when taken."""
    looks = elements.looks
    early_take = elements.take_end < elements.put_start
    early_look = looks.end < elements.put_start[looks.element]
    late_look = (looks.start > elements.take_end[looks.element]) & ~early_look
    flawed = early_take.copy()
    flawed[looks.element[early_look | late_look]] = True
    unsure = elements.repeated  # which put, and of which of them the look was, is not known
    rows = {
        "future": np.concatenate(
            [
                elements.take[early_take & ~unsure],
                looks.row[early_look & ~unsure[looks.element]],
            ]
        ),
        "stale": looks.row[late_look & ~unsure[looks.element]],
    }
    elements = replace(elements, hopeless=elements.hopeless | flawed)
    return elements.only(~flawed | unsure), rows
