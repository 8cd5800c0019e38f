"""Drawing a schedule from `random:`. The same seed gives exactly the same schedule, everywhere.

Only `Random.random()` is used, whose sequence Python promises to keep; what is made of it is
rounded to a millisecond.

A fault is drawn into one of `overlap` lanes. In a lane faults follow each other; what time they
leave free is cut at uniform points, which is where Poisson arrivals are once their number is known.
So no more than `overlap` are ever active, without refusing draws and drawing again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from chaos.errors import SpecError
from chaos.spec.entries.base import ScheduleEntry
from chaos.spec.experiment import Experiment
from chaos.spec.presets import filled
from chaos.spec.random_schedule import MixEntry, RandomSchedule
from chaos.units import format_duration

MS = 1_000_000
SHORTEST_MS = 500  # a shorter fault cannot be proven (chaos/spec/entries/base.py)
INSTANT_MS = 2000  # the time kept for a restart, which has no duration of its own
QUIET = 10  # a tenth of the load before and after, unless the file says otherwise
PRESET_LONGEST = 3  # a third of the time there is: what lasted days would be all there is to see


def expanded(experiment: Experiment, seed: int) -> Experiment:
    """The experiment with its `random:` drawn into its schedule, in the order of time.

    SpecError when a duration that was drawn does not suit its fault.
    """
    if experiment.random is None:
        return experiment
    drawn = draw(experiment.random, seed, experiment.duration_ns)
    schedule = sorted((*experiment.schedule, *drawn), key=lambda entry: entry.at_ns)
    return experiment.model_copy(update={"schedule": tuple(schedule), "random": None})


def draw(schedule: RandomSchedule, seed: int, duration_ns: int) -> list[ScheduleEntry]:
    """The faults of a load of `duration_ns`, in the order of time; `seed` is the run's."""
    spec = filled(schedule)
    rng = random.Random(f"{seed if spec.seed is None else spec.seed}/random")
    begin_ms, end_ms = window_ms(schedule, duration_ns)
    room_ms = end_ms - begin_ms
    longest_ms = _longest_ms(schedule, room_ms)
    lanes = [_Lane(room_ms=room_ms, gap_ms=_gap_ms(spec)) for _ in range(spec.overlap)]
    count = spec.count or _poisson(rng, (spec.rate or 0) * room_ms / 1000, most(spec, room_ms))
    for number in range(count):
        each = _chosen(spec.mix, rng.random())
        drawn_ms = _length_ms(spec, each, rng.random())
        length_ms = max(SHORTEST_MS, min(drawn_ms, longest_ms))
        in_turn = lanes[number % len(lanes) :] + lanes[: number % len(lanes)]
        fitting = [lane for lane in in_turn if lane.fits(length_ms)]
        if spec.count is None and not fitting:
            continue  # as many as there is time for
        lane = fitting[0] if fitting else min(in_turn, key=lambda lane: len(lane.faults))
        lane.add(each, length_ms)
    for lane in lanes:
        lane.shrink()
    found = [
        _entry(each, begin_ms + at_ms, length_ms)
        for lane in lanes
        for each, at_ms, length_ms in lane.placed(rng)
    ]
    return sorted(found, key=lambda entry: entry.at_ns)


def window_ms(schedule: RandomSchedule, duration_ns: int) -> tuple[int, int]:
    """When drawn faults may begin, and when all have ended, in ms of the load."""
    quiet_ns = duration_ns // QUIET
    begin = quiet_ns if schedule.from_ns is None else schedule.from_ns
    end = duration_ns - quiet_ns if schedule.until_ns is None else schedule.until_ns
    return -(-begin // MS), end // MS


def most(schedule: RandomSchedule, room_ms: int) -> int:
    """How many faults of the shortest duration there is time for."""
    gap_ms = _gap_ms(schedule)
    return schedule.overlap * max(0, (room_ms + gap_ms) // (SHORTEST_MS + gap_ms))


@dataclass(slots=True, kw_only=True)
class _Lane:
    """Faults one after the other, never two at once. Times are ms from the begin of the window."""

    room_ms: int
    gap_ms: int
    faults: list[tuple[MixEntry, int]] = field(default_factory=list)

    def used_ms(self) -> int:
        """The faults and the gaps between them."""
        return sum(ms for _, ms in self.faults) + self.gap_ms * max(0, len(self.faults) - 1)

    def fits(self, length_ms: int) -> bool:
        """Whether there is time for one more of that length."""
        gap_ms = self.gap_ms if self.faults else 0
        return self.used_ms() + gap_ms + length_ms <= self.room_ms

    def add(self, each: MixEntry, length_ms: int) -> None:
        """One more fault."""
        self.faults.append((each, length_ms))

    def shrink(self) -> None:
        """Shorten all in proportion where there is not time for them; none below the shortest."""
        over_ms = self.used_ms() - self.room_ms
        spare_ms = sum(ms - SHORTEST_MS for _, ms in self.faults)
        if over_ms > 0 and spare_ms > 0:
            kept = max(0, spare_ms - over_ms)
            self.faults = [
                (each, SHORTEST_MS + (ms - SHORTEST_MS) * kept // spare_ms)
                for each, ms in self.faults
            ]

    def placed(self, rng: random.Random) -> Iterator[tuple[MixEntry, int, int]]:
        """(fault, begin, length): the free time is shared out before, between and after them."""
        free_ms = max(0, self.room_ms - self.used_ms())
        before = sorted(int(rng.random() * (free_ms + 1)) for _ in self.faults)
        passed_ms = 0
        for (each, length_ms), offset_ms in zip(self.faults, before, strict=True):
            yield each, offset_ms + passed_ms, length_ms
            passed_ms += length_ms + self.gap_ms


def _entry(each: MixEntry, at_ms: int, length_ms: int) -> ScheduleEntry:
    try:
        return each.at(at_ms * MS, length_ms * MS)
    except ValidationError as error:
        wrong = error.errors()[0]
        said = str((wrong.get("ctx") or {}).get("error") or wrong["msg"])
        raise SpecError(
            f"a drawn `{each.entry.name}` of {format_duration(length_ms * MS)} cannot be: {said}",
            fix="give it a longer `for:`, such as {uniform: [5s, 10s]}",
        ) from None


def _chosen(mix: Sequence[MixEntry], share: float) -> MixEntry:
    """The entry of the mix at `share` of all weight."""
    left = share * sum(each.weight for each in mix)
    for each in mix:
        left -= each.weight
        if left < 0:
            return each
    return mix[-1]


def _length_ms(schedule: RandomSchedule, each: MixEntry, share: float) -> int:
    lengths = each.lengths or schedule.lengths
    if not each.lasting or lengths is None:
        return INSTANT_MS
    return round(min(lengths.at(share), 1e18) / MS)


def _longest_ms(schedule: RandomSchedule, room_ms: int) -> int:
    if schedule.longest_ns is not None:
        return min(schedule.longest_ns // MS, room_ms)
    return room_ms // PRESET_LONGEST if schedule.preset else room_ms


def _gap_ms(schedule: RandomSchedule) -> int:
    return -(-schedule.gap_ns // MS)


def _poisson(rng: random.Random, mean: float, most: int) -> int:
    """How many arrivals; at least one, for a run without any says nothing."""
    count, passed = 0, 0.0
    while count < most:
        passed -= math.log1p(-rng.random())
        if passed > mean:
            break
        count += 1
    return max(1, count)
