"""Limits that the engine puts on a node's containers, and what the kernel says of them.

Several faults may limit the same container: the smallest limit is in force, and the end of one
leaves the smallest of the others. The engine's limits outlive every process of ours, so each fault
says beforehand what they were (`undo`).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.agent.link import ask_all
from chaos.faults.base import Scene
from chaos.faults.nodes import OnNodes
from chaos.runtime.cluster import HINDERED

Counters = Mapping[str, Any]  # chaos.agent.cgroups, `do_counters`
Wanted = dict[str, float]  # container → its limit, in the fault's own unit


class EngineLimit(OnNodes):
    """A limit by the engine on each container of each target."""

    kind: str  # of limit, the same for all faults that set it

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self.granted: dict[str, Wanted] = {}  # node → what is asked of the engine
        self.began: dict[str, dict[str, Counters]] = {}  # counters before, by node and container
        self._original: dict[str, dict[str, Any]] = {}  # node → container → the engine's settings

    def setting(self, value: float) -> dict[str, int]:
        """The engine's words for a limit."""
        raise NotImplementedError

    def no_setting(self, before: Mapping[str, Any]) -> dict[str, int]:
        """The engine's words for what a container had before any fault; `before` is HostConfig."""
        raise NotImplementedError

    def wanted(self, scene: Scene, node: str) -> Wanted:
        """The limit of each container of the node."""
        raise NotImplementedError

    def prepare(self, scene: Scene) -> None:
        """What the limits were before any fault of this kind, and the kernel's counters."""
        super().prepare(scene)
        for node in self.nodes:
            thing = (self.kind, "before", node)
            with scene.cluster.claims.changing((self.kind, node)):
                if not scene.cluster.claims.of((self.kind, node)):
                    scene.cluster.claims.put(thing, "kept", scene.cluster.pods[node].limits())
                self._original[node] = scene.cluster.claims.of(thing)["kept"]
        self.began = self.counters(scene)

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """The limits as they were before any fault."""
        return [
            {"do": "update", "node": node, **self.no_setting(next(iter(before.values())))}
            for node, before in self._original.items()
        ]

    def inject(self, scene: Scene) -> None:
        """Limit, on all nodes at once."""
        self.claim(scene, HINDERED)
        with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
            list(pool.map(lambda node: self.limit(scene, node), self.nodes))

    def limit(self, scene: Scene, node: str) -> None:
        """One node."""
        self.granted[node] = self.wanted(scene, node)
        self.put(scene, node)

    def put(self, scene: Scene, node: str) -> None:
        """Have `granted` in force, or less where another fault wants less."""
        with scene.cluster.claims.changing((self.kind, node)):
            scene.cluster.claims.put((self.kind, node), self.id, dict(self.granted[node]))
            self._apply(scene, node)

    def heal(self, scene: Scene) -> None:
        """Give up our limit, on all nodes at once."""
        self.unclaim(scene, HINDERED)
        with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
            list(pool.map(lambda node: self._give_up(scene, node), self.nodes))

    def _give_up(self, scene: Scene, node: str) -> None:
        with scene.cluster.claims.changing((self.kind, node)):
            scene.cluster.claims.drop((self.kind, node), self.id)
            self._apply(scene, node)

    def _apply(self, scene: Scene, node: str) -> None:
        for container, before in self._original.get(node, {}).items():
            value = self.in_force(scene, node, container)
            words = self.no_setting(before) if value is None else self.setting(value)
            scene.cluster.pods[node].limit(container, **words)

    def in_force(self, scene: Scene, node: str, container: str) -> float | None:
        """The smallest limit that any fault wants for a container; None without one."""
        claims = scene.cluster.claims.of((self.kind, node)).values()
        return min((claim[container] for claim in claims if container in claim), default=None)

    def lower(self, scene: Scene, node: str, container: str) -> list[str]:
        """The other faults that want less of it than this one."""
        mine = self.granted[node][container]
        others = scene.cluster.claims.of((self.kind, node), self.id)
        return sorted(fault for fault, claim in others.items() if claim[container] < mine)

    def reading(self, scene: Scene) -> tuple[dict[str, dict[str, Counters]], dict[str, Wanted]]:
        """`counters`, and what was in force when they were read."""
        seen: dict[str, dict[str, Counters]] = {}
        force: dict[str, Wanted] = {}
        for node in self.nodes:
            with scene.cluster.claims.changing((self.kind, node)):
                seen[node] = self.counters(scene, node)[node]
                values = {name: self.in_force(scene, node, name) for name in self._original[node]}
                force[node] = {name: v for name, v in values.items() if v is not None}
        return seen, force

    def counters(self, scene: Scene, only: str = "") -> dict[str, dict[str, Counters]]:
        """The kernel's counters by node and container; a container without a process has none."""
        nodes = [only] if only else self.nodes
        answers = ask_all(scene.cluster.agents(), {n: ("counters", {}) for n in nodes})
        return {
            node: {
                name: group
                for name, number in scene.cluster.pods[node].container_ids().items()
                for group in answers[node]["groups"]
                if number in group["group"]
            }
            for node in nodes
        }
