"""What a link does to packets, as stages: the link as it always is, then the faults on it.

Each fault has a stage of its own, so that faults overlap and heal independently. Standard library
only; part of the agent.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DISTRIBUTIONS = ("uniform", "normal", "pareto")

Way = tuple[str, str]  # addresses: from, to


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. Probabilities are 0 to 1, of packets.

    `jitter_us` is half the width of a uniform distribution, the standard deviation of the others.
    `burst`: mean number of packets lost in a row; 0: each by chance. `reorder`: held back by
    `late_us`, so that later packets overtake. `rate_bps`: bits a second, 0 for no limit; what
    waits beyond `backlog_bytes` is dropped. `leased`: a fault's, which ends with the controller.
    """

    name: str
    leased: bool = True
    delay_us: float = 0.0
    jitter_us: float = 0.0
    distribution: str = "uniform"
    loss: float = 0.0
    burst: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    late_us: float = 0.0
    corrupt: float = 0.0
    rate_bps: float = 0.0
    backlog_bytes: int = 0
    seed: int = 0

    @property
    def hold_s(self) -> float:
        """How long it holds a packet back at most, its backlog included; seconds."""
        waiting = 8 * self.backlog_bytes / self.rate_bps if self.rate_bps else 0.0
        return (self.delay_us + 20 * self.jitter_us + self.late_us) / 1e6 + waiting


def stage(name: str, values: Mapping[str, Any], way: Way) -> Stage:
    """A fault's stage from a request; ValueError says what is wrong. Each way draws for itself."""
    known = set(Stage.__dataclass_fields__) - {"name", "leased"}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"expected keys of a stage ({', '.join(sorted(known))}), got {unknown}")
    for key, value in values.items():
        if key == "distribution":
            if value not in DISTRIBUTIONS:
                raise ValueError(f"expected one of {', '.join(DISTRIBUTIONS)}, got {value!r}")
        elif not isinstance(value, int | float) or not 0 <= value < 1e15:
            raise ValueError(f"expected {key} as a number from 0 on, got {value!r}")
        elif key in ("loss", "duplicate", "reorder", "corrupt") and value > 1:
            raise ValueError(f"expected {key} as a probability, got {value!r}")
    seed = int(values.get("seed", 0)) * 1_000_003 + zlib.crc32(">".join(way).encode())
    return Stage(name=name, **{**values, "seed": seed & (2**63 - 1)})


class Stages:
    """The stages of every way: `set` and `unset` say which ways they changed."""

    def __init__(self) -> None:
        self._by_way: dict[Way, list[Stage]] = {}

    def on(self, way: Way) -> list[Stage]:
        """Its stages, in order."""
        return list(self._by_way.get(way, ()))

    def ways(self) -> list[Way]:
        """Those with stages."""
        return list(self._by_way)

    def set(self, way: Way, new: Stage) -> None:
        """Add a stage behind the others (what is not leased comes first), or replace it."""
        there = self._by_way.setdefault(way, [])
        for k, old in enumerate(there):
            if old.name == new.name:
                there[k] = new
                return
        at = len(there) if new.leased else sum(1 for old in there if not old.leased)
        there.insert(at, new)

    def unset(self, name: str) -> list[Way]:
        """Remove the stage of that name from every way; the ways that had it."""
        return self._remove(lambda stage: stage.name == name)

    def unset_leased(self) -> list[Way]:
        """Remove every fault's stages; the ways that had some."""
        return self._remove(lambda stage: stage.leased)

    def others(self, ways: Sequence[Way], name: str) -> list[str]:
        """Names of other faults with a stage on any of `ways`."""
        stages = [s for way in ways for s in self.on(way)]
        return sorted({s.name for s in stages if s.leased and s.name != name})

    def _remove(self, unwanted: Any) -> list[Way]:
        changed = []
        for way, there in list(self._by_way.items()):
            kept = [stage for stage in there if not unwanted(stage)]
            if len(kept) == len(there):
                continue
            changed.append(way)
            if kept:
                self._by_way[way] = kept
            else:
                del self._by_way[way]
        return changed
