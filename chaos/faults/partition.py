"""Partitions: packets between two sides are dropped at the receiver; connections hang.

Between nodes the agents do it, in the kernel, with leases (chaos/agent/agent.py). Clients do not
live in the test network: a client zone's way to a node is cut in Toxiproxy, where a `timeout` toxic
with no time swallows what comes. (Such a link still accepts connections, and closes them on heal.)

Measured by one-way UDP beacons between the pods, for each direction on its own, and by requests
through each cut client link.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

from chaos.agent.link import ask_all, wait
from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Reaction, Scene, react
from chaos.runtime.toxiproxy import Link

BEACON_EVERY_MS = 2
LEAD_S = 0.1  # how long before the change beacons start
WATCH_S = 0.25  # how long after it arrivals are watched
QUIET_S = 0.1  # the end of the watch: silence here means cut
CLIENTS_PREFIX = "clients@"

Pair = tuple[str, str]  # from node, to node: one direction


class Partition:
    """Cuts every path from one set to another; both ways unless told otherwise."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self._entry = entry
        self._cuts: list[Pair] = []
        self._client_cuts: dict[str, list[Link]] = {}  # Toxiproxy's stream → links to cut
        self._others_cut: set[Pair] = set()  # directions that another fault still cuts
        self._injected_ns = 0
        self._effect_ns = 0  # when the last client link was cut; of nodes, beacons tell
        self._healed_ns = 0

    def available(self, scene: Scene) -> str:
        """Needs nftables in the pods."""
        for node, hello in scene.cluster.hello.items():
            if not hello["nftables"]:
                return f"no nftables in the pod of {node}: {hello['why']}"
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose both sides; `left | right` as recorded."""
        left, right = self._sides(scene)
        left_nodes, left_zones = _split(left)
        right_nodes, right_zones = _split(right)
        if not left_nodes or not right:
            raise FaultError(
                f"{self.id}: a partition needs nodes on both sides, got {left} | {right}"
            )
        ways = self._entry.ways
        links = scene.cluster.links
        out, back = links.matching(left_zones, right_nodes), links.matching(right_zones, left_nodes)
        self._cuts, self._client_cuts = [], {"upstream": [], "downstream": []}
        if "forward" in ways:  # what the left side sends: requests of its clients, and its answers
            self._cuts += product(left_nodes, right_nodes)
            self._client_cuts["upstream"] += out
            self._client_cuts["downstream"] += back
        if "backward" in ways:
            self._cuts += product(right_nodes, left_nodes)
            self._client_cuts["upstream"] += back
            self._client_cuts["downstream"] += out
        return [*left, "|", *right]

    def _cut_links(self) -> list[Link]:
        return sorted({link for links in self._client_cuts.values() for link in links})

    def _sides(self, scene: Scene) -> tuple[list[str], list[str]]:
        entry, nodes, roles = self._entry, scene.cluster.nodes, scene.roles()
        if entry.between is not None:
            first, second = (
                _unique([name for member in side for name in self._member(member, scene)])
                for side in entry.between
            )
            both = set(first) & set(second)
            if both:
                raise FaultError(f"{self.id}: {sorted(both)} would be on both sides")
            left, right = first, second
        else:
            left = entry.isolate.resolve(nodes, roles, scene.rng)
            right = [node.name for node in nodes if node.name not in left]
        if entry.clients == "by-zone":
            inside = {node.zone for node in nodes if node.name in left}
            for zone in scene.client_zones:
                (left if zone in inside else right).append(CLIENTS_PREFIX + zone)
        return left, right

    def _member(self, member: Any, scene: Scene) -> list[str]:
        if member.clients_zone:
            return [CLIENTS_PREFIX + member.clients_zone]
        names: list[str] = member.target.resolve(scene.cluster.nodes, scene.roles(), scene.rng)
        return names

    def prepare(self, scene: Scene) -> None:
        """Start the beacons on every cut direction."""
        targets = _addresses_by_node(scene, self._cuts)
        window_ms = (LEAD_S + WATCH_S) * 1000 + 200
        ask_all(
            scene.cluster.agents(),
            {
                sender: ("beacons", {"to": to, "every_ms": BEACON_EVERY_MS, "for_ms": window_ms})
                for sender, to in targets.items()
            },
        )

    prepare_heal = prepare

    def inject(self, scene: Scene) -> None:
        """Cut: the agents at once, the client links beside them."""
        self._injected_ns = time.monotonic_ns()
        sources = _addresses_by_node(scene, [(b, a) for a, b in self._cuts])
        with ThreadPoolExecutor(1) as pool:
            clients = pool.submit(self._cut_clients, scene)
            ask_all(
                scene.cluster.agents(),
                {
                    receiver: ("block", {"fault": self.id, "sources": from_})
                    for receiver, from_ in sources.items()
                },
            )
            clients.result()
        self._effect_ns = time.monotonic_ns()

    def _cut_clients(self, scene: Scene) -> None:
        for stream, links in self._client_cuts.items():
            scene.cluster.links.add_toxic(links, self.id, "timeout", {"timeout": 0}, [stream])

    def probe(self, scene: Scene) -> Probe:
        """Each direction: did beacons stop, and when was the last one heard?"""
        silent = _react_all(scene, self._cut_links())
        arrivals = self._arrivals(scene, self._injected_ns - int(LEAD_S * 1e9))
        end = time.monotonic_ns() - int(QUIET_S * 1e9)
        leaking = [p for p, times in arrivals.items() if any(t > end for t in times)]
        unheard = [p for p, times in arrivals.items() if not times]
        through = [link.name for link, r in silent.items() if r.kind != "silent"]
        last = max((t for times in arrivals.values() for t in times), default=self._injected_ns)
        measured = {
            "cut": [_arrow(p) for p in arrivals if p not in leaking],
            "leaking": [_arrow(p) for p in leaking],
            "already_cut": [_arrow(p) for p in unheard],
            "client_links_cut": len(silent) - len(through),
            "client_links_open": through,
        }
        outcome, why = CONFIRMED, ""
        if leaking or through:
            outcome = MISMATCH
            open_ways = ", ".join([*map(_arrow, leaking), *through][:4])
            why = f"packets still pass: {open_ways}"
        elif len(unheard) == len(arrivals) and arrivals:
            outcome, why = INCONCLUSIVE, "nothing passed before the cut either"
        return Probe(
            outcome=outcome,
            requested=self._requested(),
            measured=measured,
            why=why,
            at_ns=max(last, self._effect_ns if silent else self._injected_ns),
        )

    def _requested(self) -> dict[str, Any]:
        return {
            "cut": [_arrow(p) for p in self._cuts],
            "client_links_cut": len(self._cut_links()),
        }

    def heal(self, scene: Scene) -> None:
        """Let everything through again."""
        self._healed_ns = time.monotonic_ns()
        agents = scene.cluster.agents()
        names = {node.address: node.name for node in scene.cluster.nodes}
        receivers = {receiver for _, receiver in self._cuts}
        futures = {n: agents[n].send("unblock", fault=self.id) for n in receivers}
        for stream, links in self._client_cuts.items():
            scene.cluster.links.remove_toxic(links, self.id, [stream])
        for receiver, future in futures.items():
            answer = wait(future, receiver, "unblock")
            self._others_cut |= {(names[a], receiver) for a in answer["still"]}

    def probe_heal(self, scene: Scene) -> Probe:
        """Each direction: when did the first beacon come again?"""
        others = {x for x in self._cut_links() if scene.cluster.links.toxics(x)}
        reactions = _react_all(scene, [x for x in self._cut_links() if x not in others])
        arrivals = self._arrivals(scene, self._healed_ns)
        arrivals = {p: times for p, times in arrivals.items() if p not in self._others_cut}
        still = [p for p, times in arrivals.items() if not times]
        mute = [link.name for link, r in reactions.items() if r.kind == "silent"]
        first = [times[0] for times in arrivals.values() if times]
        measured = {
            "passing": [_arrow(p) for p in arrivals if p not in still],
            "client_links_passing": len(reactions) - len(mute),
        }
        held = [*map(_arrow, sorted(self._others_cut)), *(link.name for link in sorted(others))]
        outcome = CONFIRMED if arrivals or reactions else INCONCLUSIVE
        why = f"held by another fault: {', '.join(held[:4])}" if held else ""
        if still or mute:
            outcome = MISMATCH
            why = f"nothing passes yet: {', '.join([*map(_arrow, still), *mute][:4])}"
        return Probe(
            outcome=outcome,
            measured=measured,
            why=why,
            at_ns=max([*first, *(r.at_ns for r in reactions.values())], default=self._healed_ns),
        )

    def _arrivals(self, scene: Scene, since_ns: int) -> dict[Pair, list[int]]:
        """Arrival times on each cut direction since then, after the watch has passed."""
        changed = max(self._injected_ns, self._healed_ns)
        time.sleep(max(0.0, WATCH_S - (time.monotonic_ns() - changed) / 1e9))
        receivers = {receiver for _, receiver in self._cuts}
        answers = ask_all(
            scene.cluster.agents(), {r: ("arrivals", {"since_ns": since_ns}) for r in receivers}
        )
        return {(a, b): answers[b]["arrivals"].get(a, []) for a, b in self._cuts}


def _addresses_by_node(scene: Scene, pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """First node of the pairs → addresses of the second ones."""
    addresses = {node.name: node.address for node in scene.cluster.nodes}
    found: dict[str, list[str]] = {}
    for one, other in pairs:
        found.setdefault(one, []).append(addresses[other])
    return found


def _react_all(scene: Scene, links: Sequence[Link]) -> Mapping[Link, Reaction]:
    if not links:
        return {}
    with ThreadPoolExecutor(len(links)) as pool:
        reactions = pool.map(lambda link: react(scene, link, WATCH_S), links)
        return dict(zip(links, reactions, strict=True))


def _split(members: Sequence[str]) -> tuple[list[str], list[str]]:
    """Node names and client zones of a side."""
    zones = [m.removeprefix(CLIENTS_PREFIX) for m in members if m.startswith(CLIENTS_PREFIX)]
    return [m for m in members if not m.startswith(CLIENTS_PREFIX)], zones


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _arrow(pair: Pair) -> str:
    return f"{pair[0]}→{pair[1]}"
