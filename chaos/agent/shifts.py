"""How a clock is wrong: steps, skews, drifts, strobes, leaps, and their sum. Standard library only.

Times here are monotonic nanoseconds; a shift is what is added to the true time of day. The agent
turns shifts into slots of the stub (chaos/agent/vdso_stub.py); the controller uses `at` to know
what a database ought to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from chaos.agent.vdso_stub import FOR_EVER_NS, RATE_BITS, Slot, block

SECOND_NS = 1_000_000_000
KINDS = ("step", "skew", "drift", "strobe", "leap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One fault's share in a clock's error.

    step: `by_ns` from `start_ns` on. skew: reached evenly over `over_ns`. drift: `rate` per
    2**RATE_BITS, for as long as it lasts. strobe: `by_ns` for `every_ns`, nothing for `every_ns`,
    and so on. leap: one second back at `start_ns`.
    """

    kind: str
    start_ns: int
    by_ns: int = 0
    over_ns: int = 0
    every_ns: int = 0
    rate: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected one of {', '.join(KINDS)}, got {self.kind!r}")
        needed = {"skew": self.over_ns, "strobe": self.every_ns}.get(self.kind, 1)
        if needed <= 0:
            raise ValueError(f"a {self.kind} needs a time above zero, got {needed} ns")

    def at(self, t_ns: int) -> int:
        """The shift at a time, ns; what the stub computes."""
        x = t_ns - self.start_ns
        if x <= 0:
            return 0
        if self.kind == "drift":
            return (x * self.rate) >> RATE_BITS
        if self.kind == "skew" and x < self.over_ns:
            return (x * self._slope()) >> RATE_BITS
        if self.kind == "strobe":
            return 0 if (x // self.every_ns) % 2 else self.by_ns
        return -SECOND_NS if self.kind == "leap" else self.by_ns

    def _slope(self) -> int:
        return (self.by_ns << RATE_BITS) // self.over_ns

    def slot(self, utc_ns: int) -> Slot | None:
        """As the stub wants it, `utc_ns` being UTC minus monotonic; None: a mere constant."""
        start = self.start_ns + utc_ns
        if self.kind == "skew":
            return start, 0, self.over_ns, self._slope(), self.by_ns
        if self.kind == "drift":
            return start, 0, FOR_EVER_NS, self.rate, 0
        if self.kind == "strobe":  # counted from one flip earlier: off, on, off, on …
            return start - self.every_ns, 2 * self.every_ns, self.every_ns, 0, self.by_ns
        return (start, 0, 1, 0, -SECOND_NS) if self.kind == "leap" else None

    def plain(self) -> dict[str, Any]:
        """As JSON; `Shift(**plain)` is the same again."""
        return asdict(self)


def drift_rate(ppm: float) -> int:
    """Parts per million as parts of 2**RATE_BITS."""
    return round(ppm * (1 << RATE_BITS) / 1e6)


def total(shifts: Iterable[Shift], t_ns: int) -> int:
    """What they add up to at a time, ns."""
    return sum(shift.at(t_ns) for shift in shifts)


def as_block(shifts: Iterable[Shift], utc_ns: int) -> bytes:
    """All of them as one block of the stub. ValueError when it cannot hold them."""
    constant_ns, slots = 0, []
    for shift in shifts:
        slot = shift.slot(utc_ns)
        if slot is None:
            constant_ns += shift.by_ns
        else:
            slots.append(slot)
    return block(constant_ns, slots)


def utc_offset_ns() -> int:
    """UTC minus monotonic, as the host's own clocks have it: the closest of a few looks."""
    looks: list[tuple[int, int]] = []
    for _ in range(4):
        before = time.monotonic_ns()
        utc = time.time_ns()
        after = time.monotonic_ns()
        looks.append((after - before, utc - (before + after) // 2))
    return min(looks)[1]
