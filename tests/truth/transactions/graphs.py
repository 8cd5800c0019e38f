"""Models as graphs over all version orders: the words of docs/transactions.md, and no more.

A relation over n transactions is a list of n integers: bit y of the x-th says x before y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise, permutations
from typing import Any, NamedTuple

from tests.truth.transactions.facts import INITIAL, Facts
from tests.truth.transactions.told import LISTS, Txn, earlier, precedes

Relation = list[int]
Fits = Callable[[Relation, Relation], bool]  # of D and rw, whatever is added to them later


class Needs(NamedTuple):
    """What a model takes into account."""

    sessions: bool = False
    realtime: bool = False


def closure(relation: Relation) -> Relation:
    """Transitive closure."""
    reach = list(relation)
    for middle in range(len(reach)):
        bit, beyond = 1 << middle, reach[middle]
        for x, to in enumerate(reach):
            if to & bit:
                reach[x] = to | beyond
    return reach


def acyclic(relation: Relation) -> bool:
    """Whether nothing comes before itself: what nothing comes before is taken away, in turns."""
    left = (1 << len(relation)) - 1
    while left:
        after = 0
        for x, to in enumerate(relation):
            if left >> x & 1:
                after |= to
        if not left & ~after:
            return False
        left &= after
    return True


def both(one: Relation, other: Relation) -> Relation:
    """Their union."""
    return [a | b for a, b in zip(one, other, strict=True)]


def serializable(d: Relation, rw: Relation) -> bool:
    """D ∪ rw has no cycle."""
    return acyclic(both(d, rw))


def snapshot(d: Relation, rw: Relation) -> bool:
    """(D ; rw?) has no cycle."""
    return acyclic([to | _image(rw, to) for to in d])


def parallel(d: Relation, rw: Relation) -> bool:
    """D⁺ ; rw? relates nothing to itself."""
    return not any((to | _image(rw, to)) >> x & 1 for x, to in enumerate(closure(d)))


def _image(relation: Relation, sources: int) -> int:
    found = 0
    for x, to in enumerate(relation):
        if sources >> x & 1:
            found |= to
    return found


def orders(facts: Facts, fits: Fits, needs: Needs) -> bool:
    """Whether some version orders fit; what does not fit is not gone on with."""
    size = len(facts.txns)
    d, rw = given(facts, needs), [0] * size
    for place, reads in enumerate(facts.reads):
        for read in reads:
            if read.writer != INITIAL:
                d[read.writer] |= 1 << place
    return _some(facts, fits, sorted(facts.writers, key=lambda k: len(facts.writers[k])), d, rw)


def given(facts: Facts, needs: Needs) -> Relation:
    """The order of sessions, and real time."""
    return _related(
        facts.txns,
        lambda x, y: (needs.sessions and precedes(x, y)) or (needs.realtime and earlier(x, y)),
    )


def _related(txns: list[Txn], before: Callable[[Txn, Txn], bool]) -> Relation:
    return [sum(1 << at for at, y in enumerate(txns) if before(x, y)) for x in txns]


def _some(facts: Facts, fits: Fits, keys: list[Any], d: Relation, rw: Relation) -> bool:
    if not fits(d, rw):
        return False
    if not keys:
        return True
    key, *rest = keys
    for versions in sequences(facts, key):
        more, against = list(d), list(rw)
        for one, other in combinations(versions, 2):
            if one != other and INITIAL not in (one, other):
                more[one] |= 1 << other
        for reader, reads in enumerate(facts.reads):
            for read in reads:
                if read.key == key:
                    later = versions[_next(facts, versions, read) :]
                    against[reader] |= sum(1 << w for w in set(later) - {reader, INITIAL})
        if _some(facts, fits, rest, more, against):
            return True
    return False


def _next(facts: Facts, versions: list[int], read: Any) -> int:
    """The place of the first version later than the one read."""
    if facts.told.kind == LISTS:
        return int(read.length)
    return 0 if read.writer == INITIAL else versions.index(read.writer) + 1


def sequences(facts: Facts, key: Any) -> Iterator[list[int]]:
    """All orders that the versions of a key may have, each told by its writers."""
    lists = facts.told.kind == LISTS
    shown = facts.shown.get(key, []) if lists else []
    free = facts.unshown(key) if lists else facts.writers[key]
    if facts.fixed is not None:
        yield [*shown, *sorted(free, key=facts.fixed.__getitem__)]
        return
    for rest in permutations(free):
        yield [*shown, *rest]


def committed_read(facts: Facts) -> bool:
    """Whether ww ∪ wr has no cycle, for some version order."""
    return orders(facts, lambda d, _: acyclic(both(d, facts.order)), Needs())


def uncommitted_read(facts: Facts, needs: Needs) -> bool:
    """Whether ww (and the order of sessions, where it counts) has no cycle."""
    if facts.told.kind != LISTS:
        return acyclic(both(given(facts, needs), facts.order))  # versions in the order of commits
    return acyclic(both(versions(facts, given(facts, needs)), facts.order))


def versions(facts: Facts, relation: Relation) -> Relation:
    """The relation with ww of lists, as far as reads show it."""
    relation = list(relation)
    for key in facts.writers:
        shown = [place for place in facts.shown.get(key, ()) if place != INITIAL]
        for one, other in pairwise(shown):
            relation[one] |= (one != other) << other
        for other in facts.unshown(key) if shown else ():
            relation[shown[-1]] |= (shown[-1] != other) << other
    return relation


def axiom(facts: Facts, model: str, needs: Needs) -> bool:
    """Whether there is a total order of commits: T2 before T1 wherever T3 reads k from T1, T2
    wrote k and T3 sees T2.
    """
    so = given(facts, Needs(sessions=model == "causal" or needs.sessions))
    order = list(so) if facts.told.kind != LISTS else versions(facts, so)
    wr = list(so)
    for reader, reads in enumerate(facts.reads):
        for read in reads:
            if read.writer != INITIAL:
                wr[read.writer] |= 1 << reader
    order = both(order, wr)
    sees = closure(wr) if model == "causal" else wr
    for reader, reads in enumerate(facts.reads):
        for read in reads:
            seen = {x for x, to in enumerate(sees) if to >> reader & 1}
            if model == "read-committed":
                seen = {r.writer for r in reads if r.at < read.at}
            for other in seen.intersection(facts.writers.get(read.key, ())) - {read.writer, reader}:
                if read.writer == INITIAL:
                    return False
                order[other] |= 1 << read.writer
    return acyclic(both(order, facts.order))
