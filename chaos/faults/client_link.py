"""Faults of a client zone's own links, through Toxiproxy; replication is not touched.

Measured by a request through each affected link, against the same request before.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Reaction, Scene, react
from chaos.runtime.toxiproxy import Link

REQUESTS = 5  # per link; the median decides


class _OnLinks:
    """What the faults of this file share: the links, and requests through them."""

    heals_itself = False
    toxic = ""

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self._entry = entry
        self._links: list[Link] = []
        self._before: dict[Link, float | None] = {}
        self._changed_ns = 0

    def available(self, scene: Scene) -> str:
        """Needs Toxiproxy, which every cluster has."""
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose client zones and nodes; the links' names as recorded."""
        entry, cluster = self._entry, scene.cluster
        zones = scene.client_zones if entry.zones == "all" else entry.zones
        nodes = entry.nodes.resolve(cluster.nodes, scene.roles(), scene.rng)
        self._links = cluster.links.matching(zones, nodes)
        if not self._links:
            raise FaultError(f"{self.id}: no client link from {list(zones)} to {nodes}")
        return sorted({f"{link.zone}→{link.node}" for link in self._links})

    def prepare(self, scene: Scene) -> None:
        """How long a request takes while all is well."""
        for link, reactions in self._requests(scene).items():
            answered = [r.ms for r in reactions if r.kind == "answered"]
            self._before[link] = statistics.median(answered) if answered else None

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Toxiproxy keeps what it was told, whoever dies."""
        return [{"do": "toxics"}]

    def prepare_heal(self, scene: Scene) -> None:
        """Nothing to begin."""

    def inject(self, scene: Scene) -> None:
        """Put the toxic on every link."""
        scene.cluster.links.add_toxic(
            self._links, self.id, self.toxic, self._attributes(), self._streams()
        )
        self._changed_ns = time.monotonic_ns()

    def heal(self, scene: Scene) -> None:
        """Take the toxic off every link."""
        scene.cluster.links.remove_toxic(self._links, self.id, self._streams())

    def probe_heal(self, scene: Scene) -> Probe:
        """Requests take as long as they did before."""
        seen = self._requests(scene)
        unwell = []
        for link, reactions in seen.items():
            answered = [r.ms for r in reactions if r.kind == "answered"]
            limit = 3 * (self._before.get(link) or 0.0) + 20.0
            if self._before.get(link) is not None and (
                not answered or statistics.median(answered) > limit
            ):
                unwell.append(link.name)
        return Probe(
            outcome=MISMATCH if unwell else CONFIRMED,
            measured=_summary(seen),
            why=f"not as before: {', '.join(unwell[:4])}" if unwell else "",
            at_ns=max(r[-1].at_ns for r in seen.values()),
        )

    def _attributes(self) -> dict[str, Any]:
        return {}

    def _streams(self) -> tuple[str, ...]:
        return ("upstream", "downstream")

    def _requests(self, scene: Scene) -> dict[Link, list[Reaction]]:
        def several(link: Link) -> list[Reaction]:
            return [react(scene, link, 3.0) for _ in range(REQUESTS)]

        with ThreadPoolExecutor(len(self._links)) as pool:
            return dict(zip(self._links, pool.map(several, self._links), strict=True))

    def _judge(self, scene: Scene, kinds: set[str], requested: dict[str, Any]) -> Probe:
        """Confirmed when every request through every link ended in one of `kinds`."""
        seen = self._requests(scene)
        wrong = [x.name for x, rs in seen.items() if any(r.kind not in kinds for r in rs)]
        return Probe(
            outcome=MISMATCH if wrong else CONFIRMED,
            requested=requested,
            measured=_summary(seen),
            why=f"requests still pass: {', '.join(wrong[:4])}" if wrong else "",
            at_ns=self._changed_ns,
        )


class ClientLatency(_OnLinks):
    """Each answer comes later by `delay` ± `jitter`; whole messages, in order."""

    toxic = "latency"

    def _attributes(self) -> dict[str, Any]:
        entry = self._entry
        return {"latency": round(entry.delay_ns / 1e6), "jitter": round(entry.jitter_ns / 1e6)}

    def _streams(self) -> tuple[str, ...]:
        return ("downstream",)

    def probe(self, scene: Scene) -> Probe:
        """The median request takes `delay` longer than before, within the jitter and 10 ms."""
        wanted = self._entry.delay_ns / 1e6
        tolerance = self._entry.jitter_ns / 1e6 + max(10.0, 0.1 * wanted)
        seen = self._requests(scene)
        added: dict[str, float | None] = {}
        for link, reactions in seen.items():
            answered = [r.ms for r in reactions if r.kind == "answered"]
            before = self._before[link]
            added[link.name] = (
                round(statistics.median(answered) - before, 2)
                if answered and before is not None
                else None
            )
        off = [n for n, ms in added.items() if ms is not None and abs(ms - wanted) > tolerance]
        unknown = [n for n, ms in added.items() if ms is None]
        outcome, why = CONFIRMED, ""
        if off:
            outcome = MISMATCH
            why = f"{off[0]} got {added[off[0]]} ms instead of {wanted:g} ± {tolerance:g} ms"
        elif unknown:
            outcome, why = INCONCLUSIVE, f"no answers to time on {', '.join(unknown[:4])}"
        return Probe(
            outcome=outcome,
            requested={"added_ms": wanted, "tolerance_ms": tolerance},
            measured={"added_ms": added},
            why=why,
            at_ns=self._changed_ns,
        )


class ClientReset(_OnLinks):
    """Connections are reset by the peer as soon as something is sent on them."""

    toxic = "reset_peer"

    def _attributes(self) -> dict[str, Any]:
        return {"timeout": 0}

    def _streams(self) -> tuple[str, ...]:
        return ("upstream",)

    def probe(self, scene: Scene) -> Probe:
        """Every request ends in a reset."""
        return self._judge(scene, {"reset", "closed"}, {"request": "reset"})


class ClientDown(_OnLinks):
    """The links stop listening: open connections drop, new ones are refused."""

    def inject(self, scene: Scene) -> None:
        """Disable the proxies."""
        scene.cluster.links.take_down(self._links, self.id)
        self._changed_ns = time.monotonic_ns()

    def heal(self, scene: Scene) -> None:
        """Enable them again."""
        scene.cluster.links.bring_up(self._links, self.id)

    def probe(self, scene: Scene) -> Probe:
        """Every connection is refused."""
        return self._judge(scene, {"refused", "reset", "closed"}, {"request": "refused"})


def _summary(seen: dict[Link, list[Reaction]]) -> dict[str, Any]:
    return {
        link.name: {
            "kinds": sorted({r.kind for r in reactions}),
            "median_ms": round(statistics.median(r.ms for r in reactions), 2),
        }
        for link, reactions in seen.items()
    }
