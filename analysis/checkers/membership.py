"""Can the operations on the elements of a set be ordered? Each element is an object of its own.

An element that is added once and removed once at most goes through three times: away, there, away
again. Let `shown` be the end of the first operation that needs it there (the add, a sighting, the
removal) and `needed` the start of the last one. Its operations have an order exactly if none of
these ended before the add began or began after the removal ended, and no answer "not there" lies
strictly between `shown` and `needed`: else it fits before the add or after the removal (Lee &
Mathur, OOPSLA 2025, arXiv:2410.04581; Abdulla et al., PLDI 2025, doi:10.1145/3729328). An add
without an answer happened if the element was seen; a removal without one then may have.

Elements that were added or removed more often are for the general search, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.checkers.clock import Clock
from analysis.checkers.elements import NOBODY, numbered, surplus
from analysis.checkers.set_answers import Answers
from analysis.history import FAIL, OK, History, Ints, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Sights:
    """Operations on elements, or answers about them: rows, elements, the clock's readings."""

    row: Ints
    element: Ints
    start: Ints
    end: Ints

    def only(self, chosen: Mask | Ints) -> Sights:
        """Some of them."""
        return Sights(
            row=self.row[chosen],
            element=self.element[chosen],
            start=self.start[chosen],
            end=self.end[chosen],
        )

    def and_those(self, others: Sights) -> Sights:
        """These, then others."""
        return Sights(
            row=np.append(self.row, others.row),
            element=np.append(self.element, others.element),
            start=np.append(self.start, others.start),
            end=np.append(self.end, others.end),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deeds:
    """What is said about the elements, each the number of a (key, value).

    `adds` and `removals` are all that may have happened, an initial element's add being NOBODY's.
    `seen` and `unseen` are the answers that an element is there, or not; a whole read has seen
    what it shows, but is not among `unseen`. `read` tells which of `seen` are whole reads.
    """

    key: Ints  # of each element
    code: Ints
    null: Mask
    adds: Sights
    removals: Sights
    seen: Sights
    unseen: Sights
    read: Mask
    failed: Ints  # elements of adds that failed

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What the deeds come to, one cell for each element.

    `present`: it certainly was there once. `simple`: added and removed once at most. `removable`:
    somebody may have removed it. `flaws`: rows that contradict their element's adds and removals
    by themselves; `flawed`: those elements. `false`: which of `unseen` are at a time when the
    element was certainly there.
    """

    present: Mask
    simple: Mask
    removable: Mask
    add_start: Ints
    remove_end: Ints
    shown: Ints
    needed: Ints
    flaws: Mapping[str, Ints]
    flawed: Mask
    false: Mask


def deeds_of(history: History, clock: Clock, asked: Ints, reads: Ints, answers: Answers) -> Deeds:
    """The deeds of the rows `asked` (failed adds among them) and `reads`."""
    keys = np.flatnonzero(np.bincount(clock.key[np.append(asked, reads)]))
    given = len(answers.initial)
    reader = np.repeat(reads, answers.lengths)
    key = np.concatenate([clock.key[asked], clock.key[reader], np.repeat(keys, given)])
    code = np.concatenate([answers.code, answers.listed, np.tile(answers.initial, len(keys))])
    null = np.concatenate(
        [answers.null, answers.listed_null, np.tile(answers.initial_null, len(keys))]
    )
    number, count = numbered(2 * key + null, code)
    used = np.zeros(count, np.bool_)
    used[number] = True
    place = np.cumsum(used) - 1
    element = place[number]
    of_element = np.empty(int(used.sum()), np.int64)
    of_element[element] = np.arange(len(element))
    mine, shown = element[: len(asked)], element[len(asked) : len(asked) + len(reader)]
    there = element[len(asked) + len(reader) :]
    began = clock.first[np.repeat(keys, given)] + 1
    is_add, is_remove = history.f.equals("add")[asked], history.f.equals("remove")[asked]
    kind = history.type[asked]
    no = (kind == OK) & ~answers.yes

    def sights(chosen: Mask) -> Sights:
        rows = asked[chosen]
        return Sights(row=rows, element=mine[chosen], start=clock.start(rows), end=clock.end(rows))

    initial = Sights(row=np.full(len(there), NOBODY), element=there, start=began, end=began)
    seen = sights((kind == OK) & (answers.yes != is_add) & ~is_remove)
    listed = Sights(row=reader, element=shown, start=clock.start(reader), end=clock.end(reader))
    return Deeds(
        key=key[of_element],
        code=code[of_element],
        null=null[of_element],
        adds=sights(is_add & (kind != FAIL) & ~no).and_those(initial),
        removals=sights(is_remove & (kind != FAIL) & ~no),
        seen=seen.and_those(listed),
        unseen=sights(no & ~is_add),
        read=np.append(np.zeros(len(seen.row), np.bool_), np.ones(len(reader), np.bool_)),
        failed=mine[is_add & (kind == FAIL)],
    )


def membership(history: History, clock: Clock, deeds: Deeds) -> Membership:
    """Judge every element by its own operations, and by the whole reads that show it."""
    count, adds, removals, seen = len(deeds), deeds.adds, deeds.removals, deeds.seen
    sure_removal = _sure(history, removals.row)
    may_add = np.bincount(adds.element, minlength=count)
    may_remove = np.bincount(removals.element, minlength=count)
    witnessed = np.zeros(count, np.bool_)
    witnessed[seen.element] = witnessed[removals.element[sure_removal]] = True
    certain = np.zeros(count, np.bool_)
    certain[adds.element[_sure(history, adds.row)]] = True
    present = certain | ((may_add > 0) & witnessed)
    never = clock.last[deeds.key]
    shown, needed = never.copy(), clock.first[deeds.key]
    add_start, remove_end = never.copy(), never.copy()
    add_start[adds.element], remove_end[removals.element] = adds.start, removals.end
    for sights in (adds, removals, seen):
        np.minimum.at(shown, sights.element, sights.end)
        np.maximum.at(needed, sights.element, sights.start)
    needed[may_remove == 0] = never[may_remove == 0]
    simple = ~present | ((may_add <= 1) & (may_remove <= 1))
    flaws, flawed = _flaws(history, deeds, may_add, may_remove, simple, add_start, remove_end)
    known = (simple & present & ~flawed)[deeds.unseen.element]
    unseen = deeds.unseen
    false = known & (unseen.start > shown[unseen.element])
    return Membership(
        present=present,
        simple=simple,
        removable=may_remove > 0,
        add_start=add_start,
        remove_end=remove_end,
        shown=shown,
        needed=needed,
        flaws=flaws,
        flawed=flawed,
        false=false & (unseen.end < needed[unseen.element]),
    )


def _sure(history: History, rows: Ints) -> Mask:
    sure: Mask = (rows == NOBODY) | (history.type[rows] == OK)
    return sure


def _flaws(
    history: History,
    deeds: Deeds,
    may_add: Ints,
    may_remove: Ints,
    simple: Mask,
    add_start: Ints,
    remove_end: Ints,
) -> tuple[dict[str, Ints], Mask]:
    removed = deeds.removals.only(_sure(history, deeds.removals.row))
    needing = deeds.seen.and_those(removed)
    failed = np.zeros(len(deeds), np.bool_)
    failed[deeds.failed] = True
    nowhere = may_add[needing.element] == 0
    once = simple[needing.element] & ~nowhere
    early = once & (needing.end < add_start[needing.element])
    seen = deeds.seen
    late = (simple & (may_remove == 1))[seen.element] & (seen.start > remove_end[seen.element])
    added = deeds.adds.only((deeds.adds.row >= 0) & _sure(history, deeds.adds.row))
    given = np.bincount(deeds.adds.element[deeds.adds.row == NOBODY], minlength=len(deeds))
    room = may_remove + 1 - given  # so many adds may have found that it was not there
    many_removed = (np.bincount(removed.element, minlength=len(deeds)) > may_add) & (may_add > 0)
    many_added = np.bincount(added.element, minlength=len(deeds)) > room
    shown_twice, twice = _twice(deeds)
    flawed = many_removed | many_added
    for sights, chosen in ((needing, nowhere | early), (seen, late)):
        flawed[sights.element[chosen]] = True
    flawed[twice] = True
    return {
        "thin-air": needing.row[nowhere & ~failed[needing.element]],
        "aborted": needing.row[nowhere & failed[needing.element]],
        "future": needing.row[early],
        "repeated": shown_twice,
        "duplicate-remove": surplus(history, removed.row, removed.element, many_removed, may_add),
        "duplicate-add": surplus(history, added.row, added.element, many_added, room),
        "stale": seen.row[late & ~early[: len(seen.row)] & (may_add > 0)[seen.element]],
    }, flawed


def _twice(deeds: Deeds) -> tuple[Ints, Ints]:
    """Whole reads that show an element more than once, and those elements."""
    listed = deeds.seen.only(deeds.read)
    order = np.lexsort((listed.element, listed.row))
    row, element = listed.row[order], listed.element[order]
    again = np.flatnonzero((row[1:] == row[:-1]) & (element[1:] == element[:-1]))
    return row[again], element[again]


def order(deeds: Deeds, found: Membership, chosen: Mask) -> tuple[Ints, Ints, Ints]:
    """(rows, moments, turns) of the operations of these simple elements, in no order yet: sorted by
    moment, at one moment by turn, they have a linear order.

    An answer "not there" comes before the add if it may, as early as may be.
    """
    present = found.present & chosen
    adds = deeds.adds.only(present[deeds.adds.element])
    removals = deeds.removals.only(present[deeds.removals.element])
    seen = deeds.seen.only(present[deeds.seen.element] & ~deeds.read)
    unseen = deeds.unseen.only(chosen[deeds.unseen.element])
    before = ~present[unseen.element] | (unseen.start <= found.shown[unseen.element])
    reached = np.full(len(deeds), np.iinfo(np.int64).min)  # each element's moments so far
    np.maximum.at(reached, unseen.element[before], unseen.start[before])
    np.maximum.at(reached, adds.element, adds.start)
    added = reached[adds.element]
    seen_at = np.maximum(seen.start, reached[seen.element])
    np.maximum.at(reached, seen.element, seen.start)
    np.maximum.at(reached, removals.element, removals.start)
    removed = reached[removals.element]
    unseen_at = np.where(before, unseen.start, np.maximum(unseen.start, reached[unseen.element]))
    rows = np.concatenate([adds.row, seen.row, removals.row, unseen.row])
    at = np.concatenate([added, seen_at, removed, unseen_at])
    kinds = [(adds, 1), (seen, 2), (removals, 3)]
    turns = np.concatenate(
        [*(np.full(len(sights.row), turn) for sights, turn in kinds), np.where(before, 0, 4)]
    )
    return rows[rows >= 0], at[rows >= 0], turns[rows >= 0]
