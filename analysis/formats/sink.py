"""Batches of events in the order of time: that of lines, or of their :index where all have one.

A reader begins as if lines stood in that order, and raises `Another` at the first that does not:
then all is read again, kept and sorted. Histories that were written as they happened, which is
almost all, never pay for that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.formats.base import Imported
from analysis.formats.events import Pairs, Vocabulary, numbers, valid
from analysis.formats.operations import NotKeyed, Operations
from analysis.formats.table import NO_OBJECT, Object, imported

Attempt = Callable[..., tuple["Sink", Operations]]


class Another(Exception):
    """The history must be read in another way: from its beginning, with these keywords."""

    def __init__(self, **how: Any) -> None:
        super().__init__(how)
        self.how = how


class Sink:
    """Passes batches of events on in the order of time: that of lines, or of their :index."""

    def __init__(self, path: Path, words: Vocabulary, *, by_index: bool) -> None:
        self.pairs = Pairs(path, words)
        self._by_index = by_index
        self._held: list[pa.RecordBatch] = []
        self._indexed = True  # every event so far had an index
        self._last = -(2**62)

    def feed(self, batch: pa.RecordBatch) -> None:
        """Pair the next batch, or keep it until all are there, to be sorted."""
        if not len(batch):
            return
        if self._by_index:
            self._held.append(batch)
            return
        if self._indexed and valid(batch, "index").all():
            index = numbers(batch, "index")
            if index[0] <= self._last or not bool((index[1:] > index[:-1]).all()):
                raise Another(by_index=True)
            self._last = int(index[-1])
        else:
            self._indexed = False
        self.pairs.feed(batch)

    def finish(self) -> list[str]:
        """Pair what was kept, and end what is open; sentences about that."""
        notes = self._sorted() if self._held else []
        self.pairs.finish()
        if self.pairs.again:
            notes.append(
                f"processes went on after an indefinite answer (first on line {self.pairs.again})"
            )
        return notes

    def _sorted(self) -> list[str]:
        events = pa.concat_batches(self._held)
        self._held = []
        index = numbers(events, "index")
        if not valid(events, "index").all():
            self.pairs.feed(events)
            return []
        if len(np.unique(index)) < len(index):
            self.pairs.feed(events)
            return ["an :index stands at several operations: the order of lines was taken instead"]
        self.pairs.feed(events.take(pa.array(np.argsort(index))))
        return ["operations do not stand in the order of their :index, which was taken as time"]


def attempted(attempt: Attempt, initial: Any, about: Object = NO_OBJECT) -> Imported:
    """What `attempt` reads, tried again in another way for as long as it asks for one."""
    how: dict[str, Any] = {}
    while True:
        try:
            sink, operations = attempt(**how)
            notes = [*sink.finish(), *operations.finish()]
        except Another as another:
            how |= another.how
            continue
        except NotKeyed:
            how["keyed"] = False
            continue
        return imported(
            sink.pairs.rows,
            operations.words,
            initial,
            about=about,
            microops=operations.microops,
            transactions=operations.transactions - operations.others,
            notes=notes,
        )
