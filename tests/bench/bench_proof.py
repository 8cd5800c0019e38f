"""How fast certificates of a million operations are verified, and how large they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.certificates import canonical
from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, Verdict
from analysis.history import read_history
from analysis.proof.verify import verify
from chaos.record.schema import HISTORY
from tests.bench.bench_checkers import OPERATIONS, register_history, set_history
from tests.bench.support import Row, least, row

SHA256 = "0" * 64
ROUNDS = 3
CLIENTS = 20
WRITES = 32  # of each key: a list has as many elements in the end


def certificate(name: str, table: pa.Table) -> bytes:
    """What `aftershock check` writes beside a valid history."""
    result = CHECKERS[name](read_history(table), Context())
    assert result.verdict is Verdict.VALID, result.why
    body: Mapping[str, Any] = {
        "certificate": 1,
        "property": name,
        "verdict": "valid",
        "history": {"operations": table.num_rows, "sha256": SHA256},
        "initial": None,
        "claims": [result.claim],
    }
    digest = hashlib.sha256(canonical(body)).hexdigest()
    return canonical({**body, "digest": digest})


def seconds(text: bytes, table: pa.Table) -> float:
    """From the bytes of the certificate to its acceptance; the history is in memory."""
    return least(lambda: verify(text, table, SHA256), ROUNDS)


def transactions(count: int, *, lists: bool) -> pa.Table:
    """Transactions of four micro-operations, half of them reads, one after another on ten keys at
    a time; each key is written `WRITES` times, and then another takes its place.
    """
    rng, state, active, fresh = Random(count), dict[int, list[str]](), list(range(10)), 10
    payloads = []
    for _ in range(count):
        micros = []
        for place in (rng.randrange(10) for _ in range(4)):
            values = state.setdefault(active[place], [])
            if rng.random() < 0.5:
                shown = f"[{','.join(values)}]" if lists else (values or ["null"])[-1]
                micros.append(f'["r",{active[place]},{shown}]')
                continue
            values.append(str(len(values) + 1))
            micros.append(f'["{"append" if lists else "w"}",{active[place]},{values[-1]}]')
            if len(values) == WRITES:
                active[place], fresh = fresh, fresh + 1
        payloads.append(f"[{','.join(micros)}]")
    starts = np.arange(count) * 1000
    data: dict[str, Any] = {field.name: pa.nulls(count, field.type) for field in HISTORY}
    data |= {"process": pa.array((np.arange(count) % CLIENTS).astype(np.int32))}
    data |= {"f": pa.array(["txn"]).take(pa.array(np.zeros(count, int))).dictionary_encode()}
    data |= {"type": pa.array(["ok"]).take(pa.array(np.zeros(count, int))).dictionary_encode()}
    data |= {"payload": pa.array(payloads, pa.string()), "start_ns": pa.array(starts)}
    data["end_ns"] = pa.array(starts + 1000 * (CLIENTS - 1))  # each overlaps with all other clients
    return pa.Table.from_arrays([data[field.name] for field in HISTORY], schema=HISTORY)


def claimed(name: str, table: pa.Table, claim: Mapping[str, Any]) -> bytes:
    """The certificate with a claim that is known to be true."""
    body = {
        "certificate": 1,
        "property": name,
        "verdict": "valid",
        "history": {"operations": table.num_rows, "sha256": SHA256},
        "initial": None,
        "claims": [claim],
    }
    return canonical({**body, "digest": hashlib.sha256(canonical(body)).hexdigest()})


def of_transactions() -> list[Row]:
    """Rows of certificates of transactions."""
    table, other = transactions(OPERATIONS, lists=True), transactions(OPERATIONS, lists=False)
    order = list(range(OPERATIONS))
    serial: dict[str, Any] = {"kind": "serialization", "order": order}
    both = {"kind": "snapshots", "order": [row for row in order for _ in range(2)]}
    commits = {"kind": "commit-order", "order": order}
    cases: list[tuple[str, pa.Table, Mapping[str, Any], str]] = [
        ("list-append", table, serial, "3"),
        ("rw-register", other, serial, "3"),
        ("snapshot-isolation", table, both, ""),
        ("causal", table, commits, ""),
        ("parallel-snapshot-isolation", table, commits, ""),
    ]
    return [
        row(f"{name}: {claim['kind']} of 1M transactions, 4M micro-operations, verified",
            seconds(claimed(name, history, claim), history), "s", goal)
        for name, history, claim, goal in cases
    ]  # fmt: skip


def run() -> list[Row]:
    """Rows for the table."""
    rows = []
    cases = [
        ("linearizable-register", 1, False),
        ("linearizable-register", 1000, False),
        ("linearizable-cas-register", 1000, True),
    ]
    for name, keys, swaps in cases:
        table = register_history(OPERATIONS, keys, swaps=swaps)
        text = certificate(name, table)
        what = f"{name}: a linear order of 1M operations, {keys:,} key(s), verified"
        rows.append(row(what, seconds(text, table), "s", "1"))
    rows.append(row("the size of such a certificate", len(text) / 1e6, "MB", "20"))
    table = set_history(OPERATIONS // 10)
    text = certificate("set", table)
    rows.append(row("set: 100k adds, 8 reads of all, counted again", seconds(text, table), "s"))
    return rows + of_transactions()
