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
from chaos.faults.base import (
    CONFIRMED,
    INCONCLUSIVE,
    MISMATCH,
    Probe,
    Reaction,
    Scene,
    own_link,
    react,
    wait_answer,
)

BACK_S = 15.0  # how long a database may take to answer again


class _OnNodes:
    """What the faults of this file share: targets, and a request to each of them."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self._entry = entry
        self._nodes: list[str] = []
        self._effect_ns = 0
        self._heal_ns = 0

    def available(self, scene: Scene) -> str:
        """Always: the agent needs only the right to send signals."""
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the nodes."""
        self._nodes = self._entry.target.resolve(scene.cluster.nodes, scene.roles(), scene.rng)
        return list(self._nodes)

    def prepare(self, scene: Scene) -> None:
        """Nothing to begin."""

    prepare_heal = prepare

    def _ask(self, scene: Scene, do: str, **arguments: Any) -> dict[str, dict[str, Any]]:
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(self._nodes, (do, arguments)), 10.0)
        self._effect_ns = max(a["t_ns"] for a in answers.values())
        return answers

    def _states(self, scene: Scene) -> dict[str, str]:
        """The states of each node's processes, as the kernel shows them: "SSR", "TT", ""."""
        answers = ask_all(scene.cluster.agents(), {n: ("processes", {}) for n in self._nodes})
        return {n: "".join(state for _, _, state in a["processes"]) for n, a in answers.items()}

    def _reactions(self, scene: Scene) -> dict[str, Reaction]:
        return {n: react(scene, own_link(n)) for n in self._nodes}

    def probe_heal(self, scene: Scene) -> Probe:
        """Each node answers a request again."""

        def back(node: str) -> Reaction:
            return wait_answer(scene, own_link(node), BACK_S)

        with ThreadPoolExecutor(len(self._nodes)) as pool:
            seen = dict(zip(self._nodes, pool.map(back, self._nodes), strict=True))
        missing = [n for n, r in seen.items() if r.kind != "answered"]
        return Probe(
            outcome=MISMATCH if missing else CONFIRMED,
            measured={n: {"request": r.kind, "ms": round(r.ms, 2)} for n, r in seen.items()},
            why=f"no answer within {BACK_S:g} s: {', '.join(missing)}" if missing else "",
            at_ns=max(r.at_ns for r in seen.values()),
        )


class Kill(_OnNodes):
    """SIGKILL to every process of the node; the node starts again when the fault ends."""

    def inject(self, scene: Scene) -> None:
        """Kill, on all nodes at once."""
        self._ask(scene, "kill")

    def probe(self, scene: Scene) -> Probe:
        """No process is left, and a request finds nobody."""
        states, reactions = self._states(scene), self._reactions(scene)
        alive = [n for n in self._nodes if states[n].strip("ZX")]
        answering = [n for n, r in reactions.items() if r.kind == "answered"]
        why = ""
        if alive or answering:
            why = f"still there: {', '.join(sorted({*alive, *answering}))}"
        return Probe(
            outcome=MISMATCH if why else CONFIRMED,
            requested={"processes": 0},
            why=why,
            measured={
                n: {"processes": len(states[n]), "request": reactions[n].kind} for n in self._nodes
            },
            at_ns=self._effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Start the databases again."""
        with ThreadPoolExecutor(len(self._nodes) or 1) as pool:
            list(pool.map(lambda n: _start_again(scene, n), self._nodes))


class Pause(_OnNodes):
    """SIGSTOP to every process of the node: connections stay open and nothing answers."""

    def inject(self, scene: Scene) -> None:
        """Stop, on all nodes at once."""
        self._ask(scene, "stop", fault=self.id)

    def probe(self, scene: Scene) -> Probe:
        """Every process is stopped, and a request gets no answer."""
        states, reactions = self._states(scene), self._reactions(scene)
        running = [n for n in self._nodes if states[n].strip("TtZX")]
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
            measured={n: {"states": states[n], "request": reactions[n].kind} for n in self._nodes},
            at_ns=self._effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Let them run."""
        ask_all(scene.cluster.agents(), {n: ("resume", {"fault": self.id}) for n in self._nodes})


class Restart(_OnNodes):
    """An orderly restart: SIGTERM, wait, start again. It is over when the database answers."""

    heals_itself = True

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._before: dict[str, set[int]] = {}

    def inject(self, scene: Scene) -> None:
        """Restart the node's containers, on all nodes at once."""
        self._before = self._pids(scene)
        with ThreadPoolExecutor(len(self._nodes)) as pool:
            list(pool.map(lambda n: scene.cluster.pods[n].restart(), self._nodes))
        self._effect_ns = time.monotonic_ns()

    def probe(self, scene: Scene) -> Probe:
        """No process of before is left."""
        after = self._pids(scene)
        left = [n for n in self._nodes if self._before[n] & after[n]]
        return Probe(
            outcome=MISMATCH if left else CONFIRMED,
            requested={"processes": "all new"},
            measured={
                n: {
                    "before": len(self._before[n]),
                    "after": len(after[n]),
                    "kept": len(self._before[n] & after[n]),
                }
                for n in self._nodes
            },
            why=f"processes outlived the restart: {', '.join(left)}" if left else "",
            at_ns=self._effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Start what did not start again."""
        for node in self._nodes:
            _start_again(scene, node)

    def _pids(self, scene: Scene) -> dict[str, set[int]]:
        answers = ask_all(scene.cluster.agents(), {n: ("processes", {}) for n in self._nodes})
        return {n: {pid for pid, _, _ in a["processes"]} for n, a in answers.items()}


def _start_again(scene: Scene, node: str) -> None:
    """Start the containers once the engine has seen that they ended."""
    pod = scene.cluster.pods[node]
    if not pod.running():
        pod.wait_stopped()
    scene.cluster.start(node)
