"""Mixes of faults from published measurements, for `random: {preset: …}`.

The sources count different estates in different units, so three things are our choice and said
here: which of our faults stands for an event, that each of the three sources has the weight given
in GROUPS, and that the whole rate of the largest estate is aimed at one cluster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaos.spec.entries.base import SECOND_NS
from chaos.spec.random_schedule import MixEntry, RandomSchedule
from chaos.units import format_duration

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
COMPRESSION = 60.0  # a minute of the record is a second here

# Microsoft's data centres: network devices and links that failed a day.
# Gill, Jain, Nagappan: Understanding Network Failures in Data Centers, SIGCOMM 2011.
DEVICES_A_DAY, LINKS_A_DAY = 5.2, 40.8
# CENIC's backbone: how long a partition lasted, caused by software and by hardware.
# Turner, Levchenko, Snoeren, Savage: California Fault Lines, SIGCOMM 2010.
SOFTWARE = {"median_s": 2.7 * MINUTE_S, "p95_s": 19.9 * MINUTE_S}
HARDWARE = {"median_s": 32 * MINUTE_S, "p95_s": 3.7 * DAY_S}
# Chubby: outages in 700 days, and how many of them lasted more than 30 s.
# Burrows: The Chubby Lock Service for Loosely-Coupled Distributed Systems, OSDI 2006.
CHUBBY_OUTAGES, CHUBBY_LONG, CHUBBY_LONG_S = 61, 9, 30.0
# A Google cluster's first year: racks with half of their packets lost, network maintenances of
# about 30 minutes, router failures of about an hour.
# Dean: Designs, Lessons and Advice from Building Large Distributed Systems, LADIS 2009.
WONKY_RACKS, MAINTENANCES, ROUTERS = 5, 8, 3
# Of 100 drawn faults, how many come from each source.
GROUPS = {"microsoft": 50.0, "google": 25.0, "chubby": 25.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One kind of event: how much of the mix it is, the fault for it, how long it lasted."""

    source: str
    share: float  # of its group
    fault: Mapping[str, Any]
    lengths: Mapping[str, float]  # seconds of the record: median_s and p95_s, mean_s or exactly_s


MEASURED: tuple[Event, ...] = (
    Event(  # a link fails: one node is cut off, on the whole or in one direction
        source="microsoft",
        share=LINKS_A_DAY / 2,
        fault={"fault": "partition", "isolate": "random(1)"},
        lengths=SOFTWARE,
    ),
    Event(
        source="microsoft",
        share=LINKS_A_DAY / 2,
        fault={"fault": "partition", "isolate": "random(1)", "one_way": True, "direction": "in"},
        lengths=SOFTWARE,
    ),
    Event(  # a device fails: everything behind it is cut off, for long
        source="microsoft",
        share=DEVICES_A_DAY,
        fault={"fault": "partition", "isolate": "random(1)", "clients": "by-zone"},
        lengths=HARDWARE,
    ),
    Event(
        source="google",
        share=WONKY_RACKS,
        fault={"fault": "loss", "between": [["random(1)"], ["all"]], "rate": "50%"},
        lengths=SOFTWARE,
    ),
    Event(
        source="google", share=MAINTENANCES, fault={"fault": "restart", "target": "random(1)"},
        lengths={},
    ),
    Event(
        source="google",
        share=ROUTERS,
        fault={"fault": "partition", "isolate": "random(1)", "clients": "by-zone"},
        lengths={"exactly_s": HOUR_S},
    ),
    Event(  # a service that does not answer for a while: a frozen process
        source="chubby",
        share=1,
        fault={"fault": "pause", "target": "random(1)"},
        # Exponential, such that 9 of 61 last longer than 30 s.
        lengths={"mean_s": -CHUBBY_LONG_S / math.log(CHUBBY_LONG / CHUBBY_OUTAGES)},
    ),
)  # fmt: skip


def rate_per_s(compression: float = COMPRESSION) -> float:
    """Faults a second: what Microsoft counted in all its data centres, with time compressed."""
    return (DEVICES_A_DAY + LINKS_A_DAY) / DAY_S * compression


def mix(compression: float = COMPRESSION) -> tuple[MixEntry, ...]:
    """The measured mix, its durations divided by `compression`."""
    total = {source: sum(e.share for e in MEASURED if e.source == source) for source in GROUPS}
    return tuple(
        MixEntry.model_validate(
            {
                **event.fault,
                "weight": GROUPS[event.source] * event.share / total[event.source],
                **_lengths(event.lengths, compression),
            }
        )
        for event in MEASURED
    )


def filled(schedule: RandomSchedule) -> RandomSchedule:
    """The same schedule with what its preset stands for written out; without one, as it is."""
    if schedule.preset is None:
        return schedule
    compression = schedule.compression or COMPRESSION
    given: dict[str, Any] = {"mix": mix(compression), "preset": None, "compression": None}
    if schedule.count is None and schedule.rate is None:
        given["rate"] = rate_per_s(compression)
    return schedule.model_copy(update=given)


def _lengths(lengths: Mapping[str, float], compression: float) -> dict[str, Any]:
    def text(name: str) -> str:
        return format_duration(
            max(1, round(lengths[name] / compression * 1000)) * SECOND_NS // 1000
        )

    if not lengths:
        return {}
    if "exactly_s" in lengths:
        return {"for": text("exactly_s")}
    if "mean_s" in lengths:
        return {"for": {"exponential": text("mean_s")}}
    return {"for": {"lognormal": {"median": text("median_s"), "p95": text("p95_s")}}}
