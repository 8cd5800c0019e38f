"""A node's clock, as its database tells it, over the length of a fault.

The database is asked some 25 times a second from before the fault until after it. Each answer is a
reading: how far its clock is from this host's, and how wrong that may be (half of the request's
time). What other clock faults add to the same node at that moment is known and taken off, so that
what remains is this fault's own share.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaos.agent.shifts import Shift, total
from chaos.systems.base import ClockReading

EVERY_S = 0.04
AGAIN_S = 0.2  # a node that does not answer is left alone for so long
READINGS_MAX = 20_000
BASELINE_MAX = 10
READINGS_MIN = 5  # fewer tell no slope
SIGMAS = 3.0
SURE = 3.0  # a clock is wrong when it is so many times what the reading may be wrong by

Ask = Callable[[], ClockReading | None]
Others = Mapping[str, Shift | None]


@dataclass(frozen=True, slots=True)
class Share:
    """One reading without what other faults add: this fault's share, in ns."""

    at_ns: int
    shift_ns: int
    error_ns: int


class Watch:
    """Asks one node again and again, in a thread of its own.

    `others()`: the other faults' shifts of its clock now, None for one that just begins or ends;
    readings taken meanwhile tell nothing. It ends by itself after `lasts_s`, if nobody closes it.
    """

    def __init__(self, node: str, ask: Ask, others: Callable[[], Others], lasts_s: float) -> None:
        self._ask = ask
        self._others = others
        self._ends = time.monotonic() + lasts_s
        self._shares: list[Share] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"clock-{node}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._ended = True
        self._wake.set()

    def hurry(self) -> None:
        """Ask now."""
        self._wake.set()

    def between(self, since_ns: int, until_ns: int | None = None) -> list[Share]:
        """The readings that were certainly taken in a stretch of time."""
        with self._lock:
            shares = list(self._shares)
        return [
            s for s in shares
            if s.at_ns - s.error_ns > since_ns
            and (until_ns is None or s.at_ns + s.error_ns < until_ns)
        ]  # fmt: skip

    def wait(self, since_ns: int, count: int, deadline_s: float) -> list[Share]:
        """The same, once there are `count` of them or the deadline has passed."""
        end = time.monotonic() + deadline_s
        while True:
            found = self.between(since_ns)
            left_s = end - time.monotonic()
            if len(found) >= count or left_s <= 0:
                return found
            self.hurry()
            time.sleep(min(left_s, 0.005))

    def baseline(self, until_ns: int) -> int:
        """What the node's clock was wrong by before the fault, ns.

        Only another machine's clock is wrong by itself: 0 when it may have been right.
        """
        before = self.between(0, until_ns)[-BASELINE_MAX:]
        found = best(before) if before else None
        return found.shift_ns if found and abs(found.shift_ns) > SURE * found.error_ns else 0

    def _run(self) -> None:
        while not self._ended and time.monotonic() < self._ends:
            before = self._others()
            reading = self._ask()
            after = self._others()
            known = [shift for shift in after.values() if shift is not None]
            if reading is not None and before == after and len(known) == len(after):
                shift_ns = reading.offset_ns - total(known, reading.at_ns)
                with self._lock:
                    self._shares.append(Share(reading.at_ns, shift_ns, reading.error_ns))
                    if len(self._shares) > READINGS_MAX:
                        self._shares = self._shares[::2]
            self._wake.wait(EVERY_S if reading is not None else AGAIN_S)
            self._wake.clear()


def best(shares: Sequence[Share]) -> Share:
    """The most exact reading."""
    return min(shares, key=lambda share: share.error_ns)


def slope(shares: Sequence[Share]) -> tuple[float, float] | None:
    """(ppm, ± ppm): how fast the clock goes wrong, by least squares, the exact readings weighing
    more. None when there are too few.

    What a request takes one way more than the other shifts all readings alike and does not matter.
    """
    if len(shares) < READINGS_MIN:
        return None
    weights = [1 / max(share.error_ns, 1) ** 2 for share in shares]
    mean_t = _mean([share.at_ns for share in shares], weights)
    mean_y = _mean([share.shift_ns for share in shares], weights)
    t = [share.at_ns - mean_t for share in shares]
    y = [share.shift_ns - mean_y for share in shares]
    spread = _mean([a * a for a in t], weights)
    if not spread:
        return None
    rate = _mean([a * b for a, b in zip(t, y, strict=True)], weights) / spread
    left = _mean([(b - rate * a) ** 2 for a, b in zip(t, y, strict=True)], weights)
    weight = sum(weights) ** 2 / sum(w * w for w in weights)  # as many readings of equal weight
    return rate * 1e6, SIGMAS * (left / spread / max(weight - 2, 1)) ** 0.5 * 1e6


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
