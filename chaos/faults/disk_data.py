"""Faults of what is on the disks: one flipped bit, and everything gone. Ordinary volumes will do.

A flipped bit hits a file that was not written to lately, as rot does, and leaves its times alone.
The database may not notice before it reads the file again.
"""

from __future__ import annotations

from typing import Any

from chaos.agent.cold import NO_PROCESS
from chaos.agent.link import ask_all
from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import OnNodes
from chaos.runtime.cluster import FROZEN, HINDERED


class BitFlip(OnNodes):
    """One bit on each node; flipped back at the end, if there is one and nobody wrote there."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self.heals_itself = entry.for_ns is None
        self._flips: dict[str, dict[str, Any]] = {}
        self._seeds: dict[str, int] = {}
        self._was: dict[str, str] = {}

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the nodes, and draw the bits."""
        nodes = super().resolve(scene)
        self._seeds = {node: scene.rng.randrange(2**32) for node in nodes}
        return nodes

    def inject(self, scene: Scene) -> None:
        """Flip, on all nodes."""
        self.claim(scene, HINDERED)  # a database may end when it finds damage
        request = {"fault": self.id, "file": self.entry.file, "lasting": self.heals_itself}
        asked = {n: ("flip", {**request, "seed": seed}) for n, seed in self._seeds.items()}
        self._flips = ask_all(scene.cluster.agents(), asked, 10.0)
        self.effect_ns = max(flip["t_ns"] for flip in self._flips.values())

    def probe(self, scene: Scene) -> Probe:
        """The byte, read from the disk, is the one of before with one bit changed."""
        seen = self._peek(scene)
        wrong = [n for n in self.nodes if seen[n] not in (self._flips[n]["after"], None)]
        silent = [n for n in self.nodes if seen[n] is None]
        outcome, why = CONFIRMED, ""
        if wrong:
            outcome, why = MISMATCH, f"the byte is another already: {', '.join(wrong)}"
        elif silent:
            outcome, why = INCONCLUSIVE, f"the file is gone already: {', '.join(silent)}"
        return Probe(
            outcome=outcome,
            requested={"bits": 1},
            why=why,
            at_ns=self.effect_ns,
            measured={
                n: {
                    **{key: f[key] for key in ("file", "offset", "bit")},
                    "before": f"{f['before']:#04x}",
                    "after": f"{seen[n] or 0:#04x}",
                    "bits": (f["before"] ^ (seen[n] or 0)).bit_count(),
                }
                for n, f in self._flips.items()
            },
        )

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """The agent flips back by itself, through a process of the database, which may have ended.
        A flip that stays is not undone."""
        return [] if self.heals_itself else self.starting()

    def heal(self, scene: Scene) -> None:
        """Flip back, and start what ended over it."""
        self.unclaim(scene, HINDERED)
        for node in self._flips:
            if self._was.get(node) is None:
                self._was[node] = self._flip_back(scene, node)
            scene.cluster.start_ended(node)

    def _flip_back(self, scene: Scene, node: str) -> str:
        """By the agent, or, where no database runs through which it could, by a helper."""
        try:
            answer = scene.cluster.agents()[node].ask("flip_back", 10.0, fault=self.id)
        except FaultError as error:
            if NO_PROCESS not in error.what:
                raise
            volumes = scene.cluster.pods[node].data_volumes()
            folders = {name: f"/volumes/{k}" for k, name in enumerate(volumes)}
            binds = {name: {"bind": place, "mode": "rw"} for name, place in folders.items()}
            flip = self._flips[node]
            with scene.cluster.helper(binds=binds) as helper:
                answer = helper.ask(
                    "flip_back_in", folders=list(folders.values()), byte=flip["after"],
                    **{key: flip[key] for key in ("path", "offset", "bit")},
                )  # fmt: skip
        return str(answer["was"])

    def probe_heal(self, scene: Scene) -> Probe:
        """The byte is as before, unless somebody wrote there. A lasting flip has no end to prove,
        and a database that it ended is the experiment's to see."""
        if self.heals_itself:
            self.unclaim(scene, HINDERED)
            return Probe(outcome=CONFIRMED, measured={"stays": True}, at_ns=self.effect_ns)
        seen = self._peek(scene)
        wrong = [
            n
            for n, flip in self._flips.items()
            if self._was.get(n) == "flipped-back" and seen[n] not in (flip["before"], None)
        ]
        probe = super().probe_heal(scene)
        measured = {n: {**m, "bit": self._was.get(n, "")} for n, m in probe.measured.items()}
        if wrong:
            return Probe(
                outcome=MISMATCH, measured=measured, why=f"still flipped: {', '.join(wrong)}"
            )
        return Probe(outcome=probe.outcome, measured=measured, why=probe.why, at_ns=probe.at_ns)

    def _peek(self, scene: Scene) -> dict[str, int | None]:
        asked = {
            n: ("peek", {key: flip[key] for key in ("place", "path", "offset")})
            for n, flip in self._flips.items()
        }
        answers = ask_all(scene.cluster.agents(), asked, 10.0)
        return {n: answer["byte"] for n, answer in answers.items()}


class Wipe(OnNodes):
    """Everything in the nodes' data directories is deleted and the processes are killed; the nodes
    start with nothing when the fault ends, as a machine with a new disk does."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._wiped: dict[str, dict[str, Any]] = {}

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start them."""
        return self.starting()

    def inject(self, scene: Scene) -> None:
        """Delete and kill, on all nodes at once."""
        self.keep_down(scene)
        for node in self.nodes:
            if scene.cluster.claims.of((FROZEN, node)):
                scene.cluster.pods[node].thaw()
        answers = self.ask(scene, "wipe")
        self._wiped = {node: answer["wiped"] for node, answer in answers.items()}
        for node, wiped in self._wiped.items():
            if wiped:
                scene.cluster.emptied(node)

    def probe(self, scene: Scene) -> Probe:
        """Nothing is left in the directories, no process is left, and nobody answers."""
        states, reactions = self.states(scene), self.reactions(scene)
        left = [
            n
            for n, places in self._wiped.items()
            if any(place["left"] for place in places.values())
            or states[n].strip("ZX")
            or reactions[n].kind == "answered"
        ]
        idle = [n for n in self.nodes if not self._wiped[n]]
        outcome, why = self.judged("something is left", left, idle)
        return Probe(
            outcome=outcome,
            requested={"files": 0, "processes": 0},
            why=why,
            at_ns=self.effect_ns,
            measured={
                n: {
                    "wiped": self._wiped[n],
                    "processes": len(states[n].strip("ZX")),
                    "request": reactions[n].kind,
                }
                for n in self.nodes
            },
        )

    def heal(self, scene: Scene) -> None:
        """Start the nodes again, with nothing."""
        self.release(scene)
