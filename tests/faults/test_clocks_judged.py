"""What readings of a database's clock prove: as asked, not as asked, or nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.agent.shifts import SECOND_NS, Shift
from chaos.faults.clock_watch import READINGS_MAX, Share, Watch, best, slope
from chaos.registry import FAULTS
from chaos.spec.entries import FAULT_ENTRIES
from chaos.systems.base import ClockReading, read_clock

MS = 1_000_000
ERROR_NS = 300_000
T0 = 5_000 * SECOND_NS

Clock = Callable[[int], float]  # since the fault began, ns → how wrong the clock is, ns


def make(kind: str, **asked: Any) -> Any:
    entry = FAULT_ENTRIES[kind].model_validate(
        {"at": "1s", "for": "10s", "fault": kind, "target": "n1", **asked}
    )
    return FAULTS.get(kind)("f1", entry)


def judged(kind: str, clock: Clock, *, over_s: float = 9.0, seed: int = 1, **asked: Any) -> Any:
    """What is said of a clock that is read 25 times a second, each time up to ERROR_NS wrong."""
    fault = make(kind, **asked)
    chosen = random.Random(seed)
    shares = []
    for k in range(1, int(over_s * 25)):
        since = k * 40 * MS + chosen.randrange(MS)
        error = chosen.randrange(ERROR_NS // 4, ERROR_NS)
        off = chosen.randrange(-error, error) // 3
        shares.append(Share(T0 + since, int(clock(since)) + off, error))
    return fault.verdict(shares, fault.shift(T0))


def strobe(by_ns: int, every_ns: int) -> Clock:
    return lambda since: 0 if (since // every_ns) % 2 else by_ns


AS_ASKED: list[tuple[str, dict[str, Any], Clock]] = [
    ("clock-step", {"by": "1h"}, lambda _: 3600 * SECOND_NS),
    ("clock-step", {"by": "-5m"}, lambda _: -300 * SECOND_NS),
    ("clock-back", {"by": "5m"}, lambda _: -300 * SECOND_NS),
    ("clock-skew", {"by": "2s", "over": "4s"}, lambda t: min(t / 2, 2 * SECOND_NS)),
    ("clock-skew", {"by": "-1s", "over": "10s"}, lambda t: -t / 10),
    ("clock-drift", {"ppm": 1000}, lambda t: t / 1000),
    ("clock-drift", {"ppm": -250.5}, lambda t: -t * 250.5 / 1e6),
    ("clock-strobe", {"by": "200ms", "every": "700ms"}, strobe(200 * MS, 700 * MS)),
    ("clock-leap", {}, lambda _: -SECOND_NS),
]


@pytest.mark.parametrize(("kind", "asked", "clock"), AS_ASKED)
def test_a_clock_as_asked_is_confirmed(kind: str, asked: dict[str, Any], clock: Clock) -> None:
    for seed in range(5):
        verdict = judged(kind, clock, seed=seed, **asked)
        assert verdict.outcome == "confirmed", verdict


@pytest.mark.parametrize(("kind", "asked", "clock"), AS_ASKED)
def test_a_clock_that_nobody_touched_is_a_mismatch(
    kind: str, asked: dict[str, Any], clock: Clock
) -> None:
    verdict = judged(kind, lambda _: 0, **asked)
    assert verdict.outcome == "mismatch", verdict
    assert verdict.why


@pytest.mark.parametrize(("kind", "asked", "clock"), [
    ("clock-step", {"by": "1s"}, lambda _: SECOND_NS + 8 * MS),
    ("clock-step", {"by": "1s"}, lambda _: -SECOND_NS),
    ("clock-step", {"by": "1s"}, lambda t: SECOND_NS if t < 6 * SECOND_NS else 0),
    ("clock-skew", {"by": "2s", "over": "4s"}, lambda t: 2 * SECOND_NS),
    ("clock-skew", {"by": "2s", "over": "8s"}, lambda t: min(t / 2, 2 * SECOND_NS)),
    ("clock-drift", {"ppm": 1000}, lambda t: t * 1040 / 1e6),
    ("clock-drift", {"ppm": 1000}, lambda t: t / 1000 + 20 * MS * (t > 5 * SECOND_NS)),
    ("clock-strobe", {"by": "200ms", "every": "700ms"}, strobe(200 * MS, 600 * MS)),
    ("clock-strobe", {"by": "200ms", "every": "700ms"}, lambda _: 200 * MS),
])  # fmt: skip
def test_a_clock_that_is_wrong_in_another_way_is_a_mismatch(
    kind: str, asked: dict[str, Any], clock: Clock
) -> None:
    assert judged(kind, clock, **asked).outcome == "mismatch"


@pytest.mark.parametrize(("kind", "asked", "over_s", "why"), [
    ("clock-step", {"by": "200us"}, 9, "less than can be seen"),
    ("clock-skew", {"by": "5ms", "over": "10s"}, 2, "less than can be seen so early"),
    ("clock-drift", {"ppm": 1}, 2, "less than can be seen in"),
    ("clock-drift", {"ppm": 1000}, 0.1, "too few answers"),
    ("clock-strobe", {"by": "1s", "every": "4s"}, 2, "not seen both"),
    ("clock-strobe", {"by": "100us", "every": "400ms"}, 5, "less than can be seen"),
])  # fmt: skip
def test_what_cannot_be_seen_is_not_claimed(
    kind: str, asked: dict[str, Any], over_s: float, why: str
) -> None:
    shift: Shift = make(kind, **asked).shift(T0)
    verdict = judged(kind, lambda t: shift.at(T0 + t), over_s=over_s, **asked)
    assert verdict.outcome == "inconclusive"
    assert why in verdict.why


def test_a_few_readings_astray_are_another_faults_comings_and_goings() -> None:
    def astray(since: int) -> float:
        return SECOND_NS + (SECOND_NS if since < 80 * MS else 0)

    verdict = judged("clock-step", astray, by="1s")
    assert verdict.outcome == "confirmed"
    assert verdict.measured["elsewhere"] == 1


@given(st.floats(-5000, 5000), st.integers(10, 300), st.integers(0, 2**30))
def test_a_slope_is_found_within_what_it_says_it_may_be_wrong_by(
    ppm: float, count: int, seed: int
) -> None:
    chosen = random.Random(seed)
    shares = [
        Share(
            T0 + k * 40 * MS,
            int(k * 40 * ppm) + 10**9 + int(chosen.gauss(0, 30_000)),
            100_000,
        )
        for k in range(count)
    ]
    found = slope(shares)
    assert found is not None
    assert abs(found[0] - ppm) <= 2 * found[1] + 0.01  # six sigma, so that chance is no failure


def test_no_slope_without_readings_or_time() -> None:
    assert slope([]) is None
    assert slope([Share(T0, k, 1) for k in range(9)]) is None


def test_a_watch_takes_off_what_others_add_and_what_was_there_before() -> None:
    said = {"offset": 700 * MS}
    others: dict[str, Shift | None] = {"f2": Shift(kind="step", start_ns=0, by_ns=200 * MS)}

    def ask() -> ClockReading | None:
        now = time.monotonic_ns()
        return ClockReading(said["offset"], 1000, now) if said["offset"] else None

    watch = Watch("n1", ask, others.copy, 5.0)
    try:
        assert len(watch.wait(0, 3, 2.0)) >= 3
        began = time.monotonic_ns()
        assert watch.baseline(began) == 500 * MS
        said["offset"] = 0  # it does not answer
        time.sleep(0.05)
        silent = time.monotonic_ns()
        assert watch.wait(silent, 1, 0.1) == []
        said["offset"] = 1200 * MS
        assert best(watch.wait(silent, 2, 2.0)).shift_ns == 1000 * MS
        others["f3"] = None  # another fault begins
        time.sleep(0.05)
        unsettled = time.monotonic_ns()
        assert watch.wait(unsettled, 1, 0.1) == []
        others["f3"] = Shift(kind="step", start_ns=0, by_ns=-300 * MS)
        assert best(watch.wait(unsettled, 2, 2.0)).shift_ns == 1300 * MS
        assert watch.baseline(0) == 0
        assert READINGS_MAX > 25 * 60
    finally:
        watch.close()


def test_a_reading_is_taken_in_the_middle_of_its_request() -> None:
    def ask() -> int:
        time.sleep(0.01)
        answer = time.time_ns() + 3 * SECOND_NS
        time.sleep(0.01)
        return answer

    reading = read_clock(ask, 1000)
    assert abs(reading.offset_ns - 3 * SECOND_NS) <= reading.error_ns
    assert reading.error_ns >= 10 * MS
