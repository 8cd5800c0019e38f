"""How fast certificates of a million operations are verified, and how large they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from analysis.certificates import canonical
from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, Verdict
from analysis.history import read_history
from analysis.proof.verify import verify
from tests.bench.bench_checkers import OPERATIONS, register_history, set_history
from tests.bench.support import Row, row

SHA256 = "0" * 64
ROUNDS = 3


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
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        verify(text, table, SHA256)
        found.append(time.perf_counter() - began)
    return min(found)


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
    return rows
