"""Pause: processes stay where they are, connections stay open, and nothing answers.

`how: signal` is SIGSTOP by the agent: there within milliseconds, for one process as well, and over
by itself when the controller dies. `how: freezer` is the engine's pause, the kernel's freezer of
the containers' cgroups: no process can catch or see it, and it has to be undone. Both may hold the
same node at once, and several faults each: a process runs again when nobody holds it any more.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.agent.link import ask_all
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import OnNodes
from chaos.runtime.cluster import FROZEN, HINDERED, SILENT


class Pause(OnNodes):
    """Stops every process of the node, or those of one name."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._process: str | None = entry.process
        self._freezes = entry.how == "freezer"
        self._claims = SILENT if entry.process is None else HINDERED

    def prepare(self, scene: Scene) -> None:
        """See what does not answer already, and that a process of that name runs."""
        super().prepare(scene)
        self.check_name(scene, self._process)
        for node, states in self.states(scene, self._process).items():
            by = scene.cluster.hindered_by(node, self.id)
            if by and states and not states.strip("TtZX"):
                self.before[node] = by  # stopped as it is

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """The engine's freezer stays as it is when everybody is dead; a stop by the agent ends."""
        return [{"do": "unpause", "node": node} for node in self.nodes] if self._freezes else []

    def inject(self, scene: Scene) -> None:
        """Stop, on all nodes at once."""
        self.claim(scene, self._claims)
        if not self._freezes:
            self.ask(scene, "stop", fault=self.id, process=self._process)
            return
        with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
            list(pool.map(lambda node: self._freeze(scene, node), self.nodes))
        self.effect_ns = time.monotonic_ns()

    def _freeze(self, scene: Scene, node: str) -> None:
        with scene.cluster.claims.changing((FROZEN, node)):
            scene.cluster.claims.put((FROZEN, node), self.id)
            scene.cluster.pods[node].freeze()

    def _thaw(self, scene: Scene, node: str) -> set[str]:
        with scene.cluster.claims.changing((FROZEN, node)):
            others = scene.cluster.claims.drop((FROZEN, node), self.id)
            if not others:
                scene.cluster.pods[node].thaw()
        return set(others)

    def probe(self, scene: Scene) -> Probe:
        """The kernel says stopped (or frozen), and a request gets no answer."""
        states, reactions = self.states(scene, self._process), self.reactions(scene)
        frozen = self._frozen(scene) if self._freezes or self.before else {}
        measured = {n: {"states": states[n], "request": reactions[n].kind} for n in self.nodes}
        for node, flags in frozen.items():
            measured[node]["frozen"] = "".join("f" if flag else "-" for flag in flags)
        if self._freezes:
            running = [n for n in self.nodes if not all(frozen[n])]
        else:
            running = [n for n in self.nodes
                       if states[n].strip("TtZX") and not all(frozen.get(n, [False]))]  # fmt: skip
        if self._process is None:
            running += [n for n in self.nodes if reactions[n].kind == "answered"]
            gone = [n for n in self.nodes if reactions[n].kind not in ("answered", "silent")]
        else:  # another process may answer for the node, or nobody
            gone = [n for n in self.nodes if not states[n].strip("ZX")]
        outcome, why = CONFIRMED, ""
        if running:
            outcome = MISMATCH
            why = f"still running: {', '.join(sorted(set(running)))}"
        elif self.before:
            outcome, why = INCONCLUSIVE, self.already_down()
        elif gone:
            outcome, why = INCONCLUSIVE, f"nothing to pause: no database on {', '.join(gone)}"
        return Probe(
            outcome=outcome,
            requested={"frozen": "f"} if self._freezes else {"states": "T", "request": "silent"},
            why=why,
            measured=measured,
            at_ns=self.effect_ns,
        )

    def _frozen(self, scene: Scene) -> dict[str, list[bool]]:
        """Whether each container of each node is frozen, as the kernel says."""
        answers = ask_all(scene.cluster.agents(), {n: ("counters", {}) for n in self.nodes})
        return {n: [g["frozen"] for g in a["groups"]] for n, a in answers.items()}

    def heal(self, scene: Scene) -> None:
        """Let them run, but for what another fault holds."""
        self.unclaim(scene, self._claims)
        if self._freezes:
            with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
                still = list(pool.map(lambda node: self._thaw(scene, node), self.nodes))
            self.held = {n: by for n, by in zip(self.nodes, still, strict=True) if by}
            return
        answers = self.ask(scene, "resume", fault=self.id)
        self.held = {n: set(a["still"]) for n, a in answers.items() if a["still"]}
