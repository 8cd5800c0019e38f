"""Lines of a letter and some whole numbers, a block at a time: `w 3 14`, `r(3,14,0,2)`.

Where all lines of a block are as a tool writes them, Arrow reads it; else Python does, line by
line, and says which is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from analysis.formats.microops import cut, data_of
from analysis.formats.source import bad, blocks
from analysis.history import Ints

NUMBER = "(?:0|-?[1-9][0-9]{0,17})"
BLANK = ord("\n")
INT64 = np.iinfo(np.int64)
Letters = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What lines of a format look like."""

    columns: int  # numbers after the letter
    exact: str  # RE2 of a line as tools write it, blank lines and marks included
    tolerant: re.Pattern[str]  # groups: the letter, then the numbers; a mark alone has no numbers
    separator: str  # between numbers
    opens: bytes = b""  # between the letter and the numbers, if that is something else
    closes: bytes = b""  # after the last number
    form: str  # what a user is told that a line must be


def read(path: Path, lines: Lines) -> Iterator[tuple[Letters, list[Ints]]]:
    """(letter of each line, columns of those with numbers), a block at a time.

    A mark's letter is its first character; blank lines have `BLANK`. HistoryError with the line
    that is neither.
    """
    for number, block in blocks(path):
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        texts = cut(block)
        if pc.all(pc.match_substring_regex(texts, lines.exact)).as_py():
            yield _vectorised(block, texts, lines)
        else:
            yield _by_line(path, number, block, lines)


def _vectorised(block: bytes, texts: pa.Array, lines: Lines) -> tuple[Letters, list[Ints]]:
    held = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(held == BLANK)
    letters = held[np.append(0, ends[:-1] + 1)]
    told = (letters == ord("r")) | (letters == ord("w"))
    if not told.any():
        return letters, [np.empty(0, np.int64)] * lines.columns
    if not told.all():
        kept = texts.filter(pa.array(told))
        block = data_of(pc.binary_join_element_wise(kept, "", "\n"))
    separators = bytes.maketrans(lines.opens, lines.separator.encode() * len(lines.opens))
    table = pa.csv.read_csv(
        pa.BufferReader(block.translate(separators, lines.closes)),
        pa.csv.ReadOptions(column_names=["l", *map(str, range(lines.columns))], use_threads=False),
        pa.csv.ParseOptions(delimiter=lines.separator, quote_char=False),
        pa.csv.ConvertOptions(column_types={str(k): pa.int64() for k in range(lines.columns)}),
    )
    return letters, [table[str(k)].to_numpy() for k in range(lines.columns)]


def _by_line(path: Path, number: int, block: bytes, lines: Lines) -> tuple[Letters, list[Ints]]:
    letters, rows = bytearray(), []
    for line, text in enumerate(block.decode().split("\n")[:-1], number):
        text = text.strip()
        match = lines.tolerant.fullmatch(text)
        if text and match is None:
            raise bad(path, line, lines.form, repr(text))
        letters.append(ord(text[0].lower()) if text else BLANK)
        if match is not None and match[1]:
            rows.append([_number(path, line, digits) for digits in match.groups()[1:]])
    table = np.array(rows, np.int64).reshape(-1, lines.columns)
    return np.frombuffer(bytes(letters), np.uint8), list(table.T)


def _number(path: Path, line: int, digits: str) -> int:
    value = int(digits) if len(digits) < 40 else INT64.max + 1
    if not INT64.min <= value <= INT64.max:
        raise bad(path, line, "whole numbers of at most 64 bits", digits)
    return value
