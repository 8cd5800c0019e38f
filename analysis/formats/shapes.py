"""Lines of EDN, or JSON, that all look alike, a block at a time: no line is read by Python itself.

A *shape* is the order of the keys on a line such as `{:type :ok, :f :read, :value 3, :time 1,
:process 0, :index 3}`, learnt from the first line that has it and turned into a regular expression
for Arrow. What no shape fits, or what a shape took to be more than one value, is left to the parser
of edn.py or jsontext.py: shapes only ever read what that would read in the same way (a test
compares).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats import microops
from analysis.formats.dialects import EDN, MANY, NUMBER, Dialect
from analysis.formats.events import EVENTS, FAIL, INFO, INVOKE, KINDS, OK, true
from analysis.formats.names import plain_name
from analysis.formats.operations import TXN, NotKeyed, Operations
from analysis.history import Ints, Mask
from chaos.errors import HistoryError

SHAPES_MAX = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """A regular expression whose groups are named by the keys they hold."""

    pattern: str
    keys: tuple[str, ...]


def learn(line: str, dialect: Dialect = EDN) -> Shape | None:
    """The shape of a line that is one flat map; None for any other line."""
    opened = re.match(dialect.opens, line)
    if opened is None:
        return None
    at, parts, keys = opened.end(), [], []
    entry = dialect.entry
    while found := entry.match(line, at):
        key, value = found[1], found[2]
        if key in keys:
            return None
        own = dialect.taken.get(key, f"(?:{dialect.simple}|{dialect.text})")
        if key == "value" and value[0] not in dialect.begins_text:
            own = f"({dialect.simple})"  # Arrow matches it twice as fast: more shapes, then
        if re.fullmatch(own, value) is None:
            return None
        keys.append(key)
        if key in dialect.taken:
            own = own.replace("(", f"(?P<{key}>", 1)
        parts.append(f"{dialect.key.format(re.escape(key))}{dialect.assigns}{own}")
        at = found.end()
    if re.fullmatch(r"\}[\s,]*", line[at:]) is None:
        return None
    if "type" not in keys or not {"f", "value"} & set(keys):
        return None
    pattern = f"^{dialect.opens}{dialect.separates.join(parts)}" + r"[\s,]*\}[\s,]*$"
    return Shape(pattern, tuple(key for key in keys if key in dialect.taken))


class Shapes:
    """Reads the lines of blocks that have a known shape, and learns shapes as they come."""

    def __init__(self, operations: Operations, dialect: Dialect) -> None:
        self._dialect = dialect
        self._shapes: list[Shape] = []
        self._failed = 0  # lines that looked like none
        self.operations = operations
        self._words = operations.words

    def read(self, lines: pa.Array, numbers: Ints) -> tuple[list[pa.RecordBatch], list[Ints], Mask]:
        """The events on lines that have a shape: batches, their places in `lines`, and a mask.

        `numbers` are the lines' in the file.
        """
        done = np.zeros(len(lines), np.bool_)
        batches, places = [], []

        def apply(shape: Shape) -> None:
            if (found := self._apply(shape, lines, numbers, done)) is not None:
                batches.append(found[0])
                places.append(found[1])

        for shape in self._shapes:
            apply(shape)
        while len(self._shapes) < SHAPES_MAX and self._failed < SHAPES_MAX and not done.all():
            learnt = learn(lines[int(np.argmin(done))].as_py(), self._dialect)
            if learnt is None or learnt in self._shapes:
                self._failed += 1
                break
            self._shapes.append(learnt)
            apply(learnt)
        return batches, places, done

    def _apply(
        self, shape: Shape, lines: pa.Array, numbers: Ints, done: Mask
    ) -> tuple[pa.RecordBatch, Ints] | None:
        left = np.flatnonzero(~done)
        if not len(left):
            return None
        chosen = lines if len(left) == len(lines) else lines.take(pa.array(left))
        found = pc.extract_regex(chosen, shape.pattern)
        hit = np.flatnonzero(true(pc.is_valid(found)))
        if not len(hit):
            return None
        if len(hit) < len(found):
            found = found.take(pa.array(hit))
        columns = {key: found.field(key) for key in shape.keys}
        batch, wrong = self._events(columns, numbers[left[hit]])
        done[left[hit[~wrong]]] = True
        if wrong.any():
            batch = batch.filter(pa.array(~wrong))
        if "process" in columns:
            self.operations.numbered += len(batch)
        else:
            self.operations.unnumbered += len(batch)
        return batch, left[hit[~wrong]]

    def _events(self, columns: dict[str, pa.Array], numbers: Ints) -> tuple[pa.RecordBatch, Mask]:
        """The events, and which of them are not what the parser would read."""
        count = len(numbers)
        nothing = pa.nulls(count, pa.string())
        kind, _ = _coded(columns["type"], lambda word: KINDS[word])
        f = columns.get("f", pa.repeat(TXN, count))
        asked = ~np.isin(kind, (FAIL, INFO))
        contents = _Contents(self.operations, self._dialect, f, kind)
        raw = columns.get("value", nothing)
        value, expected, payload, key = contents.read(pc.if_else(pa.array(asked), raw, None))
        if self._dialect.strict:
            contents.check(raw, ~asked & true(pc.is_valid(raw)))
        if "f" in columns:
            names = pa.array(_coded(f, self._words.f.code)[0], pa.int32())
        else:
            silent = ~asked | ((kind == OK) & ~true(pc.not_equal(raw, self._dialect.null)))
            contents.wrong |= ~silent & ~contents.transactions
            begun = (kind == INVOKE) & ~contents.wrong
            code = self._words.f.code(TXN) if begun.any() else None
            names = pc.if_else(pa.array(begun), pa.scalar(code, pa.int32()), None)
        if "key" in columns:
            codes, no_key = contents.keys(columns["key"])
            contents.wrong |= no_key
            key = pc.coalesce(codes, key)
        error = self._errors(columns.get("error", nothing), kind, contents.wrong)
        arrays = {
            "kind": pa.array(kind, pa.int8()),
            "process": columns.get("process", nothing).cast(pa.int64()),
            "f": names,
            "key": key,
            "value": value,
            "expected": expected,
            "payload": payload,
            "error": error,
            "time": columns.get("time", nothing).cast(pa.int64()),
            "index": columns.get("index", nothing).cast(pa.int64()),
            "line": pa.array(numbers),
        }
        return pa.RecordBatch.from_pydict(arrays, schema=EVENTS), contents.wrong

    def _errors(self, raw: pa.Array, kind: Ints, wrong: Mask) -> pa.Array:
        if raw.null_count == len(raw):
            return pa.nulls(len(raw), pa.int32())
        encoded = pc.dictionary_encode(raw)
        parsed = [self._dialect.only(text) for text in encoded.dictionary.to_pylist()]
        codes = [None if value is MANY else self.operations.error(value, FAIL) for value in parsed]
        many = [value is MANY for value in parsed]
        places = encoded.indices
        wrong |= true(pa.array(many, pa.bool_()).take(places))
        taken = pa.array(codes, pa.int32()).take(places)
        return pc.if_else(pa.array(kind == KINDS["invoke"]), None, taken)


def _coded(column: pa.Array, code: Any) -> tuple[Ints, list[str]]:
    """Codes of words, `code` being asked once for each word."""
    encoded = pc.dictionary_encode(column)
    words = encoded.dictionary.to_pylist()
    table = np.array([code(word) for word in words] or [0], np.int64)
    return table[encoded.indices.to_numpy(zero_copy_only=False)], words


class _Contents:
    """The columns value, expected, payload and key of many values spelt in EDN."""

    def __init__(self, operations: Operations, dialect: Dialect, f: pa.Array, kind: Ints) -> None:
        self._dialect = dialect
        self.wrong: Mask = np.zeros(len(kind), np.bool_)
        self.transactions: Mask = np.zeros(len(kind), np.bool_)
        self._operations = operations
        self._words = operations.words
        self._f = f
        self._kind = kind

    def read(self, raw: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array]:
        """(value, expected, payload, key); null in `raw`: there is nothing to read."""
        key = pa.nulls(len(raw), pa.int32())
        if self._operations.keyed:
            raw, key = self._split(raw)
        is_cas = true(pc.is_in(self._f, value_set=self._named("cas")))
        plain = ~is_cas & ~true(pc.equal(self._f, TXN))
        nothing = ~true(pc.not_equal(raw, self._dialect.null))
        whole = plain & true(pc.match_substring_regex(raw, f"^{NUMBER}$"))
        text = plain & true(pc.match_substring_regex(raw, f"^{self._dialect.text}$"))
        value = pc.if_else(pa.array(whole), raw, None).cast(pa.int64())
        expected = pa.nulls(len(raw), pa.int64())
        payload = pc.if_else(pa.array(text), raw, None)  # without escapes: JSON as it is
        rest = ~(nothing | whole | text | self.wrong)
        if (rest & is_cas).any():
            swaps = pc.extract_regex(pc.if_else(pa.array(is_cas), raw, None), self._dialect.swap)
            found = true(pc.is_valid(swaps)) & rest
            new, old = (_integers(pc.struct_field(swaps, name)) for name in ("new", "old"))
            value = pc.if_else(pa.array(found), new, value)
            expected = pc.if_else(pa.array(found), old, expected)
            rest &= ~found
        if (rest & ~is_cas).any():
            payload = self._micro_ops(raw, rest, payload)
            rest &= ~self.transactions
        others = pc.unique(self._f.filter(pa.array(~nothing & ~rest & ~self.transactions)))
        self._operations.others.update(others.to_pylist())
        if rest.any():
            value, expected, payload = self._parsed(raw, rest, value, expected, payload)
        return value, expected, payload, key

    def _micro_ops(self, raw: pa.Array, rest: Mask, payload: pa.Array) -> pa.Array:
        """`payload` with the transactions among `rest`."""
        places = np.flatnonzero(rest)
        texts = raw if len(places) == len(raw) else raw.take(pa.array(places))
        texts, exact = self._dialect.transactions(texts)
        if not exact.any():
            return payload
        self.transactions[places[exact]] = True
        if not exact.all():
            texts = texts.filter(pa.array(exact))
        chosen = pa.array(self.transactions)
        self._operations.microops |= microops.shown(texts, self._operations.microops)
        self._operations.transactions.update(pc.unique(self._f.filter(chosen)).to_pylist())
        return pc.replace_with_mask(payload, chosen, texts)

    def _named(self, name: str) -> pa.Array:
        known = [word for word in self._words.f.names() if plain_name(word) == name]
        return pa.array(known, pa.string())

    def _split(self, raw: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Values and keys of pairs. NotKeyed when one is none."""
        null = self._dialect.null
        if ((self._kind == INVOKE) & ~true(pc.is_valid(raw))).any():
            raise NotKeyed
        pairs = pc.extract_regex(raw, self._dialect.pair)
        rest, found = pc.struct_field(pairs, "value"), true(pc.is_valid(pairs))
        unanswered = (self._kind == KINDS["ok"]) & true(pc.equal(raw, self._dialect.null))
        self.wrong |= true(pc.is_valid(raw)) & ~unanswered & ~found
        is_cas = true(pc.is_in(self._f, value_set=self._named("cas")))
        if (found & is_cas & ~true(pc.match_substring_regex(rest, rf"^({null}$|\[)"))).any():
            raise NotKeyed  # as in a cas [old new] without a key
        codes, no_key = self.keys(pc.struct_field(pairs, "key"))
        self.wrong |= no_key
        return pc.if_else(pa.array(unanswered), null, rest), codes

    def check(self, raw: pa.Array, rows: Mask) -> None:
        """Note which of `rows`, that carry nothing, have a value that cannot be read."""
        places = np.flatnonzero(rows)
        texts = raw.take(pa.array(places))
        _, exact = self._dialect.transactions(texts)
        for place, text in zip(places[~exact], texts.filter(pa.array(~exact)).to_pylist(),
                               strict=True):  # fmt: skip
            self.wrong[place] |= self._dialect.only(text) is MANY

    def keys(self, raw: pa.Array) -> tuple[pa.Array, Mask]:
        """Codes of keys, and which are no single value."""
        encoded = pc.dictionary_encode(raw)
        parsed = [self._dialect.only(text) for text in encoded.dictionary.to_pylist()]
        no_key = [key is MANY or key is None or isinstance(key, bool) for key in parsed]
        codes = [
            None if no else self._words.key.code(key)
            for key, no in zip(parsed, no_key, strict=True)
        ]
        wrong = true(pa.array(no_key, pa.bool_()).take(encoded.indices))
        return pa.array(codes, pa.int32()).take(encoded.indices), wrong

    def _parsed(
        self, raw: pa.Array, rest: Mask, value: pa.Array, expected: pa.Array, payload: pa.Array
    ) -> tuple[pa.Array, pa.Array, pa.Array]:
        """The columns with what only the parser can read."""
        columns: list[list[Any]] = [[None] * len(raw) for _ in range(3)]
        for row in np.flatnonzero(rest):
            parsed = self._dialect.only(raw[int(row)].as_py())
            try:
                if parsed is MANY:
                    raise HistoryError("")
                found = self._operations.columns(self._f[int(row)].as_py(), parsed, 0)
            except HistoryError:  # the parser knows the line to complain about
                self.wrong[row] = True
                continue
            for column, part in zip(columns, found, strict=True):
                column[row] = part
        chosen = pa.array(rest)
        types = (pa.int64(), pa.int64(), pa.string())
        old = (value, expected, payload)
        new = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
        value, expected, payload = (
            pc.if_else(chosen, one, other) for one, other in zip(new, old, strict=True)
        )
        return value, expected, payload


def _integers(texts: pa.Array) -> pa.Array:
    """Integers of texts, null for nil or null."""
    return pc.if_else(pc.match_substring_regex(texts, "^n"), None, texts).cast(pa.int64())
