"""Weak models once more: who sees whom (Cerone, Bernardi & Gotsman 2015), by trying all of it.

Slow and plain, for the test that the graphs of `graphs.py` decide the same. A transaction sees the
commits of some others; what it reads is what the last of those that wrote the key left there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations, product
from typing import Any

from tests.truth.transactions.graphs import acyclic, closure
from tests.truth.transactions.schedules import Runs, State

Relation = tuple[int, ...]  # bit y of the x-th: y sees x


@cache
def partial_orders(size: int) -> tuple[Relation, ...]:
    """All strict partial orders of so many things."""
    if size == 0:
        return ((),)
    found = []
    last = size - 1
    for smaller in partial_orders(last):
        for below, above in product(range(1 << last), repeat=2):
            relation = [to | (below >> x & 1) << last for x, to in enumerate(smaller)] + [above]
            if tuple(closure(relation)) == tuple(relation) and acyclic(relation):
                found.append(tuple(relation))
    return tuple(found)


def _in_session(runs: Runs, precedes: Sequence[Any]) -> list[tuple[int, int]]:
    before = runs.before(precedes)
    return [(x, y) for y, xs in enumerate(before) for x in range(len(before)) if xs >> x & 1]


def parallel(runs: Runs, precedes: Sequence[Any] = ()) -> bool:
    """Some transitive order of who sees whom in which of two that write one key one sees the
    other.
    """
    so, size = _in_session(runs, precedes), len(runs.txns)
    pairs = [
        (x, y) for x in range(size) for y in range(x) if runs.written[x] & runs.written[y]
    ]  # fmt: skip
    for sees in partial_orders(size):
        if not all(sees[x] >> y & 1 for x, y in so):
            continue
        if not all(sees[x] >> y & 1 or sees[y] >> x & 1 for x, y in pairs):
            continue
        if all(_reads(runs, at, _by_key(runs, _seen(sees, at), sees)) for at in _ok(runs)):
            return True
    return False


def _ok(runs: Runs) -> list[int]:
    return [at for at in range(len(runs.txns)) if runs.must >> at & 1]


def _seen(sees: Relation, at: int) -> list[int]:
    return [x for x, to in enumerate(sees) if to >> at & 1]


def _by_key(runs: Runs, seen: list[int], sees: Relation) -> State:
    """What is there after these, each key's writers in the order in which they see each other."""
    state = list(runs.start)
    for x in sorted(seen, key=lambda x: len(_seen(sees, x))):
        _write(runs, x, state, range(len(state)))
    return tuple(state)


def _write(runs: Runs, x: int, state: list[Any], keys: Any) -> None:
    for read, key, value in runs.steps[x]:
        if not read and key in keys:
            state[key] = (*state[key], value) if runs.lists else value


def _reads(runs: Runs, at: int, state: State) -> bool:
    return runs.run(at, state) is not None


def axiomatic(runs: Runs, *, transitive: bool, precedes: Sequence[Any] = ()) -> bool:
    """Some total order of commits and who sees whom in it. Of lists all that stands before the
    last writer that is seen is read, and in the end each read is a beginning of the list.
    """
    size, so = len(runs.txns), _in_session(runs, precedes)
    for order in permutations(range(size)):
        place = {x: n for n, x in enumerate(order)}
        if not all(place[x] < place[y] for x, y in so) or not _beginnings(runs, order):
            continue
        if _some_visibility(runs, order, so, transitive):
            return True
    return False


def _beginnings(runs: Runs, order: Sequence[int]) -> bool:
    state = list(runs.start)
    for x in order if runs.lists else ():
        _write(runs, x, state, range(len(state)))
    return not runs.lists or all(
        state[key][: len(value)] == value
        for at in _ok(runs)
        for read, key, value in runs.steps[at]
        if read
    )


def _some_visibility(
    runs: Runs, order: Sequence[int], so: list[tuple[int, int]], transitive: bool
) -> bool:
    """Each transaction in turn chooses whom it sees of those before it."""

    def go(n: int, sees: list[set[int]]) -> bool:
        if n == len(order):
            return True
        at = order[n]
        for chosen in _subsets(order[:n]):
            if not all(x in chosen for x, y in so if y == at):
                continue
            if transitive and any(sees[x] - chosen for x in chosen):
                continue
            if runs.must >> at & 1 and not _reads(runs, at, _until(runs, order[:n], chosen)):
                continue
            sees[at] = chosen
            if go(n + 1, sees):
                return True
        return False

    return go(0, [set() for _ in order])


def _subsets(whole: Sequence[int]) -> Iterator[set[int]]:
    for bits in range(1 << len(whole)):
        yield {x for n, x in enumerate(whole) if bits >> n & 1}


def _until(runs: Runs, before: Sequence[int], seen: set[int]) -> State:
    """Of each key what there is after its last writer that is seen."""
    state = list(runs.start)
    for key in range(len(state)):
        writers = [x for x in before if key in runs.written[x]]
        last = max((n for n, x in enumerate(writers) if x in seen), default=-1)
        for x in writers[: last + 1]:
            _write(runs, x, state, (key,))
    return tuple(state)
