"""Values as integers: an integer is itself, any other JSON value gets a code that none here is.

Two codes are equal exactly if the values are equal as JSON: 1, 1.0, "1" and true differ, objects do
not depend on the order of their members. Null has no code: it is `valid` being false.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.history import History, Integers, Ints
from chaos.errors import RecordError

_LOWEST, _HIGHEST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What the rows of a history carry (docs/histories.md), coded. Arrays have one cell a row."""

    value: Integers  # written or read; of a cas: the new one
    expected: Integers  # of a cas
    initial: int | None  # the initial value; None: null
    names: Mapping[int, Any] = field(default_factory=dict)  # code → value, of what is no integer

    def solid(self) -> tuple[Ints, Ints, int]:
        """`value`, `expected` and `initial` with one more code in the place of null."""
        pair = (self.value, self.expected)
        cells = [*(column.values for column in pair), np.array([self.initial or 0])]
        highest = max(int(array.max(initial=0)) for array in cells)
        null = highest + 1 if highest < _HIGHEST else _room(np.concatenate(cells), 1)
        value, expected = (
            column.values if column.valid.all() else np.where(column.valid, column.values, null)
            for column in pair
        )
        return value, expected, null if self.initial is None else self.initial

    def content(self, code: int | None) -> Any:
        """The JSON value that has this code; an integer is itself, None is null."""
        return None if code is None else self.names.get(int(code), int(code))


def coded(history: History, rows: Ints | None = None, initial: Any = None) -> Values:
    """The values of `rows` (default: all; other rows' cells mean nothing), and the initial value.

    Without payloads the history's own columns, not copied. RecordError for a payload that is no
    JSON, or for a cas whose payload is not `[expected, value]`.
    """
    number = _is_integer(initial)
    if history.payload.null_count == len(history.payload) and (initial is None or number):
        return Values(value=history.value, expected=history.expected, initial=initial)
    told = ~history.value.valid & pc.is_valid(history.payload).to_numpy(zero_copy_only=False)
    if rows is not None:
        chosen = np.zeros(len(history), np.bool_)
        chosen[rows] = True
        told &= chosen
    swaps = told & history.f.equals("cas")
    plain, cas = np.flatnonzero(told & ~swaps), np.flatnonzero(swaps)
    contents, place = _read(history, plain)
    pairs, pair_place = _read(history, cas)
    for number_of_pair, pair in enumerate(pairs):
        if not isinstance(pair, list) or len(pair) != 2:
            row = int(cas[int(np.argmax(pair_place == number_of_pair))])
            raise RecordError(
                f"operation {row}: expected [expected, value] as the payload of a cas, got {pair!r}"
            )
    first, second = len(contents), len(contents) + len(pairs)
    contents += [expected for expected, _ in pairs]
    contents += [value for _, value in pairs]
    taken = np.concatenate([history.value.values, history.expected.values])
    codes, names = encode([*contents, initial], taken)
    return Values(
        value=_filled(_filled(history.value, plain, codes, place), cas, codes, second + pair_place),
        expected=_filled(history.expected, cas, codes, first + pair_place),
        initial=codes.at(-1),
        names=names,
    )


def encode(contents: Sequence[Any], taken: Ints) -> tuple[Integers, Mapping[int, Any]]:
    """Codes of some JSON values, none of them in `taken`, and code → value of what is no integer.

    Integers that fit 64 bits are their own code, null has none (`valid` is false).
    """
    integers = np.array([c for c in contents if _is_integer(c)], np.int64)
    texts: dict[str, Any] = {}
    for content in contents:
        if content is not None and not _is_integer(content):
            texts.setdefault(canonical(content), content)
    base = _room(np.concatenate([np.asarray(taken, np.int64), integers]), len(texts))
    code = {text: base + place for place, text in enumerate(texts)}
    values = np.array(
        [0 if c is None else c if _is_integer(c) else code[canonical(c)] for c in contents],
        np.int64,
    )
    valid = np.array([c is not None for c in contents], np.bool_)
    return Integers(values=values, valid=valid), {code[t]: c for t, c in texts.items()}


def canonical(content: Any) -> str:
    """A text that two values share exactly if they are equal as JSON."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _is_integer(content: Any) -> bool:
    return type(content) is int and _LOWEST <= content <= _HIGHEST


def _room(taken: Ints, count: int) -> int:
    """The first of `count` successive integers that are not taken: near the others if possible."""
    if not len(taken) or not count:
        return 0
    low, high = int(taken.min()), int(taken.max())
    if high <= _HIGHEST - count:
        return high + 1
    if low >= _LOWEST + count:
        return low - count
    used = np.unique(taken)
    gaps = used[1:].astype(np.uint64) - used[:-1].astype(np.uint64)  # modulo 2**64: no overflow
    return int(used[int(np.argmax(gaps > count))]) + 1


def _read(history: History, rows: Ints) -> tuple[list[Any], Ints]:
    """The different payloads of some rows read as JSON, and the place of each row's among them."""
    texts = pc.dictionary_encode(history.payload.take(pa.array(rows)).cast(pa.string()))
    place = texts.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return list(_parsed(texts.dictionary.to_pylist(), rows, place)), place


def _parsed(texts: Iterable[str], rows: Ints, place: Ints) -> Iterable[Any]:
    for number, text in enumerate(texts):
        try:
            yield json.loads(text)
        except ValueError as error:
            row = int(rows[int(np.argmax(place == number))])
            raise RecordError(f"operation {row}: the payload is no JSON: {error}") from None


def _filled(column: Integers, rows: Ints, codes: Integers, place: Ints) -> Integers:
    """The column with other cells in some rows."""
    if not len(rows):
        return column
    values, valid = column.values.copy(), column.valid.copy()
    values[rows], valid[rows] = codes.values[place], codes.valid[place]
    return Integers(values=values, valid=valid)
