"""What the operations of a set carry: an element, and the answer yes or no (docs/histories.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.history import History, Ints, Mask
from analysis.values import encode
from chaos.errors import RecordError

_PAIR = r"^\[(?P<element>-?(?:0|[1-9][0-9]{0,17})), ?(?P<answer>true|false)\]$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One cell for each asked row: its element as a code, whether that is null, and the answer.

    `listed` are the codes of all elements that whole reads show, one read after another; `lengths`
    how many each shows. `initial` are the codes of the initial elements.
    """

    code: Ints
    null: Mask
    yes: Mask
    listed: Ints
    listed_null: Mask
    lengths: Ints
    initial: Ints
    initial_null: Mask
    names: Mapping[int, Any]

    def content(self, code: int, null: bool) -> Any:
        """The element as JSON."""
        return None if null else self.names.get(code, code)


def read_answers(history: History, asked: Ints, reads: Ints, initial: list[Any]) -> Answers:
    """What the rows `asked` (adds, removals, questions) and the answered `reads` carry.

    RecordError for a payload that is no JSON, and for a read that shows no list.
    """
    code, null = history.value.values[asked].copy(), ~history.value.valid[asked]
    yes = np.ones(len(asked), np.bool_)
    contents: list[Any] = []
    places: list[int] = []
    if history.payload.null_count < len(history.payload):
        told = np.flatnonzero(null & pc.is_valid(history.payload).to_numpy(False)[asked])
        texts = history.payload.take(pa.array(asked[told])).cast(pa.string())
        pairs = pc.extract_regex(texts, _PAIR)
        plain = pc.is_valid(pairs).to_numpy(zero_copy_only=False)
        found = pairs.filter(pa.array(plain))
        code[told[plain]] = found.field("element").cast(pa.int64()).to_numpy(zero_copy_only=False)
        yes[told[plain]] = pc.equal(found.field("answer"), "true").to_numpy(zero_copy_only=False)
        null[told[plain]] = False
        for place in told[~plain].tolist():
            content = _json(history, int(asked[place]))
            if isinstance(content, list) and len(content) == 2 and isinstance(content[1], bool):
                content, yes[place] = content
            null[place] = content is None
            contents.append(content)
            places.append(place)
    lists = [_listed(history, int(row)) for row in reads]
    shown = [element for elements in lists for element in elements]
    codes, names = encode([*contents, *shown, *initial], code[~null])
    first, second = len(contents), len(contents) + len(shown)
    code[np.array(places, np.int64)] = codes.values[:first]
    return Answers(
        code=np.where(null, 0, code),
        null=null,
        yes=yes,
        listed=codes.values[first:second],
        listed_null=~codes.valid[first:second],
        lengths=np.array([len(elements) for elements in lists], np.int64),
        initial=codes.values[second:],
        initial_null=~codes.valid[second:],
        names=names,
    )


def _listed(history: History, row: int) -> list[Any]:
    """The elements that a whole read shows; null: none."""
    content = history.content(row) if history.value.valid[row] else _json(history, row)
    if content is None:
        return []
    if not isinstance(content, list):
        raise RecordError(f"operation {row}: expected a list of elements, got {content!r}")
    return content


def _json(history: History, row: int) -> Any:
    try:
        return history.content(row)
    except ValueError as error:
        raise RecordError(f"operation {row}: the payload is no JSON: {error}") from None
