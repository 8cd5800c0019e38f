"""From the clients' hands into the segment, and the counters that go with it.

Client threads and the flushing thread share no lock: a lock taken for each operation would cost
more than the recording. Every assignment below is atomic in Python; only their order matters.

    a client                                     the flush
    current = ARMING                             1. watermark = now
    start = now                                  2. read current
    current = (operation, start)                 3. take rows
    … invoke …
    rows.append(finished)
    current = None

An operation that began before the watermark is found in flight at 2, or has been appended by then
and is taken at 3; seen in both places it is taken as finished. The one gap is a client seen ARMING
at 2, whose start may turn out to be before the watermark: the flush looks again, and if that does
not help keeps the watermark it had.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from chaos.load.client import ARMING, ClientThread, InFlight, Row
from chaos.record.segment import SegmentWriter

LATENCY_BUCKETS_PER_DECADE = 40
TYPE: Final = 8  # places in a row
START_NS: Final = 10
END_NS: Final = 11


class Recorder:
    """Takes what a worker's clients have done, writes it down and counts it."""

    def __init__(self, clients: Sequence[ClientThread], segment: SegmentWriter) -> None:
        self._clients = clients
        self._segment = segment
        self._watermark_ns = 0
        self._taken_ns = [-1] * len(clients)  # start of the last operation taken, by client
        self._totals: Counter[str] = Counter()
        self._last_s = time.monotonic()

    def flush(self, t0_ns: int, *, closed: bool = False) -> dict[str, Any]:
        """Write all that is finished or in flight; a tick: counts since the start and since the
        last flush, and how many operations took how long. `t0_ns` is the monotonic
        clock at the run's start, 0 before it (nothing to write yet). RecordError: disk full."""
        if not t0_ns:
            return self._tick([])
        now_ns = time.monotonic_ns() - t0_ns
        in_flight = self._in_flight()
        if in_flight is not None:
            self._watermark_ns = max(self._watermark_ns, now_ns)
        finished: list[Row] = []
        for i, client in enumerate(self._clients):
            taken = client.rows[: len(client.rows)]
            del client.rows[: len(taken)]
            if taken:
                self._taken_ns[i] = taken[-1][START_NS]
            finished += taken
        finished.sort(key=_end_ns)
        opened = [
            row
            for i, (zone, current) in (in_flight or {}).items()
            if (row := _open_row(zone, current, t0_ns, now_ns))[START_NS] > self._taken_ns[i]
        ]
        columns = list(zip(*finished, *opened, strict=True))
        self._segment.append(columns, self._watermark_ns, closed=closed)
        return self._tick(finished)

    def _in_flight(self) -> dict[int, tuple[str, InFlight]] | None:
        """What each client is at, with its zone; None if one would not say."""
        found = {}
        for i, client in enumerate(self._clients):
            current = client.current
            for _ in range(10):
                if current is not ARMING:
                    break
                time.sleep(0.0005)
                current = client.current
            else:
                return None
            if current is not None:
                found[i] = (client.zone, current)
        return found

    def _tick(self, finished: Sequence[Row]) -> dict[str, Any]:
        counts = Counter([row[TYPE] for row in finished])
        self._totals += counts
        now_s = time.monotonic()
        seconds, self._last_s = now_s - self._last_s, now_s
        connecting = [client for client in self._clients if client.connect_errors]
        return {
            "event": "tick",
            "seconds": round(seconds, 4),
            "total": dict(self._totals),
            "now": dict(counts),
            "latency": _latencies(
                [row[END_NS] - row[START_NS] for row in finished if row[TYPE] != "info"]
            ),
            "connected": sum(client.connected for client in self._clients),
            "connect_errors": sum(client.connect_errors for client in connecting),
            "connect_error": connecting[-1].connect_error if connecting else "",
            "skipped": sum(client.skipped for client in self._clients),
            "process_max": max((client.process for client in self._clients), default=-1),
        }


def _latencies(latencies_ns: Sequence[int]) -> dict[int, int]:
    """How many operations took how long: {bucket: count}. 40 buckets to a decade, each 6 % wide.
    Counts of several processes can be added up, which quantiles cannot."""
    logarithms = np.log10(np.maximum(np.array(latencies_ns, np.int64), 1))
    buckets, counts = np.unique(
        np.rint(LATENCY_BUCKETS_PER_DECADE * logarithms).astype(int), return_counts=True
    )
    return dict(zip(buckets.tolist(), counts.tolist(), strict=True))


def quantile_ms(buckets: Counter[int], q: float) -> float | None:
    """The q-quantile in milliseconds of the latencies counted in `buckets`, to within 3 %."""
    total = buckets.total()
    seen = 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= q * total:
            return float(10 ** (index / LATENCY_BUCKETS_PER_DECADE) / 1e6)
    return None


def _end_ns(row: Row) -> int:
    return row[END_NS]


def _open_row(zone: str, current: InFlight, t0_ns: int, now_ns: int) -> Row:
    operation, start, process, node = current
    start_ns = start - t0_ns
    return (
        process, node, zone, operation.f, operation.key, operation.value, operation.expected,
        operation.payload, "open", None, start_ns, max(start_ns, now_ns),
    )  # fmt: skip
