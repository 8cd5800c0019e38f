"""What reads of a bank show, as arrays: one cell for each different payload.

Payloads are objects, account → balance. Those whose accounts are the same and whose balances are
integers of 64 bits, as nearly all are, are read by Arrow at once; the others one by one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from analysis.history import OK, History, Ints, Mask
from chaos.errors import RecordError

ARROW_FROM = 100  # fewer payloads are read one by one
ACCOUNTS_MAX = 1_000  # so are those of more accounts
CELLS_MAX = 100_000_000
SHAPE = 'an object {"account": balance, …} with whole numbers or null as balances'
Numbers = npt.NDArray[Any]  # integers of 64 bits, or Python's


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of a bank besides its reads, from the initial value."""

    accounts: frozenset[str] | None = None
    total: int | None = None
    negative: bool = False  # whether balances may be below zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """`rows`: ok reads that show something, by row; `place`: the payload of each. The others have a
    cell for each payload. `total` means something where a read is `whole`.
    """

    rows: Ints
    place: Ints
    total: Numbers
    unexpected: Mask  # an account that was not told
    missing: Mask  # a balance of null, or an account that was told and is not there
    negative: Mask  # a balance below zero that may not be

    @property
    def whole(self) -> Mask:
        """Whether the total can be compared."""
        return ~(self.unexpected | self.missing)


def told(initial: Any) -> Told:
    """What an initial value tells; RecordError when it is of no bank."""
    if initial is None:
        return Told()
    if type(initial) is int:
        return Told(total=initial)
    if isinstance(initial, dict) and type(initial.get("negative")) is bool:
        rest = initial.keys() - {"negative"}
        if len(rest) == 1 and rest <= {"total", "accounts"}:
            inner = told(initial[rest.pop()])
            return Told(accounts=inner.accounts, total=inner.total, negative=initial["negative"])
    elif isinstance(initial, dict) and {int} >= set(map(type, initial.values())):
        low = any(balance < 0 for balance in initial.values())
        return Told(accounts=frozenset(initial), total=sum(initial.values()), negative=low)
    raise RecordError(
        'expected the initial value of a bank to be a total (100), its accounts ({"a": 60, "b": '
        '40}), or {"total" or "accounts": one of these, "negative": true or false}, '
        f"got {json.dumps(initial)[:80]}"
    )


def read_balances(history: History, known: Told) -> Balances:
    """The balances of a history; RecordError where a read shows something else."""
    reads = np.flatnonzero(history.f.equals("read") & (history.type == OK))
    if bool(history.value.valid[reads].any()):
        row = int(reads[np.argmax(history.value.valid[reads])])
        raise RecordError(f"operation {row}: expected {SHAPE}, got {history.content(row)!r}")
    payload = history.payload.take(pa.array(reads))
    there = pc.and_(pc.is_valid(payload), pc.not_equal(payload, "null"))
    reads = reads[pc.fill_null(there, False).to_numpy(zero_copy_only=False)]
    texts = pc.dictionary_encode(history.payload.take(pa.array(reads)).cast(pa.string()))
    place = texts.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    columns = _columns(texts.dictionary, known)
    if columns is None:
        first = np.unique(place, return_index=True)[1]
        columns = _one_by_one(texts.dictionary.to_pylist(), reads[first].tolist(), known)
    total, unexpected, missing, negative = columns
    return Balances(
        rows=reads,
        place=place,
        total=total,
        unexpected=unexpected,
        missing=missing,
        negative=negative & ~np.bool_(known.negative),
    )


Columns = tuple[Numbers, Mask, Mask, Mask]  # total, unexpected, missing, negative


def _columns(texts: pa.Array, known: Told) -> Columns | None:
    """All payloads at once; None if they are not alike."""
    if len(texts) < ARROW_FROM or not _flat(texts):
        return None
    try:
        first = json.loads(texts[0].as_py())
    except (ValueError, RecursionError):
        return None
    alike = isinstance(first, dict) and 0 < len(first) <= ACCOUNTS_MAX
    if not alike or len(first) * len(texts) > CELLS_MAX:
        return None
    longest = pc.max(pc.binary_length(texts)).as_py()
    try:
        table = arrow_json.read_json(
            io.BytesIO("\n".join(texts.to_pylist()).encode()),
            read_options=arrow_json.ReadOptions(block_size=max(1 << 22, 2 * longest)),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=pa.schema([(name, pa.int64()) for name in first]),
                unexpected_field_behavior="error",
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeEncodeError):
        return None
    if table.num_rows != len(texts) or any(column.null_count for column in table.columns):
        return None
    cells = [column.to_numpy() for column in table.columns]
    size = max(max(abs(int(c.min())), abs(int(c.max()))) for c in cells)
    if size * len(cells) >= 2**62:
        return None
    never, always = (np.full(len(texts), each, np.bool_) for each in (False, True))
    strange = known.accounts is not None and not first.keys() <= known.accounts
    absent = known.accounts is not None and not known.accounts <= first.keys()
    total, negative = np.zeros(len(texts), np.int64), never.copy()
    for cell in cells:
        total += cell
        negative |= cell < 0
    return total, always if strange else never, always if absent else never, negative


def _flat(texts: pa.Array) -> bool:
    """Whether each text has one object only, in one line, if it is JSON at all."""
    one = [pc.all(pc.equal(pc.count_substring(texts, mark), 1)).as_py() for mark in "{}"]
    return all(one) and not pc.any(pc.match_substring_regex(texts, r"[\r\n]")).as_py()


def _one_by_one(texts: Sequence[str], rows: Sequence[int], known: Told) -> Columns:
    """Each payload by itself."""
    flags = np.zeros((3, len(texts)), np.bool_)
    totals: list[int] = []
    for at, (text, row) in enumerate(zip(texts, rows, strict=True)):
        shown = _object(text, row)
        balances = shown.values()
        totals.append(sum(balance or 0 for balance in balances))
        names = known.accounts if known.accounts is not None else shown.keys()
        flags[:, at] = (
            bool(shown.keys() - names),
            bool(names - shown.keys()) or None in balances,
            any(balance is not None and balance < 0 for balance in balances),
        )
    small = all(abs(total) < 2**62 for total in totals)
    unexpected, missing, negative = flags
    return np.array(totals, np.int64 if small else object), unexpected, missing, negative


def _object(text: str, row: int) -> dict[str, int | None]:
    try:
        shown = json.loads(text)
    except (ValueError, RecursionError):
        raise RecordError(f"operation {row}: its payload is not JSON") from None
    if isinstance(shown, dict) and {int, type(None)} >= set(map(type, shown.values())):
        return shown
    raise RecordError(f"operation {row}: expected {SHAPE}, got {text[:80]}")
