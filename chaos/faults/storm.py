"""A restart storm: each target goes down and up again and again, at moments drawn from the seed."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from chaos.agent.link import ask_all
from chaos.errors import AftershockError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import OnNodes
from chaos.runtime.cluster import FROZEN

JOIN_S = 30.0
LOOK_S = 0.05


@dataclass(slots=True)
class _Record:
    """What came of the moments of one node."""

    moments_s: list[float]  # after the injection
    done: int = 0
    outlived: int = 0  # how often a process of before was still there
    held: set[str] = field(default_factory=set)  # faults that kept it down meanwhile
    broke: str = ""


class RestartStorm(OnNodes):
    """The first time of each target falls into the first half of `every`; from then on gaps are
    exponential, as of events that know nothing of each other. A node that still starts when its
    next moment comes is hit as soon as it runs."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._records: dict[str, _Record] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the nodes, and all moments."""
        names = super().resolve(scene)
        every_s, until_s = self.entry.every_ns / 1e9, self.entry.for_ns / 1e9
        for node in names:
            moments = [scene.rng.uniform(0, every_s / 2)]
            while (following := moments[-1] + scene.rng.expovariate(1 / every_s)) < until_s:
                moments.append(following)
            self._records[node] = _Record(moments)
        return names

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start what is down at that moment."""
        return self.starting()

    def inject(self, scene: Scene) -> None:
        """Begin; each node has a thread."""
        began = time.monotonic()
        self._stop.clear()
        for node, record in self._records.items():
            name = f"{self.id}-storm-{node}"
            thread = threading.Thread(
                target=self._storm, args=(scene, node, record, began), name=name, daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _storm(self, scene: Scene, node: str, record: _Record, began: float) -> None:
        try:
            for moment_s in record.moments_s:
                if self._stop.wait(max(0.0, began + moment_s - time.monotonic())):
                    return
                self._hit(scene, node, record)
        except AftershockError as error:
            record.broke = error.what

    def _hit(self, scene: Scene, node: str, record: _Record) -> None:
        """Down and up once, and whether any process of before is left."""
        cluster = scene.cluster
        before = _pids(scene, node)
        if self.entry.how == "restart":
            others = cluster.restart(node)
        else:
            cluster.keep_down(node, self.id)
            if cluster.claims.of((FROZEN, node)):
                cluster.pods[node].thaw()  # the frozen do not die
            cluster.agents()[node].ask("kill", 10.0)
            others = cluster.release(node, self.id)
        record.held |= others
        if not others:
            record.outlived += bool(before & _pids(scene, node))
            record.done += bool(before)
            self.effect_ns = time.monotonic_ns()

    def probe(self, scene: Scene) -> Probe:
        """Once every target was hit: no process of before was left, ever."""
        longest_s = min(2 * self.entry.every_ns, self.entry.for_ns) / 1e9
        end = time.monotonic() + longest_s
        while time.monotonic() < end and not all(self._over(r) for r in self._records.values()):
            time.sleep(LOOK_S)
        missed = [n for n, r in self._records.items() if not r.done]
        held = sorted({fault for n in missed for fault in self._records[n].held})
        outcome, why = CONFIRMED, ""
        if bad := self._wrong():
            outcome, why = MISMATCH, bad
        elif missed:
            outcome = INCONCLUSIVE
            by = f", kept down by {', '.join(held)}" if held else f" within {longest_s:g} s"
            why = f"not hit: {', '.join(missed)}{by}"
        return Probe(
            outcome=outcome,
            requested={"moments_s": {n: _rounded(r) for n, r in self._records.items()}},
            measured=self._told(),
            why=why,
            at_ns=self.effect_ns or None,
        )

    def heal(self, scene: Scene) -> None:
        """No more; everything runs."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        self._threads.clear()
        self.release(scene)

    def probe_heal(self, scene: Scene) -> Probe:
        """Every node answers; how often each was hit in the end."""
        probe = super().probe_heal(scene)
        measured = {n: {**told, **probe.measured.get(n, {})} for n, told in self._told().items()}
        if bad := self._wrong():
            probe = dataclasses.replace(probe, why="; ".join(filter(None, [bad, probe.why])))
        return dataclasses.replace(probe, measured=measured)

    @staticmethod
    def _over(record: _Record) -> bool:
        return bool(record.done or record.held or record.broke)

    def _wrong(self) -> str:
        said = [f"{n}: {r.broke}" for n, r in self._records.items() if r.broke]
        said += [f"processes of {n} outlived it" for n, r in self._records.items() if r.outlived]
        return "; ".join(said)

    def _told(self) -> dict[str, dict[str, Any]]:
        return {n: {"times": r.done, "outlived": r.outlived} for n, r in self._records.items()}


def _pids(scene: Scene, node: str) -> set[int]:
    answer = ask_all(scene.cluster.agents(), {node: ("processes", {})})[node]
    return {pid for pid, _, state in answer["processes"] if state not in "ZX"}


def _rounded(record: _Record) -> list[float]:
    return [round(moment_s, 2) for moment_s in record.moments_s]
