"""Register histories for measurements: clients that are always busy, logs like those of etcd."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pyarrow as pa

from chaos.record.schema import HISTORY

Operation = dict[str, Any]  # client, f, value, expected, kind (ok | info | refused), start, end
_FAILED = "cas-mismatch: another value was there"


def busy(
    clients: int, count: int, *, swaps: bool = False, stale: bool = False, seed: int = 1
) -> list[Operation]:
    """One register, every value written once; each client asks again as soon as it is answered.

    An operation takes effect at some moment of its interval. `stale`: in the middle, one read
    returns a value that has been replaced.
    """
    rng = random.Random(seed)
    clock = [(rng.random(), client) for client in range(clients)]
    heapq.heapify(clock)
    drawn = []
    for number in range(count):
        start, client = heapq.heappop(clock)
        end = start + rng.expovariate(1.0) + 0.01
        drawn.append((rng.uniform(start, end), number, client, start, end))
        heapq.heappush(clock, (end + 1e-6, client))
    held: int | None = None
    past: list[int | None] = [None]
    operations = []
    for _, number, client, start, end in sorted(drawn):
        f = rng.choice(["read", "write", "cas"] if swaps else ["read", "write"])
        found = held
        if f == "read" and stale and number > count // 2:
            found, stale = past[-20], False
        if f != "read":
            held = number
            past.append(number)
        operations.append({
            "client": client, "f": f, "value": found if f == "read" else number,
            "expected": found if f == "cas" else None, "kind": "ok",
            "start": int(start * 1e6), "end": int(end * 1e6),
        })  # fmt: skip
    return sorted(operations, key=lambda op: op["end"])


def etcd_like(seed: int, *, count: int = 85, clients: int = 5) -> list[Operation]:
    """A short log of reads, writes and swaps of the values 0 to 4; times are places in the log.

    One in five or six is never answered, many swaps are refused. Of every other seed one read
    returns a value drawn at random.
    """
    rng = random.Random(seed)
    wrong = rng.randrange(count // 3, count) if seed % 2 else -1
    held: int | None = None
    open_: dict[int, Operation] = {}
    late: list[Operation] = []  # without an answer, and without effect yet
    operations: list[Operation] = []
    place = 0
    while len(operations) < count or open_:
        place += 1
        client = rng.randrange(clients)
        for waiting in [*open_.values(), *late]:
            if not waiting["done"] and rng.random() < 0.2:
                held = _effect(waiting, held)
        if client not in open_:
            if len(operations) < count:
                open_[client] = _asked(rng, client, place) | {"number": len(operations)}
                operations.append(open_[client])
            continue
        operation = open_.pop(client)
        operation["end"] = place
        if rng.random() < 0.18 and operation["f"] != "read":
            operation["kind"] = "info"
            late.append(operation)
        elif not operation["done"]:
            held = _effect(operation, held)
        if operation["number"] >= wrong >= 0 and operation["f"] == "read":
            wrong = -1
            operation["value"] = rng.randrange(5)
    for operation in operations:
        if operation["kind"] == "ok" and operation.pop("missed", False):
            operation["kind"] = "refused"
    return sorted(operations, key=lambda op: op["end"])


def _asked(rng: random.Random, client: int, place: int) -> Operation:
    f = rng.choice(["read", "write", "cas", "cas"])
    return {
        "client": client, "f": f, "value": None if f == "read" else rng.randrange(5),
        "expected": rng.randrange(5) if f == "cas" else None, "kind": "ok", "done": False,
        "start": place, "end": place,
    }  # fmt: skip


def _effect(operation: Operation, held: int | None) -> int | None:
    """What is held after the operation; a read learns what is held."""
    operation["done"] = True
    if operation["f"] == "read":
        operation["value"] = held
        return held
    if operation["f"] == "cas" and held != operation["expected"]:
        operation["missed"] = True
        return held
    value: int = operation["value"]
    return value


def table(operations: list[Operation]) -> pa.Table:
    """The operations as rows of a history."""
    blank = dict.fromkeys(HISTORY.names)
    types = {"ok": "ok", "info": "info", "refused": "fail"}
    errors = {"ok": None, "info": "timeout: no answer", "refused": _FAILED}
    rows = [
        blank | {
            "process": op["client"], "f": op["f"], "value": op["value"],
            "expected": op["expected"], "type": types[op["kind"]], "error": errors[op["kind"]],
            "start_ns": op["start"], "end_ns": op["end"],
        }
        for op in operations
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=HISTORY)
