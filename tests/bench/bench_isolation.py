"""How fast transactions of registers are judged, model by model, and how that grows.

From columns: with payloads read. Each time is the least of three rounds; the first, which may
compile, does not count, and where it takes ten seconds it is the only one. What a certificate
claims is made in that time, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from analysis.checkers import isolation, rw_register
from analysis.checkers.base import CheckResult, Context, Verdict
from analysis.history import OK
from analysis.transactions.columns import NIL, READ, WRITE, Transactions
from tests.bench.list_histories import CLIENTS, TICK_NS, Serial, history
from tests.bench.support import Row, least, row

OPERATIONS = 4
SIZES = (10_000, 100_000, 1_000_000)
AXIOMATIC = ("read-committed", "read-atomic", "causal")

Numbers = npt.NDArray[np.int64]


def registers(count: int, *, stale: int = 0, timed: bool = True, seed: int = 1) -> Transactions:
    """`count` transactions of four blind writes or reads, in truth one after another; 32 clients.

    Every key is written some twenty times. `stale`: so many reads show the version before.
    `timed`: False for all at one moment, as in histories of tools that record no times.
    """
    rng = np.random.default_rng(seed)
    keys, size = max(1, count // 10), count * OPERATIONS
    key = rng.integers(0, keys, size)
    kind = np.where(rng.random(size) < 0.5, READ, WRITE).astype(np.int8)
    value = np.where(kind == WRITE, np.arange(size), NIL)
    order = np.argsort(key, kind="stable")
    written = np.flatnonzero(kind[order] == WRITE)
    seen = np.cumsum(kind[order] == WRITE) - 1
    late = np.zeros(size, np.int64)
    if stale:
        late[rng.choice(size, stale, replace=False)] = 1
    back = np.maximum(seen - late[order], 0)
    shown = order[written[back]] if len(written) else order
    right = (seen >= 0) & (key[shown] == key[order])
    reading = kind[order] == READ
    value[order[reading]] = np.where(right, shown, NIL)[reading]
    moment = (np.arange(count) + CLIENTS) * TICK_NS
    half = CLIENTS * TICK_NS // 2 - 1
    start, end = moment - rng.integers(0, half, count), moment + rng.integers(0, half, count)
    if not timed:
        start, end = np.zeros((2, count), np.int64)
    return _columns(count, key, kind, value, start, end)


def _columns(
    count: int, key: Numbers, kind: npt.NDArray[np.int8], value: Numbers, start: Numbers,
    end: Numbers,
) -> Transactions:  # fmt: skip
    names, code = np.unique(key, return_inverse=True)
    first = np.arange(count + 1) * OPERATIONS
    outcome = np.full(count, OK, np.int8)
    done = Serial(
        first=first, kind=kind, key=key, value=value, shown=np.zeros(len(key), np.int64),
        outcome=outcome, start=start, end=end,
    )  # fmt: skip
    return Transactions(
        history=history(done),
        rows=np.arange(count),
        process=np.arange(count) % CLIENTS,
        start=start,
        end=end,
        outcome=outcome,
        first=first,
        kind=kind,
        key=code.reshape(-1),
        value=value,
        list_first=np.zeros(len(key) + 1, np.int64),
        element=np.empty(0, np.int64),
        lists=False,
        mixed=False,
        names={},
        keys=names,
        key_names={},
    )


def timed(judge: Callable[[Context], CheckResult], verdict: Verdict, models: str) -> float:
    """The least time of three rounds after a first one, of fewer where they are long."""

    def work() -> None:
        result = judge(Context(models=models))
        assert result.verdict is verdict, result.why

    return least(work, 4, warm=True)


def one(told: Transactions, model: str, verdict: Verdict, models: str = "axiomatic") -> float:
    """Seconds that one model takes."""
    return timed(lambda context: isolation.judge(model, told, context), verdict, models)


def run() -> list[Row]:
    """Rows for docs/performance.md."""
    rows = []
    hundred = registers(100_000)
    timeless = registers(100_000, timed=False)
    broken = registers(100_000, stale=3)
    seconds = timed(lambda context: rw_register.judge(hundred, context), Verdict.VALID, "adya")
    rows.append(row("rw-register, 100,000 transactions, valid", seconds, "s", "< 2"))
    for told, verdict, what in (
        (hundred, Verdict.VALID, "accepted"),
        (timeless, Verdict.VALID, "without times, accepted"),
        (broken, Verdict.INVALID, "3 stale reads, refuted"),
    ):
        seconds = one(told, "serializable", verdict)
        rows.append(row(f"serializable, 100,000 transactions, {what}", seconds, "s", "< 2"))
    stale = registers(100_000, stale=3, timed=False)
    seconds = one(stale, "serializable", Verdict.INVALID)
    what = "serializable, 100,000 transactions, without times, 3 stale reads, refuted"
    rows.append(row(what, seconds, "s", "< 2"))
    for told, what in ((hundred, "accepted"), (timeless, "without times, accepted")):
        seconds = one(told, "snapshot-isolation", Verdict.VALID)
        rows.append(row(f"snapshot isolation, 100,000 transactions, {what}", seconds, "s", "< 2"))
    for count in SIZES:
        told = registers(count)
        for model in (*AXIOMATIC, "serializable"):
            goal = "< 5" if count == 1_000_000 and model in AXIOMATIC else ""
            seconds = one(told, model, Verdict.VALID)
            rows.append(row(f"growth: {model}, {count:,} operations", seconds, "s", goal))
    return rows
