"""Lines of EDN that all look alike, a block at a time: no line is read by Python itself.

A *shape* is the order of the keys on a line such as `{:type :ok, :f :read, :value 3, :time 1,
:process 0, :index 3}`, learnt from the first line that has it and turned into a regular expression
for Arrow. What no shape fits, or what a shape took to be more than one value, is left to the parser
of edn.py: the shapes only ever read what that would read in the same way (a test compares).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats import edn, microops
from analysis.formats.events import EVENTS, FAIL, INFO, KINDS, Vocabulary, true
from analysis.formats.names import plain_name
from analysis.formats.operations import TXN, NotKeyed, Operations
from analysis.history import Ints, Mask
from chaos.errors import HistoryError

SHAPES_MAX = 8
_ATOM = r'[^\s,{}\[\]()";#\\^@`~][^\s,{}\[\]()";#\\]*'
_STRING = r'"[^"\\\x00-\x1f]*"'
_PLAIN = r'[^\[\]{}()";#\\^@`~]|' + _STRING
_FLAT = rf"\[(?:{_PLAIN})*\]"  # vectors within vectors, three deep
_FLAT = rf"\[(?:{_PLAIN}|{_FLAT})*\]"
_FLAT = rf"\[(?:{_PLAIN}|{_FLAT})*\]"
_NUMBER = r"-?(?:0|[1-9][0-9]{0,17})"
_TAKEN = {  # what is captured of a key's value
    "type": r":(invoke|ok|fail|info)",
    "process": f"({_NUMBER})",
    "time": f"({_NUMBER})",
    "index": f"({_NUMBER})",
    "f": r":([^\s,{}\[\]()\";#\\:]+)",
    "value": f"({_ATOM}|{_STRING}|{_FLAT})",
    "key": f"({_ATOM}|{_STRING})",
    "error": f"({_ATOM}|{_STRING}|{_FLAT})",
}
_ENTRY = re.compile(rf":([\w.-]+)[\s,]+({_ATOM}|{_STRING}|{_FLAT})(?:[\s,]+|(?=\}}))")
_TAG = r"[\s,]*(?:#[A-Za-z][\w.]*)?\{[\s,]*"  # the parser drops tags, too
_OPENS = re.compile(_TAG)
_INT = "^" + _NUMBER + "$"
_SWAP = rf"^\[(?P<old>nil|{_NUMBER})[\s,]+(?P<new>nil|{_NUMBER})\]$"
_KEYED = rf"^\[(?P<key>{_NUMBER}|:?[A-Za-z][\w.-]*|{_STRING})[\s,]+(?P<value>.*)\]$"


@dataclass(frozen=True, slots=True)
class Shape:
    """A regular expression whose groups are named by the keys they hold."""

    pattern: str
    keys: tuple[str, ...]


def learn(line: str) -> Shape | None:
    """The shape of a line that is one flat map; None for any other line."""
    opened = _OPENS.match(line)
    if opened is None:
        return None
    at, parts, keys = opened.end(), [], []
    while entry := _ENTRY.match(line, at):
        key = entry[1]
        if key in keys:
            return None
        own = _TAKEN.get(key, f"(?:{_ATOM}|{_STRING})")
        if key == "value" and entry[2][0] not in '"[':
            own = f"({_ATOM})"  # one that Arrow matches twice as fast: more than one shape, then
        if re.fullmatch(own, entry[2]) is None:
            return None
        keys.append(key)
        parts.append(rf":{re.escape(key)}[\s,]+{own.replace('(', f'(?P<{key}>', 1)}"
                     if key in _TAKEN else rf":{re.escape(key)}[\s,]+{own}")  # fmt: skip
        at = entry.end()
    if re.fullmatch(r"\}[\s,]*", line[at:]) is None:
        return None
    if "type" not in keys or not {"f", "value"} & set(keys):
        return None
    pattern = f"^{_TAG}" + r"[\s,]+".join(parts) + r"[\s,]*\}[\s,]*$"
    return Shape(pattern, tuple(key for key in keys if key in _TAKEN))


class Shapes:
    """Reads the lines of blocks that have a known shape, and learns shapes as they come."""

    def __init__(self, operations: Operations) -> None:
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
            learnt = learn(lines[int(np.argmin(done))].as_py())
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
        names = _coded(f, self._words.f.code)[0]
        asked = ~np.isin(kind, (FAIL, INFO))
        contents = _Contents(self.operations, f, kind)
        raw = columns.get("value", nothing)
        value, expected, payload, key = contents.read(pc.if_else(pa.array(asked), raw, None))
        if "f" not in columns:
            contents.wrong |= asked & ~contents.transactions
        if "key" in columns:
            codes, contents.wrong[:] = _keys(columns["key"], self._words, contents.wrong)
            key = pc.coalesce(codes, key)
        error = self._errors(columns.get("error", nothing), kind, contents.wrong)
        arrays = {
            "kind": pa.array(kind, pa.int8()),
            "process": columns.get("process", pa.repeat("0", count)).cast(pa.int64()),
            "f": pa.array(names, pa.int32()),
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
        parsed = [_one(text) for text in encoded.dictionary.to_pylist()]
        codes = [None if value is _MANY else self.operations.error(value, FAIL) for value in parsed]
        many = [value is _MANY for value in parsed]
        places = encoded.indices
        wrong |= true(pa.array(many, pa.bool_()).take(places))
        taken = pa.array(codes, pa.int32()).take(places)
        return pc.if_else(pa.array(kind == KINDS["invoke"]), None, taken)


_MANY = object()


def _one(text: str) -> Any:
    """The only value in a text, `_MANY` when there are several or none."""
    try:
        return edn.one(text)
    except (edn.Malformed, edn.Incomplete):
        return _MANY


def _coded(column: pa.Array, code: Any) -> tuple[Ints, list[str]]:
    """Codes of words, `code` being asked once for each word."""
    encoded = pc.dictionary_encode(column)
    words = encoded.dictionary.to_pylist()
    table = np.array([code(word) for word in words] or [0], np.int64)
    return table[encoded.indices.to_numpy(zero_copy_only=False)], words


def _keys(raw: pa.Array, words: Vocabulary, wrong: Mask) -> tuple[pa.Array, Mask]:
    """Codes of keys spelt in EDN; `wrong` with those that are no single value."""
    encoded = pc.dictionary_encode(raw)
    parsed = [_one(text) for text in encoded.dictionary.to_pylist()]
    no_key = [key is _MANY or key is None or isinstance(key, bool) for key in parsed]
    codes = [None if no else words.key.code(key) for key, no in zip(parsed, no_key, strict=True)]
    wrong = wrong | true(pa.array(no_key, pa.bool_()).take(encoded.indices))
    return pa.array(codes, pa.int32()).take(encoded.indices), wrong


class _Contents:
    """The columns value, expected, payload and key of many values spelt in EDN."""

    def __init__(self, operations: Operations, f: pa.Array, kind: Ints) -> None:
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
        nothing = ~true(pc.not_equal(raw, "nil"))
        whole = plain & true(pc.match_substring_regex(raw, _INT))
        text = plain & true(pc.match_substring_regex(raw, f"^{_STRING}$"))
        value = pc.if_else(pa.array(whole), raw, None).cast(pa.int64())
        expected = pa.nulls(len(raw), pa.int64())
        payload = pc.if_else(pa.array(text), raw, None)  # without escapes: JSON as it is
        rest = ~(nothing | whole | text | self.wrong)
        if (rest & is_cas).any():
            swaps = pc.extract_regex(pc.if_else(pa.array(is_cas), raw, None), _SWAP)
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
        texts, exact = microops.of_edn(texts)
        if not exact.any():
            return payload
        self.transactions[places[exact]] = True
        if not exact.all():
            texts = texts.filter(pa.array(exact))
        chosen = pa.array(self.transactions)
        self._operations.microops |= microops.shown(texts)
        self._operations.transactions.update(pc.unique(self._f.filter(chosen)).to_pylist())
        return pc.replace_with_mask(payload, chosen, texts)

    def _named(self, name: str) -> pa.Array:
        known = [word for word in self._words.f.names() if plain_name(word) == name]
        return pa.array(known, pa.string())

    def _split(self, raw: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Values and keys of pairs. NotKeyed when one is none."""
        pairs = pc.extract_regex(raw, _KEYED)
        rest, found = pc.struct_field(pairs, "value"), true(pc.is_valid(pairs))
        unanswered = (self._kind == KINDS["ok"]) & true(pc.equal(raw, "nil"))
        self.wrong |= true(pc.is_valid(raw)) & ~unanswered & ~found
        is_cas = true(pc.is_in(self._f, value_set=self._named("cas")))
        if (found & is_cas & ~true(pc.match_substring_regex(rest, r"^(nil$|\[)"))).any():
            raise NotKeyed  # as in a cas [old new] without a key
        codes, self.wrong = _keys(pc.struct_field(pairs, "key"), self._words, self.wrong)
        return pc.if_else(pa.array(unanswered), "nil", rest), codes

    def _parsed(
        self, raw: pa.Array, rest: Mask, value: pa.Array, expected: pa.Array, payload: pa.Array
    ) -> tuple[pa.Array, pa.Array, pa.Array]:
        """The columns with what only the parser can read."""
        columns: list[list[Any]] = [[None] * len(raw) for _ in range(3)]
        for row in np.flatnonzero(rest):
            parsed = _one(raw[int(row)].as_py())
            try:
                if parsed is _MANY:
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
    """Integers of texts, null for nil."""
    return pc.if_else(pc.equal(texts, "nil"), None, texts).cast(pa.int64())
