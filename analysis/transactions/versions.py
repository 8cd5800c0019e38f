"""The versions of keys: who wrote each, who read it, and chains of read and written over.

A transaction that reads a version and writes the key made the next version (else it lost an update,
and no model from parallel snapshot isolation on allows it). Such chains are *blocks*: of two blocks
of a key all of one comes before all of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.history import Ints, Mask
from analysis.transactions.problem import Problem

NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions (*entries*) are numbered like the problem's writes; the initial one of key k is
    writes + k. Blocks are numbered by key.
    """

    problem: Problem
    read: Ints  # (r) the version that each read shows
    own: Ints  # (r) what the reader itself wrote to that key, or NONE
    parent: Ints  # (e) the version that this one replaced, if known
    child: Ints  # (e) the version that replaced it, if known
    block: Ints  # (e) or NONE, of initial versions that nobody read
    head: Ints  # (b) first version
    end: Ints  # (b) last version
    key: Ints  # (b) ascending

    @property
    def writes(self) -> int:
        """How many versions were written; those after are the initial ones."""
        return len(self.problem.writer)

    def initial(self) -> Mask:
        """(b) whether a block begins with the initial version."""
        found: Mask = self.head >= self.writes
        return found

    def lost(self) -> tuple[int, int] | None:
        """Two reads of one version whose readers both wrote the key; None: no update was lost."""
        swaps = np.flatnonzero(self.own >= 0)
        times = np.bincount(self.read[swaps], minlength=1)
        twice = np.flatnonzero(times[self.read[swaps]] > 1)
        if not len(twice):
            return None
        same = swaps[self.read[swaps] == self.read[swaps[twice[0]]]]
        return int(same[0]), int(same[1])

    def key_of(self, entry: int) -> int:
        """The key of a version."""
        writes = self.writes
        return int(self.problem.write_key[entry]) if entry < writes else entry - writes


def versions_of(problem: Problem) -> Versions:
    """All versions; reads-from must have no cycle."""
    keys, writes = problem.keys, len(problem.writer)
    code = problem.writer * keys + problem.write_key
    written = problem.source >= 0
    wanted = problem.source * keys + problem.read_key
    read = np.where(written, np.searchsorted(code, wanted), writes + problem.read_key)
    mine = problem.reader * keys + problem.read_key
    place = np.searchsorted(code, mine)
    there = place < writes
    there[there] &= code[place[there]] == mine[there]
    own = np.where(there, place, NONE)
    parent, child = np.full(writes + keys, NONE), np.full(writes + keys, NONE)
    swaps = np.flatnonzero(there)
    child[read[swaps]] = own[swaps]
    parent[own[swaps]] = read[swaps]
    used = np.ones(writes + keys, np.bool_)
    used[writes:] = False
    used[read[~written]] = True
    root = _roots(parent)
    key_of = np.append(problem.write_key, np.arange(keys))
    heads = np.flatnonzero((parent < 0) & used)
    heads = heads[np.argsort(key_of[heads], kind="stable")]
    number = np.full(writes + keys, NONE)
    number[heads] = np.arange(len(heads))
    block = number[root]
    end = np.full(len(heads), NONE)
    ends = np.flatnonzero((child < 0) & used)
    end[block[ends]] = ends
    return Versions(
        problem=problem,
        read=read,
        own=own,
        parent=parent,
        child=child,
        block=block,
        head=heads,
        end=end,
        key=key_of[heads],
    )


def _roots(parent: Ints) -> Ints:
    """The first of each chain, by doubling."""
    root = np.where(parent >= 0, parent, np.arange(len(parent)))
    while True:
        further = root[root]
        if bool((further == root).all()):
            return root
        root = further
