"""Searches a serial order of programs, one operation after another, nearest to real time first.

An observation that is possible now is put into the order at once: it changes nothing, so sooner is
never worse. So only writes and cas are choices. A write is no choice while an operation that must
see the current value is still to come, nor if what its block waits for could then never happen. One
that need not have happened is one only right before an observation of its value that is ready.
What has failed is remembered by what was done and what each key held; to have used more of what
need not have happened is never better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.precedence import Blocks
from analysis.checkers.programs import Programs
from analysis.checkers.saturation import adjacency, members
from analysis.history import Ints


def search(
    programs: Programs,
    blocks: Blocks,
    edges: Ints,
    before: Sequence[int],
    moment: Ints,
    meter: Meter,
) -> Ints | None:
    """Nodes in a serial order, all but some of the optional ones; None: there is none.

    `edges`: what must come before what, of nodes and then ends of blocks, without a cycle;
    `before`: what comes before each of them, as bits, or nothing. `moment`: when each node is
    tried. A step of the meter is a node put into the order, or looked at in vain. Exhausted when it
    runs out.
    """
    return _Walk(programs, blocks, edges, before, moment, meter).run()


class _Walk:
    """Depth first, with a stack of choices; everything done can be undone."""

    def __init__(
        self,
        programs: Programs,
        blocks: Blocks,
        edges: Ints,
        before: Sequence[int],
        moment: Ints,
        meter: Meter,
    ) -> None:
        self._meter = meter
        self._count = len(programs)
        nodes = self._count + len(blocks)
        first, after = adjacency(nodes, edges)
        self._first, self._after = first.tolist(), after.tolist()
        self._waiting = np.bincount(edges[:, 1], minlength=nodes).tolist()
        self._key: list[int] = programs.key.tolist()
        self._written: list[int] = programs.written.tolist()
        self._seen: list[int] = programs.seen.tolist()
        self._moment = moment.tolist()
        self._state: list[int] = programs.initial.tolist()  # per key: the number of the value there
        self._of: list[int] = blocks.of.tolist()
        self._optional = programs.optional.tolist()
        self._left = self._count - sum(self._optional)
        initial = {int(k): b for b, k in enumerate(blocks.key) if blocks.head[b] < 0}
        self._block = [initial.get(key, -1) for key in range(len(programs.initial))]
        self._key_of: list[int] = blocks.key.tolist()
        self._ended = [False] * len(blocks)
        self._before = before
        self._members, self._on_key = members(programs, blocks) if before else ([], [])
        self._held = {key: block for key, block in enumerate(self._block) if block >= 0}
        self._ready: set[int] = set()
        self._order: list[int] = []
        self._done = 0  # bits
        self._undo: list[tuple[int, int, int]] = []  # node, the state and block of its key before
        self._spare = _Spare(programs)
        numbers = (programs.written, programs.seen, programs.initial)
        values = 1 + max(int(number.max(initial=0)) for number in numbers)
        self._wanted, self._writers = [0] * values, [0] * values  # still to come, of each value
        for node, (written, seen) in enumerate(zip(self._written, self._seen, strict=True)):
            self._writers[written] += written >= 0
            self._wanted[seen] += seen >= 0 and not self._optional[node]

    def run(self) -> Ints | None:
        """All nodes in order, or None."""
        for node in [n for n, waiting in enumerate(self._waiting) if not waiting]:
            self._release(node)
        stack: list[tuple[int, list[int]]] = []
        self._observe()
        choices = self._choices()
        while self._left:
            if choices:
                node = choices.pop()
                if not self._can_end(node):
                    continue
                stack.append((len(self._undo), choices))
                self._meter.spend()
                self._put(node)
                self._observe()
                failed = self._spare.failed(self._done, tuple(self._state))
                choices = [] if failed else self._choices()
                continue
            self._spare.fail(self._done, tuple(self._state))
            if not stack:
                return None
            until, choices = stack.pop()
            while len(self._undo) > until:
                self._take_back()
        return np.array(self._order, np.int64)

    def _choices(self) -> list[int]:
        """Writes and cas that are possible now, the one to try first last."""
        self._meter.spend(len(self._ready))
        asked = {self._seen[node] for node in self._ready} - {-1}
        found: list[int] = []
        alike: dict[tuple[int, int], int] = {}
        for node in self._ready:
            written, seen = self._written[node], self._seen[node]
            if written < 0 or not self._possible(node) or not self._open(node):
                continue
            if not self._optional[node]:
                found.append(node)
            elif written in asked and written != seen:
                alike.setdefault((written, seen), node)
        found += alike.values()
        found.sort(key=lambda node: (-self._moment[node], -node))
        return found

    def _possible(self, node: int) -> bool:
        return self._seen[node] < 0 or self._seen[node] == self._state[self._key[node]]

    def _open(self, node: int) -> bool:
        """Whether nobody who must see what the key holds is still to come, or another writes it."""
        held = self._state[self._key[node]]
        own = self._seen[node] == held and not self._optional[node]
        if self._wanted[held] > own and not self._writers[held]:
            return False
        block = self._block[self._key[node]]
        return block < 0 or block == self._of[node] or self._ended[block]

    def _can_end(self, node: int) -> bool:
        """Whether the block of a write can end: what that waits for comes before every other
        block of its key, and may in turn have to wait for the end of what other keys hold.
        """
        if not self._before:
            return True
        mine, key = self._of[node], self._key[node]
        others = self._on_key[key] & ~self._members[mine]
        needed, asked, known = 0, [mine], {mine}
        while asked:
            self._meter.spend()
            needed |= self._before[self._count + asked.pop()] & ~self._done
            if needed & others:
                return False
            for other, held in self._held.items():
                waits = needed & self._on_key[other] & ~self._members[held]
                if other != key and held not in known and waits:
                    known.add(held)
                    asked.append(held)
        return True

    def _observe(self) -> None:
        """Put every observation into the order that is possible now."""
        again = True
        while again:
            again = False
            for node in sorted(n for n in self._ready if self._written[n] < 0):
                if self._possible(node):
                    self._meter.spend()
                    self._put(node)
                    again = True

    def _put(self, node: int) -> None:
        key = self._key[node]
        self._undo.append((node, self._state[key], self._block[key]))
        self._order.append(node)
        self._done |= 1 << node
        self._count_off(node, -1)
        self._ready.discard(node)
        if self._written[node] >= 0:
            self._state[key] = self._written[node]
            self._block[key] = self._of[node]
            self._hold(key)
        for place in range(self._first[node], self._first[node + 1]):
            after = self._after[place]
            self._waiting[after] -= 1
            if not self._waiting[after]:
                self._release(after)

    def _count_off(self, node: int, change: int) -> None:
        """A node less is still to come, or one more."""
        must = not self._optional[node]
        self._left += change * must
        if self._written[node] >= 0:
            self._writers[self._written[node]] += change
        if self._seen[node] >= 0:
            self._wanted[self._seen[node]] += change * must

    def _release(self, node: int) -> None:
        """Nothing must come before the node any more."""
        if node < self._count:
            self._ready.add(node)
            return
        self._ended[node - self._count] = True
        self._hold(self._key_of[node - self._count])
        for place in range(self._first[node], self._first[node + 1]):
            after = self._after[place]
            self._waiting[after] -= 1
            if not self._waiting[after]:
                self._release(after)

    def _hold(self, key: int) -> None:
        """Whether what the key holds still has to end."""
        block = self._block[key]
        if block >= 0 and not self._ended[block]:
            self._held[key] = block
        else:
            self._held.pop(key, None)

    def _take_back(self) -> None:
        node, state, block = self._undo.pop()
        key = self._key[node]
        self._order.pop()
        self._done ^= 1 << node
        self._count_off(node, 1)
        self._state[key], self._block[key] = state, block
        self._hold(key)
        self._withdraw(node)
        self._ready.add(node)

    def _withdraw(self, node: int) -> None:
        """What the node released waits for it again."""
        for place in range(self._first[node], self._first[node + 1]):
            after = self._after[place]
            if not self._waiting[after]:
                if after < self._count:
                    self._ready.discard(after)
                else:
                    self._ended[after - self._count] = False
                    self._hold(self._key_of[after - self._count])
                    self._withdraw(after)
            self._waiting[after] += 1


class _Spare:
    """Remembers where the search failed: with as many of what need not have happened, or fewer.

    Those that write and see the same are alike: how many of them were used says all.
    """

    def __init__(self, programs: Programs) -> None:
        self._mask = 0
        kinds: dict[tuple[int, int], int] = {}
        for node in np.flatnonzero(programs.optional).tolist():
            self._mask |= 1 << node
            kind = (int(programs.written[node]), int(programs.seen[node]))
            kinds[kind] = kinds.get(kind, 0) | 1 << node
        self._kinds = list(kinds.values())
        self._known: dict[tuple[int, tuple[int, ...]], list[tuple[int, ...]]] = {}

    def fail(self, done: int, state: tuple[int, ...]) -> None:
        """From here there is no way on."""
        self._known.setdefault((done & ~self._mask, state), []).append(self._used(done))

    def failed(self, done: int, state: tuple[int, ...]) -> bool:
        """Whether it is known that there is none."""
        if not self._known:
            return False
        before = self._known.get((done & ~self._mask, state), ())
        used = self._used(done) if before else ()
        return any(all(a <= b for a, b in zip(less, used, strict=True)) for less in before)

    def _used(self, done: int) -> tuple[int, ...]:
        return tuple((done & kind).bit_count() for kind in self._kinds)
