"""The clock of faults: each schedule entry at its time, journalled, injected, probed, healed.

One thread an entry, so that faults overlap freely and heal independently. What will be done is on
disk before it is done. Whatever happens in between, each fault that may have been injected is
healed: at its time, when the run is aborted, or when its thread fails.
"""

from __future__ import annotations

import functools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from chaos.errors import AftershockError, FaultError
from chaos.faults.base import CONFIRMED, Fault, Probe, Scene
from chaos.registry import FAULTS
from chaos.runtime.cluster import RunningCluster
from chaos.systems.base import Step

PREPARE_S = 0.1
TOO_LATE = "the run ended before its time"


class Journal(Protocol):
    """Where events go; on disk when `append` returns."""

    def append(self, event: Mapping[str, Any]) -> None:
        """Add one event."""


class Nemesis:
    """Runs a schedule against a cluster.

    `entries` are schedule entries (chaos.spec.experiment) in order; the k-th is fault f<k>.
    """

    def __init__(
        self,
        *,
        entries: Sequence[Any],
        cluster: RunningCluster,
        journal: Journal,
        seed: int,
        roles: Callable[[], Mapping[str, str]],
        client_zones: Sequence[str],
        steps: Mapping[str, Step],
    ) -> None:
        self._entries = entries
        self._cluster = cluster
        self._journal = journal
        self._seed = seed
        self._roles = roles
        self._zones = client_zones
        self._steps = steps
        self._abort = threading.Event()
        self._t0_ns = 0
        self._threads: list[threading.Thread] = []
        self._active: dict[str, str] = {}
        self._lock = threading.Lock()
        self._unwritten: AftershockError | None = None

    def plan(self) -> None:
        """Write the whole schedule into the journal, and refuse what cannot be done here."""
        for k, entry in enumerate(self._entries, 1):
            self._journal.append(
                {
                    "id": f"f{k}",
                    "event": "planned",
                    "t_ns": None,
                    "kind": "step" if entry.is_step else "fault",
                    "fault": entry.name,
                    "scheduled_ns": entry.at_ns,
                    "asked": entry.asked(),
                    "heal_scheduled_ns": None
                    if entry.for_ns is None
                    else entry.at_ns + entry.for_ns,
                }
            )
            if entry.is_step:
                continue
            why = self._make(k, entry).available(self._scene(k))
            if why:
                raise FaultError(
                    f"f{k} ({entry.name}) cannot be injected here: {why}",
                    fix="`aftershock doctor` says which faults this host can do",
                )

    def start(self, t0_ns: int) -> None:
        """Let the schedule run; `t0_ns` is the monotonic time of t = 0."""
        self._t0_ns = t0_ns
        for k, entry in enumerate(self._entries, 1):
            run = self._run_step if entry.is_step else self._run_fault
            thread = threading.Thread(target=run, args=(k, entry), name=f"f{k}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def heal(self) -> None:
        """Heal what is still active, inject nothing more, and wait until that is done."""
        self._abort.set()
        for thread in self._threads:
            thread.join(60.0)

    def check(self) -> None:
        """The journal's error, if something that happened could not be written down."""
        if self._unwritten is not None:
            raise self._unwritten

    def active(self) -> list[str]:
        """What is injected now, for the live display."""
        with self._lock:
            return [f"{id} {name}" for id, name in self._active.items()]

    def _make(self, k: int, entry: Any) -> Fault:
        fault: Fault = FAULTS.get(entry.name)(f"f{k}", entry)
        return fault

    def _scene(self, k: int) -> Scene:
        return Scene(
            cluster=self._cluster,
            roles=self._roles,
            client_zones=self._zones,
            rng=random.Random(f"{self._seed}/{k}"),
        )

    def _now(self) -> int:
        return time.monotonic_ns() - self._t0_ns

    def _until(self, t_ns: int) -> bool:
        """Wait for a time; False when the run was aborted first."""
        while (left := (t_ns - self._now()) / 1e9) > 0:
            # Event.wait overshoots by some 0.1 ms; the last stretch is slept by itself.
            if self._abort.wait(left - 0.002 if left > 0.002 else 0):
                return False
            if left <= 0.002:
                time.sleep(left)
        return not self._abort.is_set()

    def _run_fault(self, k: int, entry: Any) -> None:
        id = f"f{k}"
        fault = self._make(k, entry)
        scene = self._scene(k)
        note = functools.partial(self._note, id)
        touched = False
        try:
            if not self._until(entry.at_ns - int(PREPARE_S * 1e9)):
                note("failed", outcome="failed", why=TOO_LATE)
                return
            targets = fault.resolve(scene)
            fault.prepare(scene)
            self._append(id, "inject", targets=targets)  # or else it is not injected
            if not self._until(entry.at_ns):
                note("cancelled", outcome="failed", why=TOO_LATE)
                return
            touched = True
            self._set_active(id, entry.name)
            inject_ns = self._now()
            fault.inject(scene)
            note("injected", inject_ns=inject_ns)
            self._note_probe(note, fault.probe(scene))
            if not fault.heals_itself:
                self._until(entry.at_ns + entry.for_ns - int(PREPARE_S * 1e9))
                fault.prepare_heal(scene)
                self._until(entry.at_ns + entry.for_ns)
        except Exception as error:  # whatever it is, it must be written down and healed
            note("failed", outcome="failed", why=_said(error))
        finally:
            if touched:
                self._heal_fault(fault, scene, note)
            self._set_active(id, None)

    def _heal_fault(self, fault: Fault, scene: Scene, note: Callable[..., None]) -> None:
        heal_ns = self._now()
        try:
            note("heal", heal_ns=heal_ns)
            if not fault.heals_itself:
                fault.heal(scene)
            probe = fault.probe_heal(scene)
            if probe.outcome != CONFIRMED:
                fault.heal(scene)  # once more: healing is idempotent, and may have been refused
                probe = fault.probe_heal(scene)
            columns: dict[str, Any] = {"heal_outcome": probe.outcome}
            if probe.at_ns is not None and probe.outcome == CONFIRMED:
                columns["healed_ns"] = max(heal_ns, probe.at_ns - self._t0_ns)
            if probe.why:
                columns["why"] = f"heal: {probe.why}"
            note("healed", **columns)
        except Exception as error:
            note("healed", heal_outcome="failed", why=f"heal: {_said(error)}")

    def _note_probe(self, note: Callable[..., None], probe: Probe) -> None:
        note(
            "probed",
            outcome=probe.outcome,
            requested=dict(probe.requested),
            measured=dict(probe.measured),
            why=probe.why or None,
            effect_ns=None if probe.at_ns is None else probe.at_ns - self._t0_ns,
        )

    def _run_step(self, k: int, entry: Any) -> None:
        id = f"f{k}"
        note = functools.partial(self._note, id)
        try:
            if not self._until(entry.at_ns):
                note("failed", outcome="failed", why=TOO_LATE)
                return
            scene = self._scene(k)
            targets = entry.node.resolve(self._cluster.nodes, self._roles(), scene.rng)
            inject_ns = self._now()
            note("step", targets=targets, inject_ns=inject_ns)
            self._set_active(id, entry.name)
            for node in targets:
                self._steps[entry.name].run(self._cluster, node)
            note(
                "step-done",
                effect_ns=self._now(),
                outcome=CONFIRMED,
                measured={"seconds": round((self._now() - inject_ns) / 1e9, 3)},
            )
        except Exception as error:
            note("failed", outcome="failed", why=_said(error))
        finally:
            self._set_active(id, None)

    def _append(self, id: str, event: str, **columns: Any) -> None:
        self._journal.append({"id": id, "event": event, "t_ns": self._now(), **columns})

    def _note(self, id: str, event: str, **columns: Any) -> None:
        """Write down what happened. A full disk must not keep a fault from being healed."""
        try:
            self._append(id, event, **columns)
        except AftershockError as error:
            self._unwritten = error

    def _set_active(self, id: str, name: str | None) -> None:
        with self._lock:
            if name is None:
                self._active.pop(id, None)
            else:
                self._active[id] = name


def _said(error: Exception) -> str:
    if isinstance(error, AftershockError):
        return " ".join([error.what, *error.detail.splitlines()[:3]])
    return f"{type(error).__name__}: {error}"
