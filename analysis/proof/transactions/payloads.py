"""Payloads of transactions, all at once, as columns of their micro-operations."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.proof.rows import Ints, Refused, plain

Bytes = npt.NDArray[np.uint8]
Columns = tuple[npt.NDArray[Any], ...]
START = -1  # the value that a register has at first, and what is read where nothing is
R, APPEND = ord("r"), ord("a")  # first letters of the names of micro-operations
DIGITS_MAX = 18
BLOCK = 1 << 13  # payloads that are read together: no more than a cache holds


def joined(payload: pa.Array) -> tuple[bytes, Ints]:
    """(all texts one after another, where each begins, and the end)."""
    _, offsets, data = payload.cast(pa.large_string()).buffers()
    bounds = np.frombuffer(offsets, np.int64)[payload.offset :][: len(payload) + 1]
    text = data[bounds[0] : bounds[-1]].to_pybytes() if data else b""
    return text, bounds - bounds[0]


def read(text: bytes, bounds: Ints) -> Columns | None:
    """(micro-operations of each payload; of each of these the first letter of its name, its key,
    its value, where that begins in the text, a list after its bracket, and its size); None if any
    is written otherwise than `[["append",1,2],["r",1,[2,3]]]`: integers and null, no spaces.
    """
    whole, lists, found = np.frombuffer(text, np.uint8), b'"append"' in text, []
    for first in range(0, len(bounds) - 1, BLOCK):
        part = bounds[first : first + BLOCK + 1]
        columns = _read(whole[part[0] : part[-1]], part - part[0], lists=lists)
        if columns is None:
            return None
        columns[4][:] += part[0]
        found.append(columns)
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def _read(t: Bytes, bounds: Ints, *, lists: bool) -> Columns | None:
    quote = np.flatnonzero(t == ord('"'))
    opened, closed = quote[::2], quote[1::2]
    if len(quote) % 2 or (np.diff(bounds) < 2).any():
        return None
    place = np.searchsorted(opened, bounds)
    count = np.diff(place)
    some = count > 0
    first, last = place[:-1][some], place[1:][some] - 1
    end = np.append(opened, 0)[1:] - 3  # where each micro-operation has its last bracket
    end[last] = bounds[1:][some] - 2
    after = np.full(len(opened), ord(","))
    after[last] = ord("]")
    name, size = t[opened + 1], closed - opened - 1
    long = opened[name == APPEND]
    right = (
        (t[bounds[:-1]] == ord("[")).all()
        and (t[bounds[1:] - 1] == ord("]")).all()
        and (np.diff(bounds)[~some] == 2).all()
        and (opened[first] == bounds[:-1][some] + 2).all()
        and np.isin(name, [R, ord("w"), APPEND]).all()
        and (size == np.where(name == APPEND, 6, 1)).all()
        and all((t[long + 1 + n] == letter).all() for n, letter in enumerate(b"append"))
        and (t[opened - 1] == ord("[")).all()
        and (t[closed + 1] == ord(",")).all()
        and (end > closed + 3).all()
        and (t[end] == ord("]")).all()
        and (t[end + 1] == after).all()
    )
    if not right:
        return None
    key, comma = _integers(t, closed + 2)
    begin = comma + 1
    null, listed = t[begin] == ord("n"), t[begin] == ord("[")
    value = np.full(len(opened), START)
    value[~null & ~listed], stop = _integers(t, begin[~null & ~listed])
    right = (
        (t[comma] == ord(",")).all()
        and (stop == end[~null & ~listed]).all()
        and (end[null] == begin[null] + 4).all()
        and all((t[begin[null] + n] == letter).all() for n, letter in enumerate(b"null"))
        and (t[end[listed] - 1] == ord("]")).all()
        and (end > begin + listed).all()
        and ((name == R) >= listed).all()
        and (not listed.any() or lists)
        and (not lists or ((name == R) == (listed | null)).all())
    )
    signs = (size + 4).sum() + 4 * null.sum() + 2 * listed.sum() + 2 * len(count)
    if not right or not _tidy(t, signs):
        return None
    size = np.where(null, 0, end - begin - 2 * listed)
    return count, name, key, value, begin + listed, size


def _integers(t: Bytes, at: Ints) -> Columns:
    """(the integers that begin there, where each ends: -1 if there is none)."""
    value, place = np.zeros(len(at), np.int64), at
    for _ in range(DIGITS_MAX):
        digit = t[place] - ord("0")  # of what is less it is more than 9
        more = digit < 10
        if not more.any():
            break
        value = np.where(more, value * 10 + digit, value)
        place = place + more
    padded = (t[at] == ord("0")) & (place > at + 1)
    return value, np.where((place == at) | padded, -1, place)


def _tidy(t: Bytes, signs: int) -> bool:
    """Whether there are so many signs besides digits and commas, and commas are between things."""
    dot = t == ord(",")
    before = dot[1:] & (dot[:-1] | (t[:-1] == ord("[")))
    behind = dot[:-1] & (t[1:] == ord("]"))
    others = np.count_nonzero(t - ord("0") > 9) - np.count_nonzero(dot)
    return bool(others == signs and not before.any() and not behind.any())


class Numbered:
    """Payloads written anew, with a number for each key and value."""

    def __init__(self, texts: list[str], oks: list[bool], initial: Any) -> None:
        payloads = [json.loads(text) for text in texts]
        self.codes: dict[Any, int] = {}
        self._initial = initial
        self._lists = any(micro[0] == "append" for payload in payloads for micro in payload)
        again = [
            f"[{','.join(self._written(ok, *_micro(micro)) for micro in _list(payload))}]".encode()
            for ok, payload in zip(oks, payloads, strict=True)
        ]
        self.text, self.bounds = b"".join(again), np.cumsum([0, *map(len, again)])

    def _written(self, ok: bool, name: str, key: Any, value: Any) -> str:
        start = plain(value) in (None, self._initial) and not self._lists
        if start or (name == "r" and (value is None or not ok)):
            shown = "null"
        elif name == "r" and self._lists:
            shown = f"[{','.join(map(self._number, _list(value)))}]"
        else:
            shown = self._number(value)
        return f'["{name}",{self._number(key)},{shown}]'

    def _number(self, value: Any) -> str:
        return str(self.codes.setdefault(plain(value), len(self.codes)))


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Refused("a payload is no list of micro-operations, or a list was not read as one")
    return value


def _micro(micro: Any) -> tuple[str, Any, Any]:
    name, key, value = _list(micro)
    if name not in ("r", "w", "append"):
        raise Refused(f"there is no micro-operation {name!r}")
    return name, key, value
