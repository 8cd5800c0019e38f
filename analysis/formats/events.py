"""Invocations and completions become operations: paired by process, in one vectorized pass a batch.

An event is a row of EVENTS. Batches come in the order of time; what is still open at the end of
one waits for the next, so that memory is the table and one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats.edn import canonical
from analysis.formats.names import plain_name
from analysis.formats.source import bad
from analysis.history import MISMATCH, UNREAD, Ints, Mask

INVOKE, OK, FAIL, INFO = 0, 1, 2, 3
KINDS = {"invoke": INVOKE, "ok": OK, "fail": FAIL, "info": INFO}
NAMES = tuple(KINDS)

EVENTS = pa.schema(
    [
        ("kind", pa.int8()),
        ("process", pa.int64()),  # null: the history does not say
        ("f", pa.int32()),  # code in Words; null: that of the invocation
        ("key", pa.int32()),  # code in Keys; null: no key
        ("value", pa.int64()),
        ("expected", pa.int64()),
        ("payload", pa.string()),
        ("error", pa.int32()),  # code in Words
        ("time", pa.int64()),  # null: the history does not say
        ("index", pa.int64()),
        ("line", pa.int64()),  # where it stands in the file, from 1
    ]
)
_CARRIED = ("value", "expected", "payload")
_REFUSABLE = ("write", "cas", "enqueue", "push", "acquire", "release")  # an answer may be "no"
_ASKED = ("add", "remove", "contains")  # the answer is about the element asked for
UNREAD_NULL = f"{UNREAD}: the history does not tell what was read"
UNANSWERED = "unanswered: the history ends before it was answered"


class Words:
    """Texts as codes, in the order of their first appearance."""

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {}

    def code(self, word: Any) -> int:
        """The code of `word`, a new one if it is new."""
        return self._codes.setdefault(word, len(self._codes))

    def names(self) -> list[str]:
        """Texts by code."""
        return list(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


class Keys(Words):
    """Keys as codes: the number 1 and the text "1" are two keys."""

    def code(self, word: Any) -> int:
        """The code of a key, any JSON value."""
        return super().code((isinstance(word, str), word if isinstance(word, str) else
                             canonical(word)))  # fmt: skip

    def names(self) -> list[str]:
        """Texts as they are, other values as JSON; where these would meet, texts in quotes."""
        keys = list(self._codes)
        others = {name for is_text, name in keys if not is_text}
        quoted = any(is_text and name in others for is_text, name in keys)
        return [canonical(name) if quoted and is_text else name for is_text, name in keys]


@dataclass(slots=True)
class Vocabulary:
    """The words of one history."""

    f: Words = field(default_factory=Words)  # as the file spells them
    key: Keys = field(default_factory=Keys)
    error: Words = field(default_factory=Words)


class Pairs:
    """Pairs events to operations. `rows` are batches in the order of completion."""

    def __init__(self, path: Path, words: Vocabulary) -> None:
        self.rows: list[pa.RecordBatch] = []
        self.again = 0  # line on which a process went on after an indefinite answer; 0: none did
        self._path = path
        self._words = words
        self._open = pa.RecordBatch.from_pylist([], EVENTS)  # invocations without an answer yet
        self._open_t: Ints = np.empty(0, np.int64)
        self._unsure: set[int] = set()  # processes whose last answer was indefinite
        self._last: int | None = None  # time of the last event
        self._ended = False  # whether that was a completion
        self._unnamed = 0  # processes that were made up, one for each operation without one
        self._begun = False  # whether the last such event was an invocation

    def feed(self, batch: pa.RecordBatch) -> None:
        """Pair the events of the next batch; HistoryError for one that cannot be."""
        if not len(batch):
            return
        if batch["process"].null_count:
            batch = _with(batch, "process", self._own_processes(batch))
        t = np.concatenate([self._open_t, self._times(batch)])
        events = pa.concat_batches([self._open, batch]) if len(self._open) else batch
        kind, process = numbers(events, "kind"), numbers(events, "process")
        order = np.argsort(process, kind="stable")
        same = np.append(False, process[order][1:] == process[order][:-1])
        invokes = kind[order] == INVOKE
        asked = same & np.append(False, invokes[:-1])  # the one before is an open invocation
        self._refuse(events, order[asked == invokes])
        done = np.flatnonzero(asked & ~invokes)
        ends = order[done]
        starts = order[done - 1]
        by_end = np.argsort(ends)
        self._emit(events, starts[by_end], ends[by_end], t)
        self._note_reuse(events, order, same, kind, process)
        left = invokes & ~np.append(same[1:], False)
        places = np.sort(order[left])
        self._open, self._open_t = events.take(pa.array(places)), t[places]

    def finish(self) -> None:
        """What was never answered becomes indeterminate until the end of the history."""
        if len(self._open):
            error = self._words.error.code(UNANSWERED)
            end = np.full(len(self._open), self._last or 0, np.int64)
            errors = pa.array(np.full(len(self._open), error, np.int32))
            kinds = np.full(len(self._open), INFO, np.int64)
            self._append(self._open, kinds, errors, self._open_t, np.maximum(end, self._open_t))

    def _own_processes(self, batch: pa.RecordBatch) -> pa.Array:
        """A process for each operation where none is told; a completion answers what is open."""
        unnamed = ~valid(batch, "process")
        begins = numbers(batch, "kind")[unnamed] == INVOKE
        new = ~np.append(self._begun, begins[:-1])
        number = numbers(batch, "process").copy()
        number[unnamed] = self._unnamed - 1 + np.cumsum(new)
        self._unnamed, self._begun = int(number[unnamed][-1]) + 1, bool(begins[-1])
        return pa.array(number, pa.int64())

    def _times(self, batch: pa.RecordBatch) -> Ints:
        """The events' times, never going back: max(own, that of the event before).

        One more where an invocation follows a completion, as it would count as concurrent
        otherwise; where the file has no time, one more than the event before.
        """
        invokes = numbers(batch, "kind") == INVOKE
        known = valid(batch, "time")
        ended = np.append(self._ended, ~invokes[:-1])
        rise = np.cumsum((invokes & ended) | ~known)
        if self._last is None:
            first = batch["time"][0].as_py()
            self._last = -1 if first is None else first - int(rise[0])
        own = np.where(known, numbers(batch, "time"), -(2**62)) - rise
        t: Ints = np.maximum(np.maximum.accumulate(own), self._last) + rise
        self._last, self._ended = int(t[-1]), not bool(invokes[-1])
        return t

    def _refuse(self, events: pa.RecordBatch, wrong: Ints) -> None:
        """HistoryError for the first event that does not fit the one of its process before it."""
        if not len(wrong):
            return
        event = events.slice(int(wrong.min()), 1).to_pylist()[0]
        who = f"process {event['process']}"
        if event["kind"] == INVOKE:
            fix = "a process does one thing at a time; if these are several clients, number them"
            raise bad(self._path, event["line"], f"{who} to complete first",
                      "another invocation by it", fix)  # fmt: skip
        raise bad(
            self._path,
            event["line"],
            f"{who} to have invoked something",
            f"its completion :{NAMES[event['kind']]} alone",
            "each :ok, :fail or :info answers an :invoke of the same process before it",
        )

    def _emit(self, events: pa.RecordBatch, starts: Ints, ends: Ints, t: Ints) -> None:
        """Append the operations that events `starts` began and `ends` completed."""
        if not len(starts):
            return
        asked, told = events.take(pa.array(starts)), events.take(pa.array(ends))
        self._same(asked, told, "f", "to complete what it invoked,", self._words.f)
        self._same(asked, told, "key", "to complete on the key it named,", self._words.key)
        kind = numbers(told, "kind").astype(np.int64)
        errors, refused = told["error"], np.zeros(len(kind), np.bool_)
        payload = told["payload"]
        if pc.any(pc.is_in(payload, value_set=_ANSWERS)).as_py():
            payload, yes, refused = self._answers(asked, told, kind)
            told = _with(told, "payload", pc.if_else(pa.array(yes), None, payload))
            codes = [self._words.error.code(text) for text in
                     (f"{MISMATCH}: answered false", "refused: answered false")]  # fmt: skip
            cas = self._does(asked, ("cas",))
            errors = pc.if_else(pa.array(refused), pa.array(np.where(cas, *codes), pa.int32()),
                                errors)  # fmt: skip
            kind = np.where(refused, FAIL, kind)
        heard = (kind == OK) & (valid(told, "value") | valid(told, "payload")
                                | valid(told, "expected"))  # fmt: skip
        unread = (kind == OK) & ~heard & true(pc.match_substring_regex(asked["payload"], _READS))
        if unread.any():
            code = pa.scalar(self._words.error.code(UNREAD_NULL), pa.int32())
            errors = pc.if_else(pa.array(unread), code, errors)
        use = pa.array(heard)
        for name in _CARRIED:
            asked = _with(asked, name, pc.if_else(use, told[name], asked[name]))
        self._append(asked, kind, errors, t[starts], t[ends])

    def _answers(
        self, asked: pa.RecordBatch, told: pa.RecordBatch, kind: Ints
    ) -> tuple[pa.Array, Mask, Mask]:
        """Answers true and false to something asked: (payloads, plain yes, plain no)."""
        text = told["payload"]
        yes = true(pc.equal(text, "true")) & (kind == OK)
        no = true(pc.equal(text, "false")) & (kind == OK)
        element = pc.coalesce(pc.cast(asked["value"], pa.string()), asked["payload"])
        plain = true(pc.is_valid(element)) & ~true(pc.is_in(element, value_set=_ANSWERS))
        asks = plain & self._does(asked, _ASKED)
        refusable = self._does(asked, _REFUSABLE) & (plain | self._does(asked, _LOCKS))
        pairs = pc.binary_join_element_wise("[", element, ",false]", "")
        payload = pc.if_else(pa.array(no & asks), pairs, text)
        return payload, yes & (asks | refusable), no & refusable

    def _does(self, events: pa.RecordBatch, names: tuple[str, ...]) -> Mask:
        codes = [i for i, word in enumerate(self._words.f.names()) if plain_name(word) in names]
        found: Mask = np.isin(numbers(events, "f"), codes)
        return found

    def _same(
        self, asked: pa.RecordBatch, told: pa.RecordBatch, name: str, what: str, words: Words
    ) -> None:
        """HistoryError where a completion names another `name` than its invocation."""
        differ = true(pc.not_equal(asked[name], told[name]))
        if differ.any():
            row = int(np.argmax(differ))
            names = words.names()
            was, now = (names[part[name][row].as_py()] for part in (asked, told))
            who = f"process {told['process'][row].as_py()}"
            raise bad(self._path, told["line"][row].as_py(), f"{who} {what} {was}", now)

    def _note_reuse(
        self, events: pa.RecordBatch, order: Ints, same: Mask, kind: Ints, process: Ints
    ) -> None:
        """Remember where a process first went on after an indefinite answer."""
        invokes = kind[order] == INVOKE
        after = same & invokes & np.append(False, kind[order][:-1] == INFO)
        places = list(order[after])
        firsts = np.flatnonzero(invokes & ~same)
        if self._unsure:
            places += [order[i] for i in firsts if int(process[order[i]]) in self._unsure]
        if places and not self.again:
            self.again = int(events["line"][int(min(places))].as_py())
        last = np.flatnonzero(~np.append(same[1:], False))
        self._unsure.difference_update(process[order[firsts]].tolist())
        unsure = last[kind[order[last]] == INFO]
        self._unsure.update(process[order[unsure]].tolist())

    def _append(
        self, asked: pa.RecordBatch, kind: Ints, errors: pa.Array, start: Ints, end: Ints
    ) -> None:
        columns = {name: asked[name] for name in ("process", "f", "key", *_CARRIED, "line")}
        columns |= {"kind": pa.array(kind.astype(np.int8)), "error": errors}
        columns |= {"start_ns": pa.array(start), "end_ns": pa.array(end)}
        self.rows.append(pa.record_batch(columns))


_ANSWERS = pa.array(["true", "false"])
_LOCKS = ("acquire", "release")
_READS = r'^\[(?:\["(?:append|w)",.*,)?\["r",'  # a transaction that reads


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index(name), name, column)


def true(mask: Any) -> Mask:
    """An Arrow mask as numpy, null being false."""
    found: Mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return found


def numbers(batch: pa.RecordBatch, name: str) -> Any:
    """An integer column as numpy, null being 0."""
    column = batch[name]
    if column.null_count:
        column = pc.fill_null(column, 0)
    return column.to_numpy(zero_copy_only=False)


def valid(batch: pa.RecordBatch, name: str) -> Mask:
    """Which rows of a column are not null."""
    return true(pc.is_valid(batch[name]))
