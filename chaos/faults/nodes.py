"""What faults on nodes share."""

from __future__ import annotations

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


class OnNodes:
    """What faults on nodes share: targets, requests to their agents and to their databases."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self.entry = entry
        self.nodes: list[str] = []
        self.effect_ns = 0
        self.held: dict[str, set[str]] = {}  # node → other faults that keep it down after our end

    def available(self, scene: Scene) -> str:
        """Always: the agent needs only the right to send signals."""
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the nodes."""
        self.nodes = self.entry.target.resolve(scene.cluster.nodes, scene.roles(), scene.rng)
        return list(self.nodes)

    def prepare(self, scene: Scene) -> None:
        """Nothing to begin."""

    prepare_heal = prepare

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

    def states(self, scene: Scene) -> dict[str, str]:
        """The states of each node's processes, as the kernel shows them: "SSR", "TT", ""."""
        answers = ask_all(scene.cluster.agents(), {n: ("processes", {}) for n in self.nodes})
        return {n: "".join(state for _, _, state in a["processes"]) for n, a in answers.items()}

    def reactions(self, scene: Scene) -> dict[str, Reaction]:
        """A request to each node's database, through the controller's own links."""
        return {n: react(scene, own_link(n)) for n in self.nodes}

    def probe_heal(self, scene: Scene) -> Probe:
        """Each node that no other fault keeps down answers a request again."""
        free = [node for node in self.nodes if node not in self.held]

        def back(node: str) -> Reaction:
            return wait_answer(scene, own_link(node), BACK_S)

        with ThreadPoolExecutor(len(free) or 1) as pool:
            seen = dict(zip(free, pool.map(back, free), strict=True))
        missing = [n for n, r in seen.items() if r.kind != "answered"]
        why = f"no answer within {BACK_S:g} s: {', '.join(missing)}" if missing else ""
        if self.held and not missing:
            why = "kept down by another fault: " + ", ".join(sorted(self.held))
        return Probe(
            outcome=MISMATCH if missing else CONFIRMED if free else INCONCLUSIVE,
            measured={n: {"request": r.kind, "ms": round(r.ms, 2)} for n, r in seen.items()},
            why=why,
            at_ns=max((r.at_ns for r in seen.values()), default=None),
        )
