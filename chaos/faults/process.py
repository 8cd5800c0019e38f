"""Faults of processes: kill (SIGKILL), pause (SIGSTOP), restart (orderly).

The agent sends the signals: it shares the pod's PID namespace, so the effect is there within a
millisecond, where the engine's API takes tens; and when the controller dies, the agent lets paused
processes run again, which a frozen cgroup would not. Measured by a request to the database from
outside, and by the state of its processes.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.agent.link import ask_all
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import OnNodes


class Kill(OnNodes):
    """SIGKILL to every process of the node; the node starts again when the fault ends."""

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start them again."""
        return self.starting()

    def inject(self, scene: Scene) -> None:
        """Kill, on all nodes at once."""
        self.keep_down(scene)
        self.ask(scene, "kill")

    def probe(self, scene: Scene) -> Probe:
        """No process is left, and a request finds nobody."""
        states, reactions = self.states(scene), self.reactions(scene)
        alive = [n for n in self.nodes if states[n].strip("ZX")]
        answering = [n for n, r in reactions.items() if r.kind == "answered"]
        why = ""
        if alive or answering:
            why = f"still there: {', '.join(sorted({*alive, *answering}))}"
        return Probe(
            outcome=MISMATCH if why else CONFIRMED,
            requested={"processes": 0},
            why=why,
            measured={
                n: {"processes": len(states[n]), "request": reactions[n].kind} for n in self.nodes
            },
            at_ns=self.effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Start the databases again."""
        self.release(scene)


class Pause(OnNodes):
    """SIGSTOP to every process of the node: connections stay open and nothing answers."""

    def inject(self, scene: Scene) -> None:
        """Stop, on all nodes at once."""
        self.ask(scene, "stop", fault=self.id)

    def probe(self, scene: Scene) -> Probe:
        """Every process is stopped, and a request gets no answer."""
        states, reactions = self.states(scene), self.reactions(scene)
        running = [n for n in self.nodes if states[n].strip("TtZX")]
        answering = [n for n, r in reactions.items() if r.kind == "answered"]
        gone = [n for n, r in reactions.items() if r.kind not in ("answered", "silent")]
        outcome, why = CONFIRMED, ""
        if running or answering:
            outcome = MISMATCH
            why = f"still running: {', '.join(sorted({*running, *answering}))}"
        elif gone:
            outcome, why = INCONCLUSIVE, f"nothing to pause: no database on {', '.join(gone)}"
        return Probe(
            outcome=outcome,
            requested={"states": "T", "request": "silent"},
            why=why,
            measured={n: {"states": states[n], "request": reactions[n].kind} for n in self.nodes},
            at_ns=self.effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Let them run."""
        ask_all(scene.cluster.agents(), {n: ("resume", {"fault": self.id}) for n in self.nodes})


class Restart(OnNodes):
    """An orderly restart: SIGTERM, wait, start again. It is over when the database answers."""

    heals_itself = True

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._before: dict[str, set[int]] = {}

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start what did not start again."""
        return self.starting()

    def inject(self, scene: Scene) -> None:
        """Restart the node's containers, on all nodes at once."""
        self._before = self._pids(scene)
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda n: scene.cluster.pods[n].restart(), self.nodes))
        self.effect_ns = time.monotonic_ns()

    def probe(self, scene: Scene) -> Probe:
        """No process of before is left."""
        after = self._pids(scene)
        left = [n for n in self.nodes if self._before[n] & after[n]]
        return Probe(
            outcome=MISMATCH if left else CONFIRMED,
            requested={"processes": "all new"},
            measured={
                n: {
                    "before": len(self._before[n]),
                    "after": len(after[n]),
                    "kept": len(self._before[n] & after[n]),
                }
                for n in self.nodes
            },
            why=f"processes outlived the restart: {', '.join(left)}" if left else "",
            at_ns=self.effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Start what did not start again."""
        self.release(scene)

    def _pids(self, scene: Scene) -> dict[str, set[int]]:
        answers = ask_all(scene.cluster.agents(), {n: ("processes", {}) for n in self.nodes})
        return {n: {pid for pid, _, _ in a["processes"]} for n, a in answers.items()}
