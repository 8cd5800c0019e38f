"""What is wrong with a set, in words and as claims."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.clock import Clock
from analysis.checkers.membership import Deeds, Membership, Sights
from analysis.checkers.prose import Teller, short
from analysis.checkers.set_answers import Answers
from analysis.checkers.stories import Story
from analysis.history import FAIL, INFO, OK, History, Ints


class SetTeller(Teller):
    """Tells operations on sets, with their answers."""

    def __init__(self, history: History, rows: Iterable[int], element: Any) -> None:
        super().__init__(history, rows)
        self._types, self._element = history.type, short(element)

    def value(self, row: int) -> str:
        """The element that all is about."""
        return self._element

    def did(self, row: int) -> str:
        """A whole clause with place and time."""
        history = self._history
        f, element, key = str(history.f.at(row)), self._element, history.key.at(row) or "the set"
        content = history.content(row)
        no = isinstance(content, list) and len(content) == 2 and content[1] is False
        no = no and bool(history.type[row] == OK)
        start, end = self.at(int(history.start_ns[row])), self.at(int(history.end_ns[row]))
        when = f"between {start} and {end}"
        if f == "read":
            has = element in [short(shown) for shown in content or []]
            return f"{self.who(row)} read {key} {'with' if has else 'without'} {element} {when}"
        if history.type[row] == INFO:
            when = f"at {start} (and never learned whether it happened)"
        if history.type[row] == FAIL:
            when = f"between {start} and {end} (and was told that it failed)"
        said = {
            ("add", False): f"added {element} to {key}",
            ("add", True): f"was told that {element} was in {key} already",
            ("remove", False): f"removed {element} from {key}",
            ("remove", True): f"was told that there was no {element} in {key} to remove",
            ("contains", False): f"found {element} in {key}",
            ("contains", True): f"was told that {element} was not in {key}",
        }
        return f"{self.who(row)} {said[(f, no)]} {when}"


@dataclass(frozen=True, slots=True)
class SetGround:
    """What stories are told of. `missing`: (read, element) → of what whole reads lack."""

    history: History
    clock: Clock
    answers: Answers
    deeds: Deeds
    found: Membership
    reads: Ints
    missing: list[tuple[int, int]] = field(default_factory=list)

    def content(self, element: int) -> Any:
        """An element as JSON."""
        return self.answers.content(int(self.deeds.code[element]), bool(self.deeds.null[element]))

    def tell(self, element: int, *rows: int) -> SetTeller:
        """Words for these rows, which are about an element."""
        return SetTeller(self.history, [row for row in rows if row >= 0], self.content(element))

    def story(self, element: int, rows: Iterable[int], argument: str) -> Story:
        """A story whose claim is that the operations on an element have no order."""
        operations = tuple(dict.fromkeys(int(row) for row in rows if row >= 0))
        return Story(
            instances=np.array(operations[-1:], np.int64),
            operations=operations,
            argument=argument,
            claim={
                "kind": "no-order",
                "model": "set",
                "key": self.clock.names[int(self.deeds.key[element])],
                "values": [self.content(element)],
            },
        )

    def unordered(self, element: int, rows: Ints) -> Story:
        """What the general search found about one element."""
        rows = rows[np.argsort(self.history.start_ns[rows], kind="stable")]
        tell = self.tell(element, *rows[:6].tolist())
        done = "; ".join(tell.did(int(row)) for row in rows[:6])
        more = f"; and {len(rows) - 6} more" if len(rows) > 6 else ""
        argument = f"{done}{more}: these have no linear order, each one was tried"
        story = self.story(element, rows[:6].tolist(), argument)
        return story.named("non-linearizable", story.instances)

    def searched(self, key: int, until: int | None) -> Story:
        """What the general search found about a set that was read as a whole."""
        assert until is not None
        tell = Teller(self.history, [until])
        argument = (
            f"the operations that began before {tell.who(until)}'s {self.history.f.at(until)} "
            f"ended at {tell.at(int(self.history.end_ns[until]))} have no linear order: each one "
            "was tried"
        )
        return Story(
            name="non-linearizable",
            count=1,
            instances=np.array([until]),
            operations=(until,),
            argument=argument,
            claim={
                "kind": "no-order",
                "model": "set",
                "key": self.clock.names[key],
                "until": until,
            },
        )

    def first_shown(self, element: int) -> int:
        """The operation that ended first of those that need the element; -1: it was there."""
        return self._extreme(element, last=False)

    def last_needed(self, element: int) -> int:
        """The one that began last."""
        return self._extreme(element, last=True)

    def _extreme(self, element: int, *, last: bool) -> int:
        deeds = self.deeds
        rows, times = [], []
        for sights in (deeds.adds, deeds.removals, deeds.seen):
            mine = np.flatnonzero(sights.element == element)
            rows.append(sights.row[mine])
            times.append((sights.start if last else sights.end)[mine])
        time, row = np.concatenate(times), np.concatenate(rows)
        return int(row[np.argmax(time) if last else np.argmin(time)])


def misses(ground: SetGround, meter: Meter) -> list[tuple[int, int]]:
    """(read, element) of what whole reads lack, though it was certainly there."""
    deeds, found = ground.deeds, ground.found
    known = np.flatnonzero(found.present & found.simple & ~found.flawed)
    shown, needed, key = found.shown[known], found.needed[known], deeds.key[known]
    place = np.full(len(deeds), -1)
    place[known] = np.arange(len(known))
    listed = deeds.seen.only(deeds.read)
    shown_by = np.split(listed.element, np.cumsum(ground.answers.lengths))[:-1]
    for row, elements in zip(ground.reads.tolist(), shown_by, strict=True):
        meter.spend(1 + len(known) // 64)
        rows = np.array([row])
        start, end = ground.clock.start(rows)[0], ground.clock.end(rows)[0]
        lacking = (shown < start) & (needed > end) & (key == ground.clock.key[row])
        lacking[place[elements][place[elements] >= 0]] = False
        ground.missing.extend((row, int(element)) for element in known[lacking])
    return ground.missing


def stories_of(ground: SetGround, missing: list[tuple[int, int]]) -> list[Story]:
    """Everything that is wrong with single elements."""
    tellers = (
        ("thin-air", "thin-air-element", _thin_air),
        ("aborted", "aborted-element", _aborted),
        ("future", "future-element", _future),
        ("repeated", "repeated-element", _repeated),
        ("duplicate-remove", "duplicate-remove", _too_many_removals),
        ("duplicate-add", "duplicate-add", _too_many_adds),
        ("stale", "stale-element", _stale),
    )
    stories = []
    for flaw, name, tell in tellers:
        rows = ground.found.flaws[flaw]
        if len(rows):
            first = int(rows[np.argmin(ground.history.end_ns[rows])])
            stories.append(tell(ground, first).named(name, rows))
    unseen = ground.deeds.unseen.only(ground.found.false)
    row = np.append(unseen.row, [row for row, _ in missing]).astype(np.int64)
    element = np.append(unseen.element, [element for _, element in missing]).astype(np.int64)
    gone = ground.found.removable[element]
    for name, chosen in (("lost-element", ~gone), ("missed-element", gone)):
        if chosen.any():
            places = np.flatnonzero(chosen)
            first = int(places[np.argmin(ground.history.end_ns[row[places]])])
            story = _absent(ground, int(row[first]), int(element[first]))
            stories.append(story.named(name, row[chosen]))
    return stories


def _about(ground: SetGround, row: int, suits: Any) -> int:
    """The element that a flaw is about: of a whole read one of several."""
    deeds = ground.deeds
    for sights in (deeds.seen, deeds.removals, deeds.adds):
        for element in sights.element[sights.row == row].tolist():
            if suits(element):
                return int(element)
    raise AssertionError(f"operation {row} shows no such element")


def _of(sights: Sights, element: int) -> list[int]:
    rows = sights.row[sights.element == element]
    return [int(row) for row in rows if row >= 0]


def _thin_air(ground: SetGround, row: int) -> Story:
    tried = np.append(ground.deeds.adds.element, ground.deeds.failed)
    element = _about(ground, row, lambda e: not np.any(tried == e))
    tell = ground.tell(element, row)
    argument = f"{tell.did(row)}, but no client ever tried to add {tell.value(row)}"
    return ground.story(element, [row], argument)


def _aborted(ground: SetGround, row: int) -> Story:
    deeds = ground.deeds
    element = _about(
        ground,
        row,
        lambda e: np.any(deeds.failed == e) and not np.any(deeds.adds.element == e),
    )
    history = ground.history
    tried = np.flatnonzero(history.f.equals("add") & (history.type == FAIL))
    tried = tried[ground.clock.key[tried] == ground.clock.key[row]]
    content = ground.content(element)
    add = next(r for r in tried.tolist() if _carries(ground, r, content))
    tell = ground.tell(element, row, add)
    argument = f"{tell.did(row)}, but {tell.did(add)}, and nobody else tried"
    return ground.story(element, [add, row], argument)


def _carries(ground: SetGround, row: int, content: Any) -> bool:
    carried = ground.history.content(row)
    if isinstance(carried, list) and len(carried) == 2 and isinstance(carried[1], bool):
        carried = carried[0]
    return type(carried) is type(content) and bool(carried == content)


def _future(ground: SetGround, row: int) -> Story:
    deeds, found = ground.deeds, ground.found
    ended = int(ground.clock.end(np.array([row]))[0])
    element = _about(ground, row, lambda e: _of(deeds.adds, e) and ended < found.add_start[e])
    add = _of(deeds.adds, element)[0]
    tell = ground.tell(element, row, add)
    argument = f"{tell.did(row)}, but {tell.began(add)}, after that had ended"
    return ground.story(element, [row, add], argument)


def _repeated(ground: SetGround, row: int) -> Story:
    listed = ground.deeds.seen.only(ground.deeds.read)
    elements, counts = np.unique(listed.element[listed.row == row], return_counts=True)
    element = int(elements[np.argmax(counts > 1)])
    tell = ground.tell(element, row)
    argument = f"{tell.did(row)}, more than once"
    return ground.story(element, [*_of(ground.deeds.adds, element)[:1], row], argument)


def _too_many_removals(ground: SetGround, row: int) -> Story:
    return _too_many(ground, row, "remove")


def _too_many_adds(ground: SetGround, row: int) -> Story:
    return _too_many(ground, row, "add")


def _too_many(ground: SetGround, row: int, f: str) -> Story:
    deeds, history = ground.deeds, ground.history
    mine, others = deeds.adds, deeds.removals
    if f == "remove":
        mine, others = others, mine
    element = int(mine.element[mine.row == row][0])
    rows = [r for r in _of(mine, element) if history.type[r] == OK]
    rows.sort(key=lambda r: (history.end_ns[r], r))
    rows, between = rows[: rows.index(row) + 1], _of(others, element)
    tell = ground.tell(element, *rows, *between)
    done = ", and ".join(tell.did(r) for r in rows)
    other = "added" if f == "remove" else "removed"
    times = len(others.row[others.element == element])
    often = "once only" if times == 1 else f"{times} times at most"
    never = f"nobody ever tried to {'add' if f == 'remove' else 'remove'} {tell.value(row)}"
    argument = f"{done}; but {f'{tell.value(row)} was {other} {often}' if times else never}"
    return ground.story(element, [*between, *rows], argument)


def _stale(ground: SetGround, row: int) -> Story:
    found, deeds = ground.found, ground.deeds
    start = int(ground.clock.start(np.array([row]))[0])
    element = _about(ground, row, lambda e: found.simple[e] and start > found.remove_end[e])
    removal = _of(deeds.removals, element)[0]
    tell = ground.tell(element, row, removal)
    argument = f"{tell.did(row)}, although {tell.done(removal)}, before that began"
    return ground.story(element, [*_of(deeds.adds, element), removal, row], argument)


def _absent(ground: SetGround, row: int, element: int) -> Story:
    first, last = ground.first_shown(element), ground.last_needed(element)
    tell = ground.tell(element, row, first, last)
    name = tell.value(row)
    begin = tell.done(first) if first >= 0 else f"{name} was there at first"
    end = f"nobody ever tried to remove {name}"
    if ground.found.removable[element]:
        end = f"{tell.began(last)} only after that had ended"
    argument = f"{tell.did(row)}, although {begin}, before that began, and {end}"
    adds, removals = _of(ground.deeds.adds, element), _of(ground.deeds.removals, element)
    return ground.story(element, [*adds, first, last, *removals, row], argument)
