"""Faults of many things at once, made of other faults: none of them does anything by itself.

The parts run side by side under the same id, so that what one of them does is not taken by another
for a stranger's doing. Confirmed is only what every part confirms; each is measured by its own
probe, and told under its own name.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from chaos.faults.base import (
    CONFIRMED,
    INCONCLUSIVE,
    MISMATCH,
    Fault,
    Probe,
    Scene,
    Undoable,
    own_link,
    wait_answer,
)
from chaos.faults.disk_data import Wipe
from chaos.faults.nodes import BACK_S
from chaos.faults.partition import Partition
from chaos.faults.process import Kill
from chaos.faults.restart import Restart
from chaos.runtime.ways import CLIENTS
from chaos.spec.entries import ENTRIES

T = TypeVar("T")


def entry_of(fault: str, like: Any, **keys: Any) -> Any:
    """The entry of a part, as its YAML would say it, at the time and for as long as `like`."""
    when = {key: value for key, value in like.asked().items() if key in ("at", "for")}
    return ENTRIES[fault].model_validate({"fault": fault, **when, **keys})


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """A target that was resolved already."""

    names: list[str]

    def resolve(self, *_: Any) -> list[str]:
        """Those nodes."""
        return list(self.names)


class Composed:
    """A fault whose parts are other faults. `make` gives them, once the targets are known."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self.entry = entry
        self.parts: dict[str, Fault] = {}

    def make(self, scene: Scene) -> dict[str, Fault]:
        """The parts, by name."""
        raise NotImplementedError

    def available(self, scene: Scene) -> str:
        """What the first part says that cannot be done."""
        whys = (part.available(scene) for part in self.make(scene).values())
        return next((why for why in whys if why), "")

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the targets of every part."""
        self.parts = self.make(scene)
        told = [name for part in self.parts.values() for name in part.resolve(scene)]
        return list(dict.fromkeys(told))

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """What undoes any part."""
        parts = [part for part in self.parts.values() if isinstance(part, Undoable)]
        return [item for part in parts for item in part.undo(scene)]

    def prepare(self, scene: Scene) -> None:
        """Begin measuring."""
        self._each(lambda part: part.prepare(scene))

    def inject(self, scene: Scene) -> None:
        """All at once."""
        self._each(lambda part: part.inject(scene))

    def probe(self, scene: Scene) -> Probe:
        """Every part by itself."""
        return merged(self._each(lambda part: part.probe(scene)))

    def prepare_heal(self, scene: Scene) -> None:
        """Begin measuring the end."""
        self._each(lambda part: part.prepare_heal(scene))

    def heal(self, scene: Scene) -> None:
        """Undo every part; each is undone whatever becomes of the others."""
        self._each(lambda part: part.heal(scene))

    def probe_heal(self, scene: Scene) -> Probe:
        """Every part by itself."""
        return merged(self._each(lambda part: part.probe_heal(scene)))

    def _each(self, do: Callable[[Fault], T]) -> dict[str, T]:
        with ThreadPoolExecutor(len(self.parts) or 1) as pool:
            jobs = {name: pool.submit(do, part) for name, part in self.parts.items()}
        return {name: job.result() for name, job in jobs.items()}


def merged(probes: Mapping[str, Probe]) -> Probe:
    """One probe of many: a mismatch of one is one of all, and so is what one cannot tell."""
    outcomes = [probe.outcome for probe in probes.values()]
    worst = next((x for x in (MISMATCH, INCONCLUSIVE) if x in outcomes), CONFIRMED)
    if not outcomes:
        worst = INCONCLUSIVE
    times = [probe.at_ns for probe in probes.values()]
    known = [at for at in times if at is not None]
    return Probe(
        outcome=worst,
        requested={name: dict(probe.requested) for name, probe in probes.items()},
        measured={
            name: {"outcome": probe.outcome, **probe.measured} for name, probe in probes.items()
        },
        why="; ".join(f"{name}: {probe.why}" for name, probe in probes.items() if probe.why),
        at_ns=max(known) if len(known) == len(times) and known else None,
    )


class Outage(Composed):
    """Everything in some places is gone at once: nodes killed and kept down, and all packets
    dropped between what is inside and what is outside, clients of either side included."""

    needs = ("partition",)
    nodes_part: tuple[type[Kill | Wipe], str] = (Kill, "kill")

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._inside: list[str] = []

    def make(self, scene: Scene) -> dict[str, Fault]:
        """The nodes inside killed; inside and outside parted, if there is an outside."""
        inside, outside = self._sides(scene)
        self._inside = inside
        nodes = [place for place in inside if not place.startswith(CLIENTS)]
        fault, name = self.nodes_part
        parts: dict[str, Fault] = {name: fault(self.id, self._part(name, nodes))}
        if outside:
            asked = entry_of("partition", self.entry, between=[inside, outside])
            parts["partition"] = Partition(self.id, asked)
        return parts

    def resolve(self, scene: Scene) -> list[str]:
        """Everything inside: nodes, and clients@ZONE."""
        super().resolve(scene)
        return list(self._inside)

    def _part(self, name: str, nodes: list[str]) -> Any:
        entry = entry_of(name, self.entry, target="all")
        return entry.model_copy(update={"target": Chosen(nodes)})

    def _sides(self, scene: Scene) -> tuple[list[str], list[str]]:
        """Places inside, and outside: nodes, and clients of zones, which may have no nodes."""
        cluster = scene.cluster
        inside: list[str] = []
        outside: list[str] = []
        for node in cluster.nodes:
            (inside if self._has(cluster.place_of(node.zone)) else outside).append(node.name)
        for zone in scene.client_zones:
            (inside if self._has(cluster.place_of(zone)) else outside).append(CLIENTS + zone)
        return inside, outside

    def _has(self, at: Mapping[str, str | None]) -> bool:
        return any(at[target.kind] == target.name for target in self.entry.target)


class Lockout(Outage):
    """As an outage, and the nodes' data is deleted: they come back with nothing.

    What a database then does with an empty member is its own honest behaviour; some want an
    operator. Backups in the same place would be lost with it: topologies have none yet.
    """

    nodes_part = (Wipe, "wipe")  # which kills as well


class MaintenanceWave:
    """Orderly restarts of one zone after the other: of a zone, all nodes at once."""

    heals_itself = True

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self.entry = entry
        self._zones: dict[str, list[str]] = {}
        self._parts: dict[str, Restart] = {}  # those begun
        self._probes: dict[str, Probe] = {}
        self._stopped = ""  # why the wave ended early

    def available(self, scene: Scene) -> str:
        """Always."""
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """The nodes, in the order in which they are restarted."""
        names = self.entry.target.resolve(scene.cluster.nodes, scene.roles(), scene.rng)
        for node in scene.cluster.nodes:
            if node.name in names:
                self._zones.setdefault(node.zone, []).append(node.name)
        return [name for nodes in self._zones.values() for name in nodes]

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start what did not start again."""
        return [{"do": "start", "node": name} for nodes in self._zones.values() for name in nodes]

    def prepare(self, scene: Scene) -> None:
        """Nothing to begin."""

    prepare_heal = prepare

    def inject(self, scene: Scene) -> None:
        """All zones, one after the other; each is measured before the next."""
        for k, (zone, nodes) in enumerate(self._zones.items()):
            if k and self.entry.gap_ns:
                time.sleep(self.entry.gap_ns / 1e9)
            part = Restart(self.id, self._restart(nodes))
            part.resolve(scene)
            part.prepare(scene)
            self._parts[zone] = part
            part.inject(scene)
            self._probes[zone] = part.probe(scene)
            if self.entry.wait and (silent := _silent(scene, nodes)):
                self._stopped = f"{', '.join(silent)} had not come back within {BACK_S:g} s"
                return

    def probe(self, scene: Scene) -> Probe:
        """No process of before is left in any zone, and none was left out."""
        probe = merged(self._probes)
        left_out = [zone for zone in self._zones if zone not in self._probes]
        if not left_out:
            return probe
        why = f"not restarted: {', '.join(left_out)}, because {self._stopped}"
        outcome = MISMATCH if probe.outcome == MISMATCH else INCONCLUSIVE
        return dataclasses.replace(
            probe, outcome=outcome, why="; ".join(filter(None, [probe.why, why]))
        )

    def heal(self, scene: Scene) -> None:
        """Start what did not start again."""
        for part in self._parts.values():
            part.heal(scene)

    def probe_heal(self, scene: Scene) -> Probe:
        """Every node answers."""
        return merged({zone: part.probe_heal(scene) for zone, part in self._parts.items()})

    def _restart(self, nodes: list[str]) -> Any:
        entry = entry_of("restart", self.entry, target="all")
        return entry.model_copy(update={"target": Chosen(nodes)})


def _silent(scene: Scene, nodes: list[str]) -> list[str]:
    """Those of the nodes that do not answer in time."""
    with ThreadPoolExecutor(len(nodes)) as pool:
        seen = pool.map(lambda node: wait_answer(scene, own_link(node), BACK_S), nodes)
        return [node for node, r in zip(nodes, seen, strict=True) if r.kind != "answered"]
