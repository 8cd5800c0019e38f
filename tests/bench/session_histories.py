"""Transactions for benches, in the formats of other tools: `WRITERS` by format."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

SESSIONS = 20
KEYS = 1000
Operation = tuple[int, int, int]  # whether it writes, key, value; 0: nothing was there
Sessions = list[list[list[Operation]]]


def sessions(transactions: int, seed: int = 1) -> Sessions:
    """Transactions of four reads or writes, one after another, in turn by session."""
    rng = random.Random(seed)
    found: Sessions = [[] for _ in range(SESSIONS)]
    last: dict[int, int] = {}
    value = 0
    for number in range(transactions):
        done = []
        for _ in range(4):
            key, write = rng.randrange(KEYS), rng.random() < 0.5
            if write:
                value += 1
                last[key] = value
            done.append((int(write), key, last.get(key, 0)))
        found[number % SESSIONS].append(done)
    return found


def _awdit(path: Path, held: Sessions) -> None:
    with path.open("w") as out:
        for number, session in enumerate(held):
            out.write("=====\n" if number else "")
            for place, done in enumerate(session):
                out.write("-----\n" if place else "")
                out.writelines(f"{'rw'[write]} {key} {value}\n" for write, key, value in done)


def _polysi(path: Path, held: Sessions) -> None:
    with path.open("w") as out:
        for number, session in enumerate(held):
            for place, done in enumerate(session):
                out.writelines(
                    f"{'rw'[write]}({key},{value},{number + 1},{place * SESSIONS + number})\n"
                    for write, key, value in done
                )


def _dbcop_text(path: Path, held: Sessions) -> None:
    with path.open("w") as out:
        for number, session in enumerate(held):
            out.write("---\n" if number else "")
            for done in session:
                each = (f"x{k}{':=' if write else '=='}{value or '?'}" for write, k, value in done)
                out.write(f"[{' '.join(each)}]\n")


def _dbcop_json(path: Path, held: Sessions) -> None:
    data = [
        [
            {
                "events": [
                    {"Write" if write else "Read": {"variable": key, "version": value or None}}
                    for write, key, value in done
                ],
                "committed": True,
            }
            for done in session
        ]
        for session in held
    ]
    path.write_text(json.dumps(data, separators=(",", ":")))


def _dbcop_bincode(path: Path, held: Sessions) -> None:
    with path.open("wb") as out:
        out.write(struct.pack("<9Q", 1, SESSIONS, KEYS, len(held[0]), 4, 0, 0, 0, SESSIONS))
        for session in held:
            out.write(struct.pack("<Q", len(session)))
            for done in session:
                events = (struct.pack("<BQQB", *event, 1) for event in done)
                out.write(struct.pack("<Q", len(done)) + b"".join(events) + b"\1")


def _cobra(path: Path, held: Sessions) -> None:
    path.mkdir(exist_ok=True)
    for name, records in _records(held):
        (path / f"T{name}.log").write_bytes(b"".join(records))


def _records(held: Sessions) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Of each session its records; a transaction's number is its place in all."""
    nobody = 0xBEBEEBEE
    writer = {
        value: place * SESSIONS + number
        for number, session in enumerate(held)
        for place, done in enumerate(session)
        for write, _, value in done
        if write
    }

    def of(number: int, session: list[list[Operation]]) -> Iterator[bytes]:
        for place, done in enumerate(session):
            name = struct.pack(">q", place * SESSIONS + number)
            yield b"S" + name
            for write, key, value in done:
                seen = b"W" if write else b"R" + struct.pack(">q", writer.get(value, nobody))
                yield seen + struct.pack(">3q", value or nobody, key, value)
            yield b"C" + name

    for number, session in enumerate(held):
        yield number, of(number, session)


WRITERS: Mapping[str, Callable[[Path, Sessions], None]] = {
    "dbcop-json": _dbcop_json,
    "dbcop-text": _dbcop_text,
    "dbcop-bincode": _dbcop_bincode,
    "cobra": _cobra,
    "polysi-text": _polysi,
    "awdit": _awdit,
}


def list_events(transactions: int, seed: int = 1) -> Iterator[tuple[str, str, int, int, int]]:
    """(type, micro-operations in JSON, time, process, index) of list appends and reads of lists.

    Four micro-operations a transaction, half of them appends; a list grows to some 30 elements.
    """
    rng = random.Random(seed)
    lists: dict[int, list[int]] = {}
    time = value = 0
    for number in range(transactions):
        asked, told = [], []
        for _ in range(4):
            key = number // 20 + rng.randrange(3)
            held = lists.setdefault(key, [])
            if rng.random() < 0.5:
                value += 1
                held.append(value)
                asked.append(["append", key, value])
                told.append(["append", key, value])
            else:
                asked.append(["r", key, None])
                told.append(["r", key, list(held)])
        lists.pop(number // 20 - 1, None)
        for kind, done in (("invoke", asked), ("ok", told)):
            time += 1000
            yield kind, json.dumps(done), time, number % 16, 2 * number + (kind == "ok")


def write_list_json(path: Path, transactions: int) -> None:
    """The same as elle-cli takes it."""
    with path.open("w") as out:
        out.writelines(
            f'{{"type": "{kind}", "f": "txn", "value": {done}, "time": {time}, '
            f'"process": {process}, "index": {index}}}\n'
            for kind, done, time, process, index in list_events(transactions)
        )


def write_list_edn(path: Path, transactions: int) -> None:
    """The same as Jepsen writes it."""
    with path.open("w") as out:
        for kind, done, time, process, index in list_events(transactions):
            words = done.replace(",", "").replace("null", "nil")
            for name in ("append", "r"):
                words = words.replace(f'["{name}"', f"[:{name}")
            out.write(
                f"{{:type :{kind}, :f :txn, :value {words}, :time {time}, "
                f":process {process}, :index {index}}}\n"
            )
