"""`cobra`: a folder of Cobra's logs, `T<number>.log`, one of each session.

Big-endian, one record after another: `S` transaction · `R` writer's transaction, write, key,
value · `W` write, key, value · `C` transaction, each a letter and numbers of 8 bytes. Keys and
values are hashes. What a read saw is told by the write's number, which stands for the value here;
that of the initial state, or of nothing, is null.
(Tan, Zhao, Mu & Walfish: "Cobra: Making Transactional Key-Value Stores Verifiably Serializable",
OSDI 2020)
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats.base import Format, Imported
from analysis.formats.events import INFO, OK
from analysis.formats.sessions import MicroOps, Sessions, counted
from analysis.formats.source import bad_byte, open_source
from analysis.history import Ints, Mask
from chaos.errors import HistoryError

START, READ, WRITE, COMMIT = b"SRWC"
SIZES = {START: 9, READ: 33, WRITE: 25, COMMIT: 9}
NUMBER = np.dtype(">i8")
NOTHING = (0xBEBEEBEE, 0xBEBEEBEE - (1 << 32), 0xDEADBEEF, 0xDEADBEEF - (1 << 32))  # initial, null
COLLECTOR = (0x23332333, 0x66666666)  # marks of the garbage collection, written by no client
_OF_ALL = ("count", "whole")
LOG = re.compile(r"T(\d{1,9})\.log")
Bytes: TypeAlias = npt.NDArray[np.uint8]


def recognises(path: Path, head: bytes) -> bool:
    """A folder with logs such as T1.log in it, that is no run directory."""
    return path.is_dir() and not (path / "run.json").exists() and bool(_logs(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """One session's records. Arrays `at` and `writer` have a cell for each operation."""

    name: int
    id: Ints  # of each transaction
    count: Ints
    whole: Mask  # whether it committed
    write: Mask
    writer: Ints  # of reads: the transaction that wrote it; of writes: their own
    wid: Ints
    key: Ints


def read(path: Path, initial: Any) -> Imported:
    """The transactions of the logs; HistoryError with the byte where one makes no sense."""
    if not path.is_dir():
        raise HistoryError(
            f"expected a folder of Cobra's logs at {path}, found a file",
            fix="name the folder that holds T1.log, T2.log, …",
        )
    logs = [_log(file, name) for name, file in _logs(path) if file.stat().st_size]
    if not logs:
        raise HistoryError(f"expected logs such as T1.log with transactions in {path}, found none")
    write, writer, wid, key = (
        np.concatenate([getattr(log, name) for log in logs])
        for name in ("write", "writer", "wid", "key")
    )
    count, whole = (np.concatenate([getattr(log, name) for log in logs]) for name in _OF_ALL)
    session = np.repeat([log.name for log in logs], [len(log.id) for log in logs])
    notes = []
    marks = np.isin(wid, COLLECTOR)
    if marks.any():
        number = np.repeat(np.arange(len(count)), count)[~marks]
        count = np.bincount(number, minlength=len(count))
        write, writer, wid, key = write[~marks], writer[~marks], wid[~marks], key[~marks]
        left_out = counted(int(marks.sum()), "operation")
        notes.append(f"left out: {left_out} on marks of the garbage collection")
    if not whole.all():
        notes.append(f"{counted(int((~whole).sum()), 'transaction')} without an end: indeterminate")
    null = ~write & np.isin(wid, NOTHING) & ~np.isin(wid, wid[write])
    value = _values(write, writer, wid, key, null)
    made = Sessions()
    operations = MicroOps(write=write, key=key, value=value, null=null)
    made.add(session, count, np.where(whole, OK, INFO), operations)
    return made.finish(path, initial, notes)


def _values(write: Mask, writer: Ints, wid: Ints, key: Ints, null: Mask) -> Any:
    """Numbers of writes, with the writer's before them where they alone do not tell the write."""
    order = np.lexsort((wid[write], key[write]))
    keys, wids, writers = (column[write][order] for column in (key, wid, writer))
    told = not ((keys[1:] == keys[:-1]) & (wids[1:] == wids[:-1])).any()
    if told and len(wids):
        read = ~write & ~null
        by_wid = np.argsort(wids, kind="stable")
        wids, writers = wids[by_wid], writers[by_wid]
        place = np.minimum(np.searchsorted(wids, wid[read]), len(wids) - 1)
        known = wids[place] == wid[read]
        told = bool((wids[1:] != wids[:-1]).all())
        told = told and bool((writers[place] == writer[read])[known].all())
    if told:
        return wid
    parts = [pa.array(column).cast(pa.string()) for column in (writer, wid)]
    return pc.binary_join_element_wise("[", parts[0], ",", parts[1], "]", "")


def _logs(path: Path) -> list[tuple[int, Path]]:
    """(session, file) by session."""
    try:
        found = [(LOG.fullmatch(file.name), file) for file in path.iterdir()]
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from None
    return sorted((int(match[1]), file) for match, file in found if match is not None)


def _log(path: Path, name: int) -> _Log:
    with open_source(path) as file:
        held: Bytes = np.memmap(file, np.uint8, "r")
    place = _walk(path, held.data)
    letters = held[place]
    windows = np.lib.stride_tricks.sliding_window_view(held, NUMBER.itemsize)

    def numbers(of: Ints, which: int) -> Ints:
        at = of + 1 + NUMBER.itemsize * which
        return windows[at].view(NUMBER)[:, 0].astype(np.int64) if len(at) else of

    starts, ends = place[letters == START], place[letters == COMMIT]
    operation = (letters == READ) | (letters == WRITE)
    number = np.cumsum(letters == START) - 1  # of each record: its transaction
    _in_order(path, letters, place)
    id_ = numbers(starts, 0)
    ended = number[letters == COMMIT]
    named = numbers(ends, 0)
    if (id_[ended] != named).any():
        wrong = int(np.argmax(id_[ended] != named))
        raise bad_byte(path, int(ends[wrong]), f"the end of transaction {id_[ended][wrong]}",
                       f"that of {named[wrong]}")  # fmt: skip
    write = letters[operation] == WRITE
    at = place[operation]
    behind = at + np.where(write, 0, NUMBER.itemsize)  # a read begins with its writer
    return _Log(
        name=name,
        id=id_,
        count=np.bincount(number[operation], minlength=len(id_)),
        whole=np.isin(np.arange(len(id_)), ended),
        write=write,
        writer=np.where(write, id_[number[operation]], numbers(at, 0)),
        wid=numbers(behind, 0),
        key=numbers(behind, 1),
    )


def _walk(path: Path, data: memoryview) -> Ints:
    """Where each record begins."""
    places, at, end = array("q"), 0, len(data)
    append, sizes = places.append, [SIZES.get(letter, 0) for letter in range(256)]
    while at < end:
        size = sizes[data[at]]
        if not size:
            raise bad_byte(path, at, "a record S, R, W or C", f"the byte 0x{data[at]:02x}", _CUT)
        append(at)
        at += size
    if at > end:
        raise bad_byte(path, places[-1], f"a record of {sizes[data[places[-1]]]} bytes",
                       "the end of the file", _CUT)  # fmt: skip
    return np.frombuffer(places, np.int64)


def _in_order(path: Path, letters: Bytes, place: Ints) -> None:
    """HistoryError for an operation, or an end, outside of a transaction."""
    inside = np.append(False, letters[:-1] != COMMIT)
    wrong = (letters != START) & ~inside
    if wrong.any():
        first = int(np.argmax(wrong))
        raise bad_byte(path, int(place[first]), "the start of a transaction (S)",
                       f"a record {chr(letters[first])}")  # fmt: skip


_CUT = "the file is cut, damaged, or no log of Cobra's"
FORMAT = Format(
    name="cobra",
    about="a folder of Cobra's binary logs, T1.log and so on, one of each session",
    signs="folder with files T1.log, T2.log, …",
    recognises=recognises,
    read=read,
    kind="folder",
)
