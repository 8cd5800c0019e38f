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
from dataclasses import dataclass
from typing import Any, Protocol

from chaos.errors import AftershockError, FaultError
from chaos.faults.base import (
    CONFIRMED,
    INCONCLUSIVE,
    MISMATCH,
    SKIPPED,
    Fault,
    Probe,
    Reviewed,
    Scene,
    Undoable,
)
from chaos.faults.needs import may_skip
from chaos.registry import FAULTS
from chaos.runtime.cluster import RunningCluster

PREPARE_NS = 100_000_000
HEAL_WAITS_S = (0.0, 0.5, 2.0)  # before each try to heal
HEAL_DEADLINE_S = 60.0  # for all faults together
TOO_LATE = "the run ended before its time"


class Journal(Protocol):
    """Where events go; on disk when `append` returns."""

    def append(self, event: Mapping[str, Any]) -> None:
        """Add one event."""


@dataclass(slots=True)
class _Seen:
    """What is known of a fault by the time it is healed."""

    why: str = ""  # the probe's words, or why it was not injected
    preparing: str = ""  # why measuring the end could not begin


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
        lacking: Mapping[int, str] | None = None,
        when_unavailable: str = "refuse",
    ) -> None:
        """`lacking`: why entries (by number, from 1) cannot be done on this host; they are skipped.

        `when_unavailable`: what to do with others that turn out to be impossible in this cluster.
        """
        self._entries = entries
        self._skipped = dict(lacking or {})
        self._when_unavailable = when_unavailable
        self._cluster = cluster
        self._journal = journal
        self._seed = seed
        self._roles = roles
        self._zones = client_zones
        self._abort = threading.Event()
        self._aborted = False  # nothing more is injected, although the load goes on
        self._heal_by: float | None = None
        self._t0_ns = 0
        self._threads: list[threading.Thread] = []
        self._active: dict[str, str] = {}
        self._lock = threading.Lock()
        self._unwritten: AftershockError | None = None

    def plan(self) -> None:
        """Write the whole schedule into the journal; refuse or skip what cannot be done here."""
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
            why = self._skipped.get(k) or self._make(k, entry).available(self._scene(k))
            if not why:
                continue
            if not may_skip(entry, self._when_unavailable):
                raise FaultError(
                    f"f{k} ({entry.name}) cannot be injected here: {why}",
                    fix="`aftershock doctor` says which faults this host can do",
                )
            self._skipped[k] = why
            self._journal.append(
                {"id": f"f{k}", "event": "skipped", "t_ns": None, "outcome": SKIPPED, "why": why}
            )

    def start(self, t0_ns: int) -> None:
        """Let the schedule run; `t0_ns` is the monotonic time of t = 0."""
        self._t0_ns = t0_ns
        for k, entry in enumerate(self._entries, 1):
            if k in self._skipped:
                continue
            run = self._run_step if entry.is_step else self._run_fault
            thread = threading.Thread(target=run, args=(k, entry), name=f"f{k}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def abort(self) -> None:
        """Inject nothing more and begin to heal; does not wait. What was not begun is skipped."""
        self._aborted = True
        self._abort.set()

    def heal(self, deadline_s: float = HEAL_DEADLINE_S) -> list[str]:
        """Heal what is still active, inject nothing more, and wait until that is done.

        The ids of entries that had not ended by the deadline, which counts from the first call;
        the journal shows them as open.
        """
        self._abort.set()
        if self._heal_by is None:
            self._heal_by = time.monotonic() + deadline_s
        for thread in self._threads:
            thread.join(max(0.0, self._heal_by - time.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]

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
        note = functools.partial(self._note, id)
        seen = _Seen()
        heal: Callable[[], None] | None = None
        try:
            fault, scene = self._make(k, entry), self._scene(k)
            if not self._until(entry.at_ns - PREPARE_NS):
                self._not_begun(note, "failed")
                return
            targets = fault.resolve(scene)
            fault.prepare(scene)
            undo = fault.undo(scene) if isinstance(fault, Undoable) else []
            self._append(id, "inject", targets=targets, undo=undo)  # or else it is not injected
            if not self._until(entry.at_ns):
                self._not_begun(note, "cancelled")
                return
            heal = functools.partial(self._heal_fault, entry.name, fault, scene, seen)
            self._set_active(id, entry.name)
            inject_ns = self._now()
            fault.inject(scene)
            note("injected", inject_ns=inject_ns)
            self._probe(fault, scene, seen)
            if not fault.heals_itself:
                self._until(entry.at_ns + entry.for_ns - PREPARE_NS)
                self._prepare_heal(fault, scene, seen)
                self._until(entry.at_ns + entry.for_ns)
        except Exception as error:  # whatever it is, it must be written down and healed
            seen.why = _said(error)
            note("failed", outcome="failed", why=seen.why)
        finally:
            if heal is not None:
                heal()
            self._set_active(id, None)

    def _not_begun(self, note: Callable[..., None], event: str) -> None:
        """Its time did not come: the run was aborted, or ended early."""
        if self._aborted:
            event = "skipped" if event == "failed" else event
            note(event, outcome=SKIPPED, why="the faults were aborted before its time")
        else:
            note(event, outcome="failed", why=TOO_LATE)

    def _probe(self, fault: Fault, scene: Scene, seen: _Seen) -> None:
        """Measure the effect. A probe that breaks says nothing of the fault, which stays."""
        try:
            probe = fault.probe(scene)
        except Exception as error:
            probe = Probe(outcome=INCONCLUSIVE, why=f"the probe broke: {_said(error)}")
        seen.why = probe.why
        self._note_probe(functools.partial(self._note, fault.id), probe)

    def _prepare_heal(self, fault: Fault, scene: Scene, seen: _Seen) -> None:
        """Begin measuring the end; a fault that cannot be measured is healed all the same."""
        try:
            fault.prepare_heal(scene)
        except Exception as error:
            seen.preparing = f"measuring the end could not begin: {_said(error)}"

    def _heal_fault(self, name: str, fault: Fault, scene: Scene, seen: _Seen) -> None:
        """Heal, and measure that it is gone; again when it is not, or when healing breaks."""
        note = functools.partial(self._note, fault.id)
        heal_ns = self._now()
        note("heal", heal_ns=heal_ns)
        columns: dict[str, Any] = {}
        why = ""
        for tries, wait_s in enumerate(HEAL_WAITS_S, 1):
            if tries > 1:
                self._set_active(fault.id, f"{name} (not healed, try {tries})")
            time.sleep(wait_s)
            try:
                if tries > 1 or not fault.heals_itself:
                    fault.heal(scene)
                probe = fault.probe_heal(scene)
            except Exception as error:
                columns, why = {"heal_outcome": "failed"}, _said(error)
                continue
            columns = {"heal_outcome": probe.outcome, "heal_measured": dict(probe.measured)}
            why = probe.why
            if probe.at_ns is not None and probe.outcome == CONFIRMED:
                columns["healed_ns"] = max(heal_ns, probe.at_ns - self._t0_ns)
            if probe.outcome != MISMATCH:  # doing it again would not tell more
                break
        self._review(fault, scene, seen)
        said = [seen.why, *(f"heal: {text}" for text in (why, seen.preparing) if text)]
        words = "; ".join(filter(None, said))
        if words or isinstance(fault, Reviewed):  # its review may have settled what was in doubt
            columns["why"] = words
        note("healed", tries=tries, **columns)

    def _review(self, fault: Fault, scene: Scene, seen: _Seen) -> None:
        """Measure over its whole length what can only be judged so; else `probe` has the word."""
        if not isinstance(fault, Reviewed):
            return
        try:
            probe = fault.review(scene)
        except Exception as error:
            probe = Probe(outcome=INCONCLUSIVE, why=f"the review broke: {_said(error)}")
        if probe is not None:
            seen.why = probe.why
            self._note_probe(functools.partial(self._note, fault.id), probe)

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
                self._not_begun(note, "failed")
                return
            scene = self._scene(k)
            targets = entry.node.resolve(self._cluster.nodes, self._roles(), scene.rng)
            inject_ns = self._now()
            note("step", targets=targets, inject_ns=inject_ns)
            self._set_active(id, entry.name)
            for node in targets:
                group = self._cluster.group(node)
                group.steps[entry.name].run(group, node)
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
