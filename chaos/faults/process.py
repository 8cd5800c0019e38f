"""Faults that end processes: kill (SIGKILL), and a crash loop, which is kill and start in turns.

The agent sends the signals: it shares the pod's PID namespace, so the effect is there within a
millisecond, where the engine's API takes tens. Measured by a request to the database from outside,
and by what the kernel says of its processes.

A whole node that is killed stays down until the fault ends, whoever would start it. Of one process
by name only what runs at that moment is killed: the other containers of the pod go on (Sentinel
without its Redis), and what a supervisor does about it is for the experiment to see. The container
whose main process it was is started again at the end, by this fault or by whatever starts the
whole node before.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from chaos.errors import AftershockError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import ENDED, OnNodes
from chaos.runtime.cluster import FROZEN, HINDERED

ENDED_S = 2.0  # how long the engine may take to notice that a container's main process is gone


class _Ending(OnNodes):
    """Takes nodes, or one process of each, down and up again."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._process: str | None = entry.process
        self._killed: dict[str, list[int]] = {}

    def prepare(self, scene: Scene) -> None:
        """See what is down already, and that a process of that name runs."""
        super().prepare(scene)
        self.check_name(scene, self._process)

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start them again."""
        return self.starting()

    def take_down(self, scene: Scene) -> None:
        """Kill, on all nodes at once; `_killed` says what."""
        if self._process is None:
            self.keep_down(scene)
        else:
            self.claim(scene, HINDERED)
            for node in self.nodes:
                scene.cluster.claims.put((ENDED, node, self._process), self.id)
        frozen = [node for node in self.nodes if scene.cluster.claims.of((FROZEN, node))]
        for node in frozen:
            scene.cluster.pods[node].thaw()  # the frozen do not die
        answers = self.ask(scene, "kill", process=self._process)
        self._killed = {node: answer["killed"] for node, answer in answers.items()}
        for node in frozen:
            scene.cluster.freeze_again(node)

    def bring_up(self, scene: Scene) -> None:
        """Start what was killed, unless another fault keeps it down."""
        if self._process is None:
            self.release(scene)
            return
        self.unclaim(scene, HINDERED)
        self.held = {}
        for node in self.nodes:
            others = scene.cluster.claims.drop((ENDED, node, self._process), self.id)
            if not others:
                self._revive(scene, node)
            if held := {*others, *scene.cluster.silenced_by(node, self.id)}:
                self.held[node] = held

    def _revive(self, scene: Scene, node: str) -> None:
        """Start the containers that ended, once the engine has noticed; a node that is kept down
        as a whole is started as a whole."""
        end = time.monotonic() + ENDED_S
        while scene.cluster.start_ended(node) and time.monotonic() < end:
            answer = scene.cluster.agents()[node].ask("processes", process=self._process)
            if any(state not in "ZX" for _, _, state in answer["processes"]):
                return
            time.sleep(0.02)

    def probe(self, scene: Scene) -> Probe:
        """What was killed is gone; of a whole node nothing is left, and a request finds nobody."""
        seen, reactions = self.processes(scene), self.reactions(scene)
        alive = {n: [p for p in seen[n] if p.state not in "ZX"] for n in self.nodes}
        measured = {
            n: {
                "killed": len(self._killed[n]),
                "processes": len(alive[n]),
                "request": reactions[n].kind,
            }
            for n in self.nodes
        }
        if self._process is None:
            left = [n for n in self.nodes if alive[n] or reactions[n].kind == "answered"]
            requested: dict[str, Any] = {"processes": 0}
        else:
            left = [n for n in self.nodes if {p.pid for p in alive[n]} & set(self._killed[n])]
            requested = {"killed": self._process}
        idle = [n for n in self.nodes if not self._killed[n]]
        outcome, why = CONFIRMED, ""
        if left:
            outcome, why = MISMATCH, f"still there: {', '.join(sorted(left))}"
        elif idle:
            why = self.already_down() or f"nothing ran that could be killed: {', '.join(idle)}"
            outcome = INCONCLUSIVE
        return Probe(
            outcome=outcome, requested=requested, why=why, measured=measured, at_ns=self.effect_ns
        )

    def probe_heal(self, scene: Scene) -> Probe:
        """Each node answers again, and the process that was killed runs."""
        probe = super().probe_heal(scene)
        if self._process is None or probe.outcome != CONFIRMED:
            return probe
        states = self.states(scene, self._process)
        absent = [n for n in self.nodes if not states[n].strip("ZX") and n not in self.held]
        if not absent:
            return probe
        why = f"no {self._process} runs: {', '.join(absent)}"
        return Probe(outcome=MISMATCH, measured=probe.measured, why=why)


class Kill(_Ending):
    """SIGKILL to the node, or to one process of it; it starts again when the fault ends."""

    def inject(self, scene: Scene) -> None:
        """Kill, on all nodes at once."""
        self.take_down(scene)

    def heal(self, scene: Scene) -> None:
        """Start what was killed."""
        self.bring_up(scene)


class CrashLoop(_Ending):
    """Killed, started, killed again, until the fault ends; it ends running."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._kills = self._starts = 0
        self._broke = ""

    def inject(self, scene: Scene) -> None:
        """The first kill; the others follow by themselves."""
        self._stop.clear()
        self.take_down(scene)
        self._kills += 1
        name = f"{self.id}-crash-loop"
        self._thread = threading.Thread(target=self._turns, args=(scene,), name=name, daemon=True)
        self._thread.start()

    def _turns(self, scene: Scene) -> None:
        try:
            while not self._stop.wait(self.entry.down_ns / 1e9):
                self.bring_up(scene)
                self._starts += 1
                if self._stop.wait(self.entry.up_ns / 1e9):
                    return
                self.take_down(scene)
                self._kills += 1
        except AftershockError as error:
            self._broke = error.what

    def heal(self, scene: Scene) -> None:
        """End the loop, running."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30.0)
            self._thread = None
            self._starts = self._kills  # what is down is started now
        self.bring_up(scene)

    def probe_heal(self, scene: Scene) -> Probe:
        """It answers; how often it was killed and started."""
        probe = super().probe_heal(scene)
        counts = {"kills": self._kills, "starts": self._starts}
        broke = f"the loop broke off: {self._broke}" if self._broke else ""
        return Probe(
            outcome=probe.outcome,
            measured={**counts, **probe.measured},
            why="; ".join(filter(None, [broke, probe.why])),
            at_ns=probe.at_ns,
        )
