"""Why a queue or a stack has no linear order: the fewest elements that show it, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.elements import NOBODY, Elements, Empties, Gathered
from analysis.checkers.presence import fewest as fewest_present
from analysis.checkers.prose import Teller, short
from analysis.checkers.sequences import Discipline, Settled, fewest, test
from analysis.checkers.stories import Story
from analysis.history import FAIL, History, Ints, Mask
from analysis.values import Values


@dataclass(frozen=True, slots=True)
class Ground:
    """What stories are told of."""

    history: History
    values: Values
    gathered: Gathered
    settled: Settled
    discipline: Discipline
    meter: Meter

    def tell(self, *rows: int) -> Teller:
        """Words for these rows."""
        return Teller(self.history, [row for row in rows if row >= 0])

    def same(self, row: int, word: int, *, failed: bool = False) -> Ints:
        """The rows of this kind with the same element as `row`, by their start."""
        history, key = self.history, self.gathered.clock.key
        chosen = history.f.equals(self.discipline.words[word]) & (key == key[row])
        chosen &= self.values.value.valid & (
            self.values.value.values == self.values.value.values[row]
        )
        chosen &= (history.type == FAIL) == failed
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(history.start_ns[rows], kind="stable")]

    def story(
        self, rows: Iterable[int], argument: str, carriers: Sequence[int], *, empty: bool = False
    ) -> Story:
        """A story whose claim is that what carries the same as `carriers` has no order."""
        codes = self.values.value.values[np.array(carriers, np.int64)]
        key = int(self.gathered.clock.key[carriers[0]])
        return self.claimed(rows, argument, key, codes, empty=empty)

    def claimed(
        self, rows: Iterable[int], argument: str, key: int, codes: Ints, *, empty: bool = False
    ) -> Story:
        """A story whose claim is that these elements of a key have no order."""
        names: list[Any] = [self.values.content(int(code)) for code in dict.fromkeys(codes)]
        operations = tuple(dict.fromkeys(int(row) for row in rows if row >= 0))
        return Story(
            instances=np.array(operations[-1:], np.int64),
            operations=operations,
            argument=argument,
            claim={
                "kind": "no-order",
                "model": self.discipline.name,
                "key": self.gathered.clock.names[key],
                "values": [*names, None] if empty else names,
            },
        )

    def searched(self, key: int, until: int | None) -> Story:
        """What the general search found: no order of what began before `until` ended."""
        assert until is not None
        tell = self.tell(until)
        argument = (
            f"{tell.did(until)}; the operations that began before that ended have no linear "
            "order: each one was tried"
        )
        claim = {
            "kind": "no-order",
            "model": self.discipline.name,
            "key": self.gathered.clock.names[key],
            "until": until,
        }
        return Story(
            name="non-linearizable",
            count=1,
            instances=np.array([until]),
            operations=(until,),
            argument=argument,
            claim=claim,
        )

    def name(self, elements: Elements, place: int) -> str:
        """An element in words."""
        return short(self.values.content(int(elements.code[place])))

    def first_shown(self, elements: Elements, place: int) -> int:
        """The operation of an element that ended first; NOBODY: it was there at first."""
        return _extreme(elements, place, elements.put_end, elements.take_end, last=False)

    def first_at_head(self, elements: Elements, place: int) -> int:
        """The take of an element or the look at it that ended first."""
        return _extreme(elements, place, elements.take_end, elements.take_end, last=False)

    def last_needed(self, elements: Elements, place: int) -> int:
        """The operation of an element that began last; NOBODY: nobody took it."""
        return _extreme(elements, place, elements.put_start, elements.take_start, last=True)

    def every(self, elements: Elements) -> list[int]:
        """All rows of some elements, by their start."""
        rows = np.concatenate([elements.put, elements.take, elements.looks.row])
        rows = np.unique(rows[rows >= 0])
        return [int(row) for row in rows[np.argsort(self.history.start_ns[rows], kind="stable")]]


def _extreme(elements: Elements, place: int, put: Ints, take: Ints, *, last: bool) -> int:
    looks = elements.looks
    mine = np.flatnonzero(looks.element == place)
    times = np.append([take[place], put[place]], (looks.start if last else looks.end)[mine])
    rows = np.append([elements.take[place], elements.put[place]], looks.row[mine])
    return int(rows[np.argmax(times) if last else np.argmin(times)])


def broken_stories(ground: Ground) -> list[Story]:
    """Keys whose elements cannot be ordered, or were there when the answer was "empty"."""
    settled, stories = ground.settled, []
    broken, bare = settled.broken, settled.bare
    stuck = broken.stuck
    if ground.discipline.name == "queue":
        stories += _queue_stories(ground, bare, stuck)
    elif stuck.any():
        stories.append(_stack_story(ground, bare, stuck, broken.arranged.span))
    if broken.late.any():
        stories.append(_false_empty(ground))
    order = ["lost-element", "out-of-order", "false-empty", "non-linearizable"]
    return sorted(stories, key=lambda story: order.index(story.name))


def _false_empty(ground: Ground) -> Story:
    """The first answer "empty" that came too late, and the fewest elements there meanwhile."""
    broken, gathered = ground.settled.broken, ground.gathered
    empties = broken.empties.only(broken.late)
    first = int(np.argmin(ground.history.end_ns[empties.row]))
    row, start, end = (int(a[first]) for a in (empties.row, empties.start, empties.end))
    mine = broken.elements.only(broken.elements.key == empties.key[first])
    chain = fewest_present(start, end, mine.shown, mine.needed)
    there = mine.only(np.array(chain, np.int64))
    if np.isin(empties.key[first], gathered.jokers.key):
        alone = empties.only(np.array([first]))
        bare = ground.settled.bare
        bare = bare.only(bare.key == empties.key[first])
        there = fewest(bare, lambda some: _misses(ground, some, alone))
    rows: list[int] = []
    for place in range(len(there)):
        rows += [ground.first_shown(there, place), ground.last_needed(there, place)]
    tell = ground.tell(*rows, row)
    parts = [_presence(ground, there, place, tell) for place in range(len(there))]
    argument = f"{tell.did(row)}, although there was always something: {'; '.join(parts)}"
    story = ground.claimed([*rows, row], argument, int(empties.key[first]), there.code, empty=True)
    return story.named("false-empty", empties.row)


def _misses(ground: Ground, elements: Elements, empties: Empties) -> bool:
    """Whether these elements cannot have been away when these answers were given."""
    ground.meter.in_time()
    guess = ground.discipline.guesses[0]
    guessed = guess(elements, ground.gathered.jokers, empties, ground.meter)
    tried = test(guessed, empties, ground.discipline)
    return len(tried.bad) > 0


def _presence(ground: Ground, elements: Elements, place: int, tell: Teller) -> str:
    """From when to when an element was certainly there."""
    shown, needed = ground.first_shown(elements, place), ground.last_needed(elements, place)
    name = ground.name(elements, place)
    begin = f"{name} was there at first" if shown == NOBODY else tell.done(shown)
    if needed == NOBODY:
        return f"{begin}, and nobody is known to have taken {name} out"
    return f"{begin}, and {tell.began(needed)}"


def _stack_story(ground: Ground, bare: Elements, stuck: Mask, span: Ints) -> Story:
    """The first span in which no element can lie below the others."""
    places = np.flatnonzero(stuck)
    places = places[np.argsort(bare.needed[places], kind="stable")]
    spans, first = np.unique(span[places], return_index=True)
    chosen = bare.only(span == span[places[0]])
    there = fewest(chosen, lambda some: _cannot(ground, some))
    rows = ground.every(there)
    tell = ground.tell(*rows)
    begin, end = int(np.argmin(there.shown)), int(np.argmax(there.needed))
    reasons = [_above(ground, there, place, begin, end, tell) for place in range(len(there))]
    argument = (
        f"one of these elements must lie below the others, but none can: {'; '.join(reasons)}"
    )
    story = ground.claimed(rows, argument, int(there.key[0]), there.code)
    places = places[first]
    instances = np.where(bare.take[places] >= 0, bare.take[places], bare.put[places])
    return replace(story.named("out-of-order", instances), count=len(spans))


def _cannot(ground: Ground, elements: Elements) -> bool:
    """Whether these elements, by themselves, have no order."""
    none = ground.settled.broken.empties.only(np.empty(0, np.int64))
    return _misses(ground, elements, none)


def _above(ground: Ground, there: Elements, place: int, begin: int, end: int, tell: Teller) -> str:
    """Why an element cannot lie below the others, of which `begin` shows first, `end` goes last."""
    name = ground.name(there, place)
    if there.put_start[place] > there.shown[begin]:
        first = ground.first_shown(there, begin)
        before = f"after {tell.done(first)}" if first >= 0 else "after others"
        return f"{tell.began(int(there.put[place]))}, {before}"
    if there.take_end[place] < there.needed[end]:
        last = ground.last_needed(there, end)
        after = (
            f"before {tell.began(last)}"
            if last >= 0
            else (f"but nobody took {ground.name(there, end)}")
        )
        return f"{tell.done(int(there.take[place]))}, {after}"
    looks = there.looks
    mine = [int(row) for row in looks.row[looks.element == place]]
    seen = " and ".join(tell.did(row) for row in mine[:2])
    return f"{seen}, when something certainly lay above {name}"


def _queue_stories(ground: Ground, bare: Elements, stuck: Mask) -> list[Story]:
    """Elements that overtook others, elements overtaken that never came, and what is left."""
    bare = bare.only(np.isin(bare.key, np.unique(bare.key[stuck])))
    if not len(bare):
        return []
    joking = np.isin(bare.key, ground.gathered.jokers.key)
    taken = bare.take >= 0
    stories = []
    order = np.argsort(bare.put_end, kind="stable")
    before = np.append(0, np.maximum.accumulate(np.where(taken, bare.last_start, -1)[order]))
    latest = before[np.searchsorted(bare.put_end[order], bare.put_start, side="left")]
    over = np.flatnonzero(taken & (bare.first_end < latest))
    newest = np.full(int(bare.key.max()) + 1, -1)
    np.maximum.at(newest, bare.key[taken], bare.put_start[taken])
    lost = np.flatnonzero(~taken & ~joking & (bare.put_end < newest[bare.key]))
    if len(lost):
        stories.append(_lost(ground, bare, lost, newest))
    if len(over):
        stories.append(_overtaken(ground, bare, over))
    told = np.union1d(bare.key[lost], bare.key[over])
    rest = np.setdiff1d(bare.key, told)
    return stories + _other_stories(ground, bare.only(np.isin(bare.key, rest)))


def _lost(ground: Ground, bare: Elements, lost: Ints, newest: Ints) -> Story:
    a = int(lost[np.argmin(bare.put_end[lost])])
    later = (bare.take >= 0) & (bare.put_start == newest[bare.key[a]]) & (bare.key == bare.key[a])
    b = int(np.argmax(later))
    tell = ground.tell(int(bare.put[a]), int(bare.put[b]), int(bare.take[b]))
    put = int(bare.put[a])
    first = f"{ground.name(bare, a)} was there at first" if put < 0 else tell.done(put)
    argument = (
        f"{first}, {tell.began(int(bare.put[b]))}, and {tell.did(int(bare.take[b]))}; but nobody "
        f"ever took {ground.name(bare, a)} out, which came before"
    )
    rows = [put, int(bare.put[b]), int(bare.take[b])]
    story = ground.claimed(rows, argument, int(bare.key[a]), bare.code[[a, b]])
    named = story.named("lost-element", np.where(bare.put[lost] < 0, rows[2], bare.put[lost]))
    return replace(named, count=len(lost))


def _overtaken(ground: Ground, bare: Elements, over: Ints) -> Story:
    b = int(over[np.argmin(bare.first_end[over])])
    rivals = (bare.put_end < bare.put_start[b]) & (bare.take >= 0) & (bare.key == bare.key[b])
    a = int(np.argmax(np.where(rivals, bare.last_start, -1)))
    early, late = ground.first_at_head(bare, b), ground.last_needed(bare, a)
    put_a, put_b = int(bare.put[a]), int(bare.put[b])
    tell = ground.tell(put_a, put_b, early, late)
    first = f"{ground.name(bare, a)} was there at first" if put_a < 0 else tell.done(put_a)
    second = f"before {tell.began(put_b)}" if put_b >= 0 else "before the rest"
    argument = f"{first}, {second}, but {tell.done(early)}, before {tell.began(late)}"
    story = ground.claimed(
        [put_a, put_b, early, late], argument, int(bare.key[a]), bare.code[[a, b]]
    )
    return story.named("out-of-order", bare.take[over])


def _other_stories(ground: Ground, bare: Elements) -> list[Story]:
    """Keys of which neither is true: jokers could not take what is missing, or looks differ."""
    stories = []
    for key in np.unique(bare.key).tolist():
        there = fewest(bare.only(bare.key == key), lambda some: _cannot(ground, some))
        missing = there.put[(there.take == NOBODY) & np.isin(key, ground.gathered.jokers.key)]
        rows = ground.every(there)
        tell = ground.tell(*rows)
        done = "; ".join(tell.did(row) for row in rows)
        argument, name = f"{done}: no order of these is first in, first out", "non-linearizable"
        if len(missing):
            argument = (
                f"{argument}, for too few of the dequeues without an answer had begun to have "
                "taken what is missing"
            )
            name = "lost-element"
        story = ground.claimed(rows, argument, key, there.code)
        stories.append(story.named(name, missing if len(missing) else np.array(rows[-1:])))
    return stories
