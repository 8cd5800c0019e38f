"""Binary histories made by hand: dbcop's bincode and Cobra's logs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Event = tuple[int, int, int, int]  # write, variable, value, success
INITIAL, NULL = 0xBEBEEBEE, 0xDEADBEEF


def u64(*numbers: int) -> bytes:
    """Little-endian, as bincode writes them."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def header(*texts: str) -> bytes:
    """Five numbers and three texts."""
    held = [text.encode() for text in texts or ("info", "2020-01-01", "2020-01-02")]
    return u64(1, 2, 2, 2, 2) + b"".join(u64(len(text)) + text for text in held)


def bincode(sessions: Sequence[Sequence[tuple[Sequence[Event], int]]]) -> bytes:
    """A history: sessions of (events, success)."""
    out = header() + u64(len(sessions))
    for session in sessions:
        out += u64(len(session))
        for events, success in session:
            out += u64(len(events))
            out += b"".join(struct.pack("<BQQB", *event) for event in events)
            out += bytes([success])
    return out


def record(letter: str, *numbers: int) -> bytes:
    """One of Cobra's records."""
    return letter.encode() + b"".join((n % (1 << 64)).to_bytes(8, "big") for n in numbers)


def cobra(folder: Path, logs: dict[str, Sequence[tuple[Any, ...]]]) -> Path:
    """A folder of Cobra's logs, of each its records."""
    folder.mkdir(exist_ok=True)
    for name, records in logs.items():
        (folder / name).write_bytes(b"".join(record(*each) for each in records))
    return folder
