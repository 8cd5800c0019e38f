"""`dbcop-bincode`: dbcop's older binary, in which PolySI's histories are published, too.

Little-endian, without padding: five u64 (id, nodes, variables, transactions, events), three texts
(a u64 length, then UTF-8: info, start, end), u64 sessions; of each u64 transactions; of each u64
events, then a byte success; an event is a byte write, u64 variable, u64 value, a byte success. The
value 0 says that nothing was there, unless it was written.
(Biswas & Enea: "On the Complexity of Checking Transactional Consistency", OOPSLA 2019)
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from analysis.formats.base import Format, Imported
from analysis.formats.events import FAIL, OK
from analysis.formats.sessions import MicroOps, Sessions, counted, initial_reads
from analysis.formats.source import bad_byte, open_source
from analysis.history import Ints
from chaos.errors import HistoryError

U64 = struct.Struct("<Q")
HEADER = 5 * U64.size
TEXT_MAX = 1 << 15  # longer texts are none of dbcop's
EVENT = np.dtype([("write", "u1"), ("key", "<u8"), ("value", "<u8"), ("success", "u1")])
LEAST = U64.size + 1  # bytes of a transaction without events
AT_ONCE = 1 << 18  # events taken from the file at a time
Bytes: TypeAlias = npt.NDArray[np.uint8]


def recognises(path: Path, head: bytes) -> bool:
    """Five numbers, three texts and a number of sessions that the file is long enough for."""
    try:
        at = _header(path, memoryview(head))
        sessions = _number(path, memoryview(head), at, "sessions")
    except HistoryError:
        return False
    return at + sessions * U64.size <= path.stat().st_size


def read(path: Path, initial: Any) -> Imported:
    """The transactions of the file; HistoryError with the byte where it makes no sense."""
    with open_source(path) as file:
        held: Bytes = np.memmap(file, np.uint8, "r")
    session, place, count = _walk(path, held.data)
    committed = held[place + EVENT.itemsize * count] if len(place) else np.empty(0, np.uint8)
    _flags(path, committed, place + EVENT.itemsize * count)
    events = np.concatenate([np.empty(0, EVENT), *_events(path, held, place, count)])
    succeeded = events["success"] == 1
    left_out = int((~succeeded & np.repeat(committed == 1, count)).sum())
    if not succeeded.all():
        number = np.repeat(np.arange(len(count)), count)[succeeded]
        count, events = np.bincount(number, minlength=len(count)), events[succeeded]
    write, key, value = events["write"] == 1, _signed(events["key"]), _signed(events["value"])
    made = Sessions()
    null = initial_reads(write, key, value)
    operations = MicroOps(write=write, key=key, value=value, null=null)
    made.add(session, count, np.where(committed == 1, OK, FAIL), operations)
    notes = []
    if left_out:
        notes.append(
            f"left out: {counted(left_out, 'operation')} of committed transactions that failed"
        )
    return made.finish(path, initial, notes)


def _header(path: Path, data: memoryview) -> int:
    """Where the sessions begin: after five numbers and three texts."""
    if len(data) < HEADER:
        raise bad_byte(path, len(data), "five numbers of 8 bytes first", "the end of the file")
    at = HEADER
    for name in ("info", "start", "end"):
        size = _number(path, data, at, f"the length of a text ({name})")
        at += U64.size
        if size > min(TEXT_MAX, len(data) - at):
            raise bad_byte(path, at - U64.size, f"the length of a text ({name})", f"{size} bytes")
        try:
            bytes(data[at : at + size]).decode()
        except UnicodeDecodeError as error:
            raise bad_byte(path, at + error.start, f"a text in UTF-8 ({name})", "none") from None
        at += size
    return at


def _number(path: Path, data: memoryview, at: int, what: str) -> int:
    if at + U64.size > len(data):
        raise bad_byte(path, at, f"{what} (8 bytes)", "the end of the file", _CUT)
    number: int = U64.unpack_from(data, at)[0]
    return number


def _walk(path: Path, data: memoryview) -> tuple[Ints, Ints, Ints]:
    """Of each transaction its session, where its events begin, and how many they are."""
    at, unpack, end = _header(path, data), U64.unpack_from, len(data)
    sessions = _number(path, data, at, "a number of sessions")
    at += U64.size
    _fits(path, at, end, sessions, U64.size, "sessions")
    session, place, count = array("q"), array("q"), array("q")
    for number in range(sessions):
        transactions = _number(path, data, at, "a number of transactions")
        at += U64.size
        _fits(path, at, end, transactions, LEAST, "transactions")
        for _ in range(transactions):
            if at + U64.size > end:
                raise bad_byte(path, at, "a number of events", "the end of the file", _CUT)
            events = unpack(data, at)[0]
            at += U64.size
            if events > (end - at - 1) // EVENT.itemsize:
                _fits(path, at, end - 1, events, EVENT.itemsize, "events")
            session.append(number)
            place.append(at)
            count.append(events)
            at += events * EVENT.itemsize + 1
    if at != end:
        more = f"{counted(end - at, 'byte')} more"
        fix = "one file holds one history"
        raise bad_byte(path, at, "the end of the file after the last session", more, fix)
    found = [np.frombuffer(held, np.int64) for held in (session, place, count)]
    return found[0], found[1], found[2]


def _fits(path: Path, at: int, end: int, number: int, size: int, what: str) -> None:
    """HistoryError where so many things of at least `size` bytes are not in what is left."""
    if number * size > end - at:
        most = max(0, (end - at) // size)
        raise bad_byte(path, at - U64.size, f"at most {most} {what} in the bytes that are left",
                       str(number), _CUT)  # fmt: skip


def _events(path: Path, held: Bytes, place: Ints, count: Ints) -> Iterator[npt.NDArray[np.void]]:
    """The events of all transactions, some at a time."""
    if not count.any():
        return
    windows = np.lib.stride_tricks.sliding_window_view(held, EVENT.itemsize)
    ends = np.cumsum(count)
    for done in range(0, int(ends[-1]), AT_ONCE):
        number = np.arange(done, min(done + AT_ONCE, int(ends[-1])))
        owner = np.searchsorted(ends, number, side="right")
        at = place[owner] + EVENT.itemsize * (number - ends[owner] + count[owner])
        events = windows[at].view(EVENT)[:, 0]
        for name in ("write", "success"):
            _flags(path, events[name], at + EVENT.fields[name][1])  # type: ignore[index]
        yield events


def _flags(path: Path, found: Bytes, at: Ints) -> None:
    """HistoryError where a byte is neither 0 nor 1."""
    wrong = found > 1
    if wrong.any():
        first = int(np.argmax(wrong))
        raise bad_byte(path, int(at[first]), "a byte 0 (no) or 1 (yes)", str(found[first]), _CUT)


def _signed(numbers: npt.NDArray[np.uint64]) -> Any:
    """As int64 where that is the same."""
    whole = np.ascontiguousarray(numbers)
    return whole.view(np.int64) if int(whole.max(initial=0)) < 1 << 63 else whole


_CUT = "the file is cut, damaged, or no history of dbcop's"
FORMAT = Format(
    name="dbcop-bincode",
    about="dbcop's older binary (bincode), as PolySI's histories are published",
    signs="binary: five numbers of 8 bytes and three texts",
    recognises=recognises,
    read=read,
    kind="binary",
)
