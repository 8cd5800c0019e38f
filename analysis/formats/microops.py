"""Transactions in EDN or JSON as the JSON of docs/transactions.md, a column of them at a time.

`[[:append 1 2] [:r :x nil]]` becomes `[["append",1,2],["r",":x",null]]` by replacing bytes, and a
strict pattern of what may come out tells where that was right: all else is left to the parser of
edn.py, which reads what passes in the same way (a test compares).
"""

from __future__ import annotations

import re
from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.history import Mask

NAMES = ("append", "r", "w")
_COMMAS = bytes.maketrans(b" ", b",")
_SPACES = re.compile(rb"[ ,\t]+")
_KEYWORD = re.compile(rb",:([A-Za-z][\w.-]*)")
_WORD = r'(?:0|-?[1-9][0-9]{0,17}|null|true|false|"[A-Za-z0-9_./:-]*")'
_OPERATION = rf'\["(?:append|r|w)",{_WORD},(?:{_WORD}|\[(?:{_WORD}(?:,{_WORD})*)?\])\]'
EXACT = rf"^\[{_OPERATION}(?:,{_OPERATION})*\]$"  # JSON without spaces, as edn.canonical writes it


def of_edn(texts: pa.Array) -> tuple[pa.Array, Mask]:
    """The transactions in JSON, and which of them are: the others' texts mean nothing.

    `texts` are EDN values, none of them null.
    """
    if not len(texts):
        return texts, np.empty(0, np.bool_)
    joined = pc.binary_join_element_wise(texts, "", "\n")
    block = data_of(joined)
    if block.count(b"\n") != len(texts):
        return texts, np.zeros(len(texts), np.bool_)
    texts, exact = _of_edn(block)
    if not exact.all():
        texts, exact = _of_edn(_SPACES.sub(b" ", block))
    return texts, exact


def _of_edn(block: bytes) -> tuple[pa.Array, Mask]:
    """The lines of a block, where one space, or comma, stands between two things."""
    block = block.translate(_COMMAS).replace(b",nil", b",null")
    for name in NAMES:
        plain = name.encode()
        block = block.replace(b"[:" + plain + b",", b'["' + plain + b'",')
    if b",:" in block:
        block = _KEYWORD.sub(rb',":\1"', block)
    return _checked(cut(block))


def of_json(texts: pa.Array) -> tuple[pa.Array, Mask]:
    """The same for texts of JSON, without spaces or with one after each comma."""
    if len(texts):
        block = data_of(pc.binary_join_element_wise(texts, "", "\n"))
        if block.count(b"\n") != len(texts):
            return texts, np.zeros(len(texts), np.bool_)
        if b", " in block:
            texts = cut(block.replace(b", ", b","))
    return _checked(texts)


def _checked(texts: pa.Array) -> tuple[pa.Array, Mask]:
    exact = pc.match_substring_regex(texts, EXACT)
    return texts, pc.fill_null(exact, False).to_numpy(zero_copy_only=False)


def shown(texts: pa.Array, known: Set[str]) -> set[str]:
    """Which micro-operations, but for those `known`, stand in transactions of this form."""
    block = data_of(texts)
    return {name for name in NAMES if name not in known and f'["{name}",'.encode() in block}


def cut(block: bytes) -> pa.Array:
    """The lines of a block, each without its end; the last one must have one."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    starts = np.append(0, ends[:-1] + 1)
    # A line of length n takes n + 1 bytes, so the ends are dropped: texts lie one after another.
    offsets = np.append(0, np.cumsum(ends - starts)).astype(np.int32)
    data = block.replace(b"\n", b"")
    return pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data))


def data_of(texts: pa.Array) -> bytes:
    """The bytes of all texts, one after another."""
    _, offsets, data = texts.buffers()
    if data is None:
        return b""
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])].tobytes()
