"""What faults on nodes share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from chaos.agent.link import ask_all
from chaos.errors import ClusterError
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

ENDED = "ended"  # claim on (node, name): these processes are killed
BACK_S = 15.0  # how long a database may take to answer again


class Seen(NamedTuple):
    """One process as its agent sees it; `state` is the kernel's letter."""

    pid: int
    name: str
    state: str


class OnNodes:
    """What faults on nodes share: targets, requests to their agents and to their databases."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self.entry = entry
        self.nodes: list[str] = []
        self.effect_ns = 0
        self.before: dict[str, list[str]] = {}  # node → faults that silenced it before us
        self.held: dict[str, set[str]] = {}  # node → other faults that keep it down after our end

    def available(self, scene: Scene) -> str:
        """Always: the agent needs only the right to send signals."""
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the nodes."""
        self.nodes = self.entry.target.resolve(scene.cluster.nodes, scene.roles(), scene.rng)
        return list(self.nodes)

    def prepare(self, scene: Scene) -> None:
        """See which nodes do not answer anyhow."""
        quiet = {node: scene.cluster.silenced_by(node, self.id) for node in self.nodes}
        self.before = {node: by for node, by in quiet.items() if by}

    def prepare_heal(self, scene: Scene) -> None:
        """Nothing to begin."""

    def already_down(self) -> str:
        """Which nodes did not answer before, and because of which faults; "" if all did."""
        said = [f"{node} ({', '.join(by)})" for node, by in sorted(self.before.items())]
        return f"already down because of another fault: {', '.join(said)}" if said else ""

    def judged(self, what: str, wrong: Sequence[str], idle: Sequence[str]) -> tuple[str, str]:
        """Outcome and reason: `wrong` shows no effect, `idle` are nodes that could show none."""
        if wrong:
            return MISMATCH, f"{what}: {', '.join(wrong)}"
        if idle:
            said = self.already_down() or f"no database ran on {', '.join(idle)}"
            return INCONCLUSIVE, said
        return CONFIRMED, ""

    def claim(self, scene: Scene, kind: str) -> None:
        """Say what this fault does to its nodes (SILENT, HINDERED), for the probes of others."""
        for node in self.nodes:
            scene.cluster.claims.put((kind, node), self.id)

    def unclaim(self, scene: Scene, kind: str) -> None:
        """End `claim`."""
        for node in self.nodes:
            scene.cluster.claims.drop((kind, node), self.id)

    def ask(self, scene: Scene, do: str, **arguments: Any) -> dict[str, dict[str, Any]]:
        """The same command to each node's agent, all at once; `effect_ns` is the last one's."""
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(self.nodes, (do, arguments)), 10.0)
        self.effect_ns = max(a["t_ns"] for a in answers.values())
        return answers

    def starting(self) -> list[dict[str, Any]]:
        """As `undo` for faults that leave databases stopped: start those of the nodes."""
        return [{"do": "start", "node": node} for node in self.nodes]

    def keep_down(self, scene: Scene) -> None:
        """The nodes stay down, whoever would start them, until `release`."""
        for node in self.nodes:
            scene.cluster.keep_down(node, self.id)

    def release(self, scene: Scene) -> None:
        """Start the databases again, all at once; those that another fault keeps down stay down."""
        with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
            held = pool.map(lambda node: scene.cluster.release(node, self.id), self.nodes)
            self.held = {n: by for n, by in zip(self.nodes, held, strict=True) if by}

    def processes(self, scene: Scene, name: str | None = None) -> dict[str, list[Seen]]:
        """Each node's processes, or those called `name`: number, the kernel's name, state."""
        asked = ("processes", {"process": name})
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(self.nodes, asked))
        return {n: [Seen(*row) for row in a["processes"]] for n, a in answers.items()}

    def states(self, scene: Scene, name: str | None = None) -> dict[str, str]:
        """The states of each node's processes, as the kernel shows them: "SSR", "TT", ""."""
        seen = self.processes(scene, name)
        return {n: "".join(p.state for p in processes) for n, processes in seen.items()}

    def check_name(self, scene: Scene, name: str | None) -> None:
        """FaultError that lists what runs when a node that is up has no process of that name.

        Where another fault has ended it, that is taken for being down.
        """
        for node in self.nodes:
            if by := scene.cluster.claims.of((ENDED, node, name), self.id):
                self.before[node] = sorted({*by, *self.before.get(node, ())})
        up = [node for node in self.nodes if node not in self.before]
        if name is not None:
            ask_all(scene.cluster.agents(), dict.fromkeys(up, ("named", {"process": name})))

    def reactions(self, scene: Scene) -> dict[str, Reaction]:
        """A request to each node's database, through the controller's own links."""
        return {n: react(scene, own_link(n)) for n in self.nodes}

    def probe_heal(self, scene: Scene) -> Probe:
        """Each node that no other fault keeps down answers a request again."""
        free = [node for node in self.nodes if node not in self.held]

        def back(node: str) -> Reaction:
            held = scene.cluster.silenced_by(node, self.id)
            return wait_back(scene, node, 0.0 if held else BACK_S)

        with ThreadPoolExecutor(len(free) or 1) as pool:
            seen = dict(zip(free, pool.map(back, free), strict=True))
        missing = [n for n, r in seen.items() if r.kind != "answered"]
        others = {n: set(scene.cluster.hindered_by(n, self.id)) for n in missing}
        self.held |= {n: by for n, by in others.items() if by}
        free = [n for n in free if n not in self.held]
        missing = [n for n in missing if n not in self.held]
        words = {n: f" ({said})" if (said := last_words(scene, n)) else "" for n in missing}
        why = f"no answer: {', '.join(n + words[n] for n in missing)}" if missing else ""
        if self.held and not missing:
            why = "held by another fault: " + ", ".join(
                f"{node} ({', '.join(sorted(by))})" for node, by in sorted(self.held.items())
            )
        return Probe(
            outcome=MISMATCH if missing else CONFIRMED if free else INCONCLUSIVE,
            measured={n: {"request": r.kind, "ms": round(r.ms, 2)} for n, r in seen.items()},
            why=why,
            at_ns=max((r.at_ns for r in seen.values()), default=None),
        )


def wait_back(scene: Scene, node: str, deadline_s: float) -> Reaction:
    """Ask a node until it answers, its database has ended, or the deadline; the last reaction."""
    end = time.monotonic() + deadline_s
    while True:
        left = end - time.monotonic()
        reaction = wait_answer(scene, own_link(node), min(1.0, max(0.0, left)))
        if reaction.kind == "answered" or left <= 1.0 or last_words(scene, node):
            return reaction


def last_words(scene: Scene, node: str) -> str:
    """How a database that ended by itself did, with the last line of its log; "" if it runs."""
    try:
        scene.cluster.pods[node].check()
    except ClusterError as error:
        return ": ".join([error.what, *error.detail.splitlines()[-1:]])[:300]
    return ""
