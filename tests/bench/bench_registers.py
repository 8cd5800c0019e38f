"""How fast registers are judged, and how that grows: verdict and order, from columns on."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from analysis.checkers import cas_register, register
from analysis.checkers.base import Checker, Context, Verdict
from analysis.history import read_history
from tests.bench.bench_checkers import register_history
from tests.bench.register_histories import busy, table
from tests.bench.support import Row, least, row

ROUNDS = 5
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)


def seconds(check: Checker, rows: pa.Table, verdict: Verdict = Verdict.VALID) -> float:
    """The least time of ROUNDS after a first one that may compile; of fewer where they are long."""
    history = read_history(rows)

    def work() -> None:
        result = check(history, Context())
        assert result.verdict is verdict, result.why
        assert verdict is Verdict.INVALID or result.claim is not None

    return least(work, ROUNDS + 1, warm=True)


def busy_clients() -> list[Row]:
    """Clients that are always busy: what a search cannot do."""
    rows = []
    for clients, count, goal in ((12, 10_000, "< 20"), (12, 120_000, "< 50")):
        what = f"{clients} clients, {count:,} operations, one key"
        history = table(busy(clients, count))
        rows.append(row(what, seconds(register.check, history) * 1000, "ms", goal))
    swaps = table(busy(12, 120_000, swaps=True))
    rows.append(
        row("· a third of them cas", seconds(cas_register.check, swaps) * 1000, "ms", "< 100")
    )
    stale = table(busy(12, 120_000, stale=True))
    wrong = seconds(register.check, stale, Verdict.INVALID) * 1000
    return [*rows, row("· one stale read, with its contradiction", wrong, "ms", "< 100")]


def growth() -> list[Row]:
    """64 clients; the goal is for a million operations."""
    rows = []
    for name, swaps, keys in (
        ("register", False, 1),
        ("register with cas", True, 1),
        ("register with cas, 1,000 keys", True, 1000),
    ):
        for count in SIZES:
            goal = "< 0.15" if count == 1_000_000 else ""
            history = register_history(count, keys, swaps=swaps)
            value = seconds(register.check, history)
            rows.append(row(f"growth: {name}, {count:,} operations", value, "s", goal))
    return rows


def run() -> list[dict[str, Any]]:
    """Rows {"what", "value", "unit", "goal"}; histories are made outside the measured time."""
    return [*busy_clients(), *growth()]
