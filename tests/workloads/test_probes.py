"""Probes: each in its own rhythm, none made up for, each once more at the end."""

from __future__ import annotations

import random

import pytest

from chaos.workloads import probes
from chaos.workloads.base import Dialogue, LoadShape
from chaos.workloads.probes import WORKLOAD

SHAPE = LoadShape(
    probes={
        "fast": {"every_s": 0.1, "objective": 1.0},
        "slow": {"every_s": 1.0, "objective": 0.5},
    }
)


class Clock:
    """A time that stands still but for what is slept, and what operations take."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(probes, "time", made)
    return made


def played(clock: Clock, seconds: float, takes_s: float, seed: int = 1) -> list[tuple[str, float]]:
    """(probe, when) of one client whose operations take so long."""
    asking = WORKLOAD.generator(SHAPE, 0, 1, random.Random(seed))
    begun = clock.now
    found = []
    while clock.now < begun + seconds:
        operation = asking.next()
        clock.now += operation.pause_s
        found.append((str(operation.key), clock.now - begun))
        clock.now += takes_s
        asking.outcome(operation, None)
    return found


def test_each_has_its_own_rhythm(clock: Clock) -> None:
    found = played(clock, 10.0, 0.001)
    times = {name: [at for key, at in found if key == name] for name in SHAPE.probes}
    assert len(times["fast"]) in (99, 100, 101)
    assert len(times["slow"]) in (10, 11)
    gaps = [b - a for a, b in zip(times["fast"], times["fast"][1:], strict=False)]
    assert all(gap == pytest.approx(0.1, abs=0.002) for gap in gaps)


def test_what_was_missed_is_not_made_up_for(clock: Clock) -> None:
    found = played(clock, 10.0, 0.5)
    assert len(found) == pytest.approx(20, abs=1)  # one after the other, and no burst
    assert sum(name == "slow" for name, _ in found) >= 5  # and none is starved


def test_clients_do_not_all_begin_at_once(clock: Clock) -> None:
    firsts = {played(clock, 0.3, 0.0, seed)[0][1] for seed in range(20)}
    assert len(firsts) == 20


def test_objectives_are_there_for_whoever_judges_and_each_is_asked_once_more() -> None:
    assert WORKLOAD.initial(SHAPE) == {"fast": 1.0, "slow": 0.5}
    final = WORKLOAD.final(SHAPE, 0, 1)
    assert isinstance(final, Dialogue)
    assert [operation.key for operation in final.script] == ["fast", "slow"]
