"""Rows that carry lists of JSON values, as arrays of codes: long lists never become objects one
by one where their elements are integers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.history import History, Integers, Ints
from analysis.values import encode
from chaos.errors import RecordError

NO_LIST = -1
_NUMBER = r"[ \t\n\r]*-?(0|[1-9][0-9]*)[ \t\n\r]*"
_INTEGERS = rf"^[ \t\n\r]*\[({_NUMBER}(,{_NUMBER})*|[ \t\n\r]*)\][ \t\n\r]*$"
_LONG = r"[0-9]{19}"  # an integer that may not fit 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Different lists end to end: list n is `codes[bounds[n]:bounds[n + 1]]`.

    `place` has the list of each row asked for, NO_LIST where that carries null.
    """

    place: Ints
    codes: Ints
    bounds: Ints

    def __len__(self) -> int:
        return len(self.bounds) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What some rows carry, coded alike (`analysis.values`): single values, and lists of values."""

    single: Integers  # one cell for each of the rows asked for
    lists: Lists
    names: Mapping[int, Any]  # code → value, of what is no integer

    def content(self, code: int) -> Any:
        """The JSON value that has this code."""
        return self.names.get(int(code), int(code))

    def text(self, code: int) -> str:
        """The same in words."""
        return json.dumps(self.content(code))


def carried(history: History, single: Ints, listed: Ints) -> Carried:
    """What the rows `single` carry, and the lists that the rows `listed` carry.

    RecordError for a payload that is no JSON, and where a row of `listed` carries no list.
    """
    if bool(history.value.valid[listed].any()):
        row = int(listed[np.argmax(history.value.valid[listed])])
        raise RecordError(f"operation {row}: expected a list, got {history.content(row)!r}")
    texts = pc.dictionary_encode(history.payload.take(pa.array(listed)).cast(pa.string()))
    place = pc.fill_null(texts.indices, NO_LIST).to_numpy(zero_copy_only=False).astype(np.int64)
    values = history.value.values[single]
    valid = history.value.valid[single]
    odd = np.flatnonzero(~valid)
    odd = odd[[text is not None for text in history.payloads(single[odd])]]
    quick = _integers(texts.dictionary) if not len(odd) else None
    if quick is not None:
        codes, bounds = quick
        lists = Lists(place=place, codes=codes, bounds=bounds)
        return Carried(single=Integers(values=values, valid=valid), lists=lists, names={})
    contents = [_content(row, history.payload[int(row)].as_py()) for row in single[odd]]
    parsed = []
    for row, text in zip(_firsts(listed, place), texts.dictionary.to_pylist(), strict=True):
        elements = _content(row, text)
        if elements is not None and not isinstance(elements, list):
            raise RecordError(f"operation {row}: expected a list, got {elements!r}")
        parsed.append(elements)
    absent = np.array([elements is None for elements in parsed] or [False])
    place = np.where((place >= 0) & ~absent[place], place, NO_LIST)
    flat = list(chain.from_iterable(elements or () for elements in parsed))
    found, names = encode([*contents, *flat], values[valid])
    values, valid = values.copy(), valid.copy()
    values[odd], valid[odd] = found.values[: len(odd)], found.valid[: len(odd)]
    codes, of_null = found.values[len(odd) :], ~found.valid[len(odd) :]
    if of_null.any():  # an element like others, though nobody can have put it there
        null = max(int(values.max(initial=0)), int(codes.max())) + 1
        codes, names = np.where(of_null, null, codes), {**names, null: None}
    bounds = np.cumsum([0, *(len(elements or ()) for elements in parsed)])
    lists = Lists(place=place, codes=codes, bounds=bounds)
    return Carried(single=Integers(values=values, valid=valid), lists=lists, names=names)


def _firsts(rows: Ints, place: Ints) -> Ints:
    """Of each list the first row that carries it."""
    there = np.flatnonzero(place >= 0)
    return rows[there[np.unique(place[there], return_index=True)[1]]]


def _content(row: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RecordError(f"operation {row}: its payload is not JSON") from None


def _integers(texts: pa.Array) -> tuple[Ints, Ints] | None:
    """(codes, bounds) of lists of integers; None if something else is there, or an integer that
    may not fit 64 bits.
    """
    if not pc.all(pc.match_substring_regex(texts, _INTEGERS)).as_py():
        return None
    if pc.any(pc.match_substring_regex(texts, _LONG)).as_py():
        return None
    inner = pc.utf8_trim(texts, "[] \t\n\r")
    filled = pc.not_equal(inner, "").to_numpy(zero_copy_only=False)
    lengths = pc.count_substring(inner, ",").to_numpy(zero_copy_only=False) + filled
    whole = ",".join(inner.filter(pa.array(filled)).to_pylist())
    codes = np.fromstring(whole, np.int64, sep=",") if whole else np.empty(0, np.int64)
    return codes, np.append(0, np.cumsum(lengths))
