"""What holds between `random:`, `abort_when:` and the rest of an experiment."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.spec.checks import check_entry
from chaos.spec.complaints import Complaint
from chaos.spec.drawing import SHORTEST_MS, most, window_ms
from chaos.spec.experiment import Experiment
from chaos.spec.group_checks import systems
from chaos.spec.parts import served
from chaos.spec.random_schedule import RandomSchedule
from chaos.spec.topology import Topology
from chaos.systems.base import HasRoles
from chaos.units import format_duration

MS = 1_000_000


def check_random(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Everything about the drawn part of an experiment that can be said before it is drawn."""
    if experiment.random is not None:
        for index, each in enumerate(experiment.random.mix):
            yield from check_entry(each.entry, ("random", "mix", index), topology)
        yield from _times(experiment.random, experiment.duration_ns)
    asked = [systems(topology).get(name) for name in served(experiment, topology)]
    dumb = [system.name for system in asked if system and not isinstance(system, HasRoles)]
    for index, condition in enumerate(experiment.abort_when):
        keys = {"no_quorum": condition.no_quorum_ns, "no_primary": condition.no_primary_ns}
        for key, given in keys.items():
            if given is not None and dumb:
                yield Complaint(
                    path=("abort_when", index, key),
                    message=f"{dumb[0]} nodes do not say which role they have",
                    fix="write `error_rate:` instead",
                )


def _times(schedule: RandomSchedule, duration_ns: int) -> Iterator[Complaint]:
    load = format_duration(duration_ns)
    if schedule.until_ns is not None and schedule.until_ns > duration_ns:
        yield Complaint(
            path=("random", "until"),
            message=f"expected an end within the load's {load}, got "
            f"{format_duration(schedule.until_ns)}",
        )
        return
    begin_ms, end_ms = window_ms(schedule, duration_ns)
    room_ms = end_ms - begin_ms
    if room_ms < SHORTEST_MS:
        yield Complaint(
            path=("random",),
            message=f"from {format_duration(begin_ms * MS)} until {format_duration(end_ms * MS)} "
            "there is no time for a fault of 500ms",
            fix=f"make the load longer than {load}, or the quiet times shorter",
            key=True,
        )
    elif schedule.count is not None and schedule.count > most(schedule, room_ms):
        yield Complaint(
            path=("random", "count"),
            message=f"expected at most {most(schedule, room_ms)} faults in "
            f"{format_duration(room_ms * MS)}, got {schedule.count}",
            fix="make the load longer, `gap` shorter or `overlap` larger",
        )
