"""One clock for all objects of a history: keys laid end to end in time.

Each key gets its own stretch of a common clock. That changes no order within a key and makes every
operation of one key precede every operation of the next. By locality (Herlihy & Wing 1990) the
whole has a linear order exactly if each key has one, so who reads this clock needs no keys.
"""

from __future__ import annotations

import numpy as np

from analysis.history import INFO, History, Ints

_HIGHEST = 2**61  # two readings may be added without overflow


class Clock:
    """`key`: each row's key as 0 … `keys` - 1. Readings of key k lie between `first[k]` and
    `last[k]`, both exclusive. `last[k]` - 1 is after all answers of that key: the end of what has
    no answer. The first `lead` readings, from `first[k]` + 1 on, are before all operations.
    """

    def __init__(self, history: History, lead: int = 0) -> None:
        names = {name: place for place, name in enumerate(dict.fromkeys(history.key.names))}
        number = np.array([-1, *(names[name] for name in history.key.names)], np.int64)
        self.names: tuple[str | None, ...] = (None, *names)
        self.key: Ints = number[history.key.codes.astype(np.int64) + 1] + 1
        self.keys = len(names) + 1
        start, end = history.start_ns, history.end_ns
        low = int(start.min()) if len(history) else 0
        stretch = (int(end.max()) if len(history) else 0) - low + 5 + lead
        if stretch * self.keys > _HIGHEST:  # too long for int64: only the order of times matters
            times = np.concatenate([start, end])
            ranks = np.unique(times, return_inverse=True)[1].astype(np.int64)
            start, end = ranks[: len(history)], ranks[len(history) :]
            low, stretch = 0, len(times) + 5 + lead
        self.first: Ints = np.arange(self.keys, dtype=np.int64) * stretch
        self.last: Ints = self.first + stretch - 1
        self._start, self._end, self._low = start, end, low - 1 - lead
        self._pending = history.type == INFO

    def start(self, rows: Ints) -> Ints:
        """When these rows began."""
        return self._start[rows] - self._low + self.first[self.key[rows]]

    def end(self, rows: Ints) -> Ints:
        """When these rows ended at the latest: those without an answer after all that have one."""
        key = self.key[rows]
        answered = self._end[rows] - self._low + self.first[key]
        return np.where(self._pending[rows], self.last[key] - 1, answered)
