"""Partitions: packets between two sides are dropped at the receiver; connections hang.

The agents do it, in the kernel, with leases (chaos/agent/firewall.py): between nodes, and between
clients and nodes, whose packets are told by the alias that a zone's clients dial
(chaos/runtime/ways.py). Nothing is reset when it heals.

Measured by one-way UDP beacons, for each direction on its own (chaos/faults/passing.py). Where only
some ports are cut, beacons go to these ports, TCP connects too, and both also beside them, where
they must pass.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.agent.link import ask_all, wait
from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.passing import Beaconing, Connecting, Lane
from chaos.faults.sides import Around, split
from chaos.runtime.ways import Way

LEAD_S = 0.1  # how long before the change beacons start
JUST_BEFORE_S = 0.06  # a lane that is silent just before was cut already
WATCH_S = 0.25  # for how long after it they are sent and watched; less than any `down`
HEAL_S = 1.5  # how long the first beacon after the end may take, besides the links' own delay
FLAP_EVERY_MS = 20
FLAP_SEEN_S = 0.3  # a last, shorter cut may end before it can be seen
UNUSED_PORT = 7  # nobody listens there: the kernel's refusal shows that packets pass

Heard = Mapping[Lane, Sequence[tuple[int, int]]]  # (sent, arrived) by lane


class Partition:
    """Cuts every way from one set to another; both ways unless told otherwise."""

    heals_itself = False

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self._entry = entry
        self._ports: list[int] = []  # all when empty
        self._ways: list[Way] = []
        self._lanes: list[Lane] = []  # what is cut
        self._beside: list[Lane] = []  # what must pass on the same ways when only ports are cut
        self._cut: Beaconing
        self._end: Beaconing
        self._flapping: Beaconing | None = None
        self._connects: Connecting | None = None
        self._before: Mapping[Lane, str] = {}  # connects, before the cut
        self._others_cut: set[Lane] = set()  # what another fault still cuts
        self._measured: dict[str, Any] = {}
        self._injected_ns = 0
        self._effect_ns = 0  # when every agent had said that it drops
        self._healed_ns = 0
        self._lag_s = 0.0  # what beacons took at most while nothing was cut

    def available(self, scene: Scene) -> str:
        """Needs nftables in the pods."""
        for node, hello in scene.cluster.hello.items():
            if not hello["nftables"]:
                return f"no nftables in the pod of {node}: {hello['why']}"
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the sides; with "|" between them, as recorded."""
        cluster = scene.cluster
        around = Around(nodes=cluster.nodes, client_zones=scene.client_zones,
                        roles=scene.roles(), rng=scene.rng)  # fmt: skip
        found = split(self._entry, around)
        self._ways = [way for a, b in found.pairs for way in cluster.ways([a], [b])]
        if not self._ways:
            raise FaultError(f"{self.id}: nothing to cut between {' '.join(found.told)}")
        self._ports = cluster.ports(*self._entry.ports) if self._entry.ports else []
        ports: list[int | None] = [*self._ports] or [None]
        self._lanes = [Lane(way, port) for way in self._ways for port in ports]
        self._cut = Beaconing(f"{self.id}-cut", self._lanes)
        self._end = Beaconing(f"{self.id}-end", self._lanes)
        if self._ports:
            self._beside = [Lane(way) for way in self._ways]
            self._cut = Beaconing(f"{self.id}-cut", [*self._lanes, *self._beside])
            other = [n for n in (*cluster.ports(), UNUSED_PORT) if n not in self._ports]
            tried = [Lane(way, other[0]) for way in self._ways]
            self._connects = Connecting(self.id, [*self._lanes, *tried])
        return list(found.told)

    def prepare(self, scene: Scene) -> None:
        """Start the beacons on everything that will be cut."""
        self._cut.begin(scene, LEAD_S + WATCH_S)
        if self._connects:
            self._connects.begin(scene, "before")
        if self._entry.flap:
            whole_s = LEAD_S + self._entry.for_ns / 1e9 + HEAL_S
            self._flapping = Beaconing(f"{self.id}-flap", self._lanes, FLAP_EVERY_MS)
            self._flapping.begin(scene, whole_s)

    def prepare_heal(self, scene: Scene) -> None:
        """Start them again."""
        self._end.begin(scene, LEAD_S + HEAL_S + self._lag_s)

    def inject(self, scene: Scene) -> None:
        """Cut: every receiver at once."""
        arguments: dict[str, Any] = {"fault": self.id, "ports": self._ports}
        if flap := self._entry.flap:
            arguments["flap"] = {"down_ms": flap.down_ns / 1e6, "up_ms": flap.up_ns / 1e6}
        requests = {
            receiver: ("block", {**arguments, "ways": ways})
            for receiver, ways in self._by_receiver().items()
        }
        for way in self._ways:
            scene.cluster.claims.put(("cut", way.source, way.destination), self.id)
        self._injected_ns = time.monotonic_ns()
        ask_all(scene.cluster.agents(), requests)
        self._effect_ns = time.monotonic_ns()

    def _by_receiver(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for way in self._ways:
            found.setdefault(way.receiver, []).append((way.from_address, way.to_address))
        return found

    def probe(self, scene: Scene) -> Probe:
        """Each direction: did any beacon pass that was sent after the cut?"""
        if not self._effect_ns:  # nobody was told to cut anything: then it is measured from now on
            self._injected_ns = self._effect_ns = time.monotonic_ns()
        self._cut.begin(scene, WATCH_S + self._lag_s)
        if self._connects:
            self._before = self._connects.end(scene, "before")
            self._connects.begin(scene, "during")
        _sleep_until(self._effect_ns + int(WATCH_S * 1e9))
        since_ns = self._injected_ns - int(2 * LEAD_S * 1e9)
        heard = self._cut.heard(scene, since_ns, self._effect_ns + int(0.8 * WATCH_S * 1e9))
        self._lag_s = max(
            [(came - sent) / 1e9 for times in heard.values() for sent, came in times], default=0.0
        )
        if self._lag_s > WATCH_S / 2:  # slow links: what was sent last may be on its way
            time.sleep(self._lag_s)
            heard = self._cut.heard(scene, since_ns, 0)
        probe = self._judge(heard, self._connects.end(scene, "during") if self._connects else {})
        self._measured = dict(probe.measured)
        return probe

    def _judge(self, heard: Heard, connects: Mapping[Lane, str]) -> Probe:
        sent = {lane: [t for t, _ in times] for lane, times in heard.items()}

        def passed(start_ns: int, end_ns: int) -> set[Lane]:
            return {
                lane for lane, times in sent.items() if any(start_ns < t < end_ns for t in times)
            }

        before = passed(self._injected_ns - int(JUST_BEFORE_S * 1e9), self._injected_ns)
        after = passed(self._effect_ns, self._effect_ns + int(WATCH_S * 1e9))
        leaking = [lane for lane in self._lanes if lane in after]
        unheard = [lane for lane in self._lanes if lane not in before]
        muted = [lane for lane in self._beside if lane in before and lane not in after]
        cut = {lane for lane in connects if lane.port in self._ports}
        through = [x for x in connects if x in cut and connects[x] != "silent"]
        muted += [x for x in connects if x not in cut and connects[x] == "silent"
                  and self._before.get(x) != "silent"]  # fmt: skip
        measured: dict[str, Any] = {
            "cut": [str(x) for x in self._lanes if x not in leaking],
            "leaking": [str(x) for x in leaking],
            "already_cut": [str(x) for x in unheard],
        }
        if self._ports:
            measured |= {
                "connects_silent": sum(connects[x] == "silent" for x in cut),
                "connects_through": [str(x) for x in through],
                "other_ports_passing": len(self._beside) + len(connects) - len(cut) - len(muted),
                "other_ports_silent": [str(x) for x in muted],
            }
        outcome, why = CONFIRMED, ""
        if not heard:
            outcome, why = INCONCLUSIVE, "the pods were too busy to send beacons"
        elif leaking or through:
            outcome, why = MISMATCH, f"packets still pass: {_some([*leaking, *through])}"
        elif len(unheard) == len(self._lanes):
            outcome, why = INCONCLUSIVE, "nothing passed before the cut either"
        elif muted:
            outcome, why = INCONCLUSIVE, f"other ports fell silent too: {_some(muted)}"
        return Probe(
            outcome=outcome,
            requested=self._requested(),
            measured=measured,
            why=why,
            at_ns=max(
                [
                    self._injected_ns,
                    *(t for x in self._lanes for t in sent.get(x, ()) if t < self._effect_ns),
                ]
            ),
        )

    def _requested(self) -> dict[str, Any]:
        return {"cut": [str(lane) for lane in self._lanes]} | (
            {"flaps": self._flaps_wanted()} if self._entry.flap else {}
        )

    def heal(self, scene: Scene) -> None:
        """Let everything through again."""
        agents = scene.cluster.agents()
        if not self._healed_ns:
            self._healed_ns = time.monotonic_ns()
        for way in self._ways:
            scene.cluster.claims.drop(("cut", way.source, way.destination), self.id)
        receivers = self._by_receiver()
        futures = {name: agents[name].send("unblock", fault=self.id) for name in receivers}
        lanes = {
            (x.way.from_address, x.way.to_address, x.port): x for x in self._lanes
        }  # fmt: skip
        for name, future in futures.items():
            still = wait(future, name, "unblock")["still"]
            self._others_cut |= {lanes[a, b, port] for a, b, port in still}

    def probe_heal(self, scene: Scene) -> Probe:
        """Each direction: when was the first beacon sent that passes again?"""
        wanted = [lane for lane in self._lanes if lane not in self._others_cut]
        self._end.begin(scene, HEAL_S + self._lag_s)
        asked_ns = time.monotonic_ns()
        end = time.monotonic() + HEAL_S + self._lag_s
        while True:
            heard = self._end.heard(scene, self._healed_ns, asked_ns)
            still = [lane for lane in wanted if not heard.get(lane)]
            if not still or time.monotonic() > end:
                break
            time.sleep(0.01)
        held = _some(sorted(self._others_cut))
        outcome, why = CONFIRMED, f"held by another fault: {held}" if held else ""
        if still:
            outcome, why = MISMATCH, f"nothing passes yet: {_some(still)}"
        elif not wanted:
            outcome = INCONCLUSIVE
        return Probe(
            outcome=outcome,
            measured={"passing": [str(x) for x in wanted if x not in still]},
            why=why,
            at_ns=max((heard[x][0][0] for x in wanted if heard.get(x)), default=self._healed_ns),
        )

    def review(self, scene: Scene) -> Probe | None:
        """Over its whole length: how often, and for how long, a flapping partition cut."""
        if self._flapping is None:
            return None
        time.sleep(2 * FLAP_EVERY_MS / 1000 + self._lag_s)
        silences = self._flapping.silences(scene)
        wanted = self._flaps_wanted()
        seen = {
            lane: (len(found), sum(end - start for start, end in found) / 1e9)
            for lane, found in silences.items()
            if lane not in self._others_cut
        }
        off = [
            f"{lane} was cut {times} times, {cut_s:.2f} s"
            for lane, (times, cut_s) in seen.items()
            if not self._as_wanted(times, cut_s)
        ]
        times = [times for times, _ in seen.values()]
        cut_s = [round(cut_s, 2) for _, cut_s in seen.values()]
        found = {"times": _range(times), "cut_s": _range(cut_s)} if seen else {}
        outcome, why = (MISMATCH, f"{off[0]} instead of {wanted}") if off else (CONFIRMED, "")
        if not seen:
            outcome, why = INCONCLUSIVE, "no beacon passed at any time"
        return Probe(
            outcome=outcome,
            requested=self._requested(),
            measured={**self._measured, "flaps": found},
            why=why,
        )

    def _flaps_wanted(self) -> dict[str, float]:
        """How often it cuts, and for how long in all, as long as it has lasted or is to last."""
        down, up = self._entry.flap.down_ns, self._entry.flap.up_ns
        ended = self._healed_ns - self._injected_ns if self._healed_ns else self._entry.for_ns
        whole, rest = divmod(ended, down + up)
        return {"times": math.ceil(ended / (down + up)),
                "cut_s": round((whole * down + min(rest, down)) / 1e9, 2)}  # fmt: skip

    def _as_wanted(self, times: int, cut_s: float) -> bool:
        wanted = self._flaps_wanted()
        # Each begins and ends between two beacons, and the pods' timers are late now and then.
        enough = wanted["cut_s"] - FLAP_SEEN_S <= cut_s
        return (
            wanted["times"] - 1 <= times <= wanted["times"]
            and enough
            and cut_s <= wanted["cut_s"] + times * 5 * FLAP_EVERY_MS / 1000
        )


def _sleep_until(t_ns: int) -> None:
    time.sleep(max(0.0, (t_ns - time.monotonic_ns()) / 1e9))


def _some(lanes: Sequence[Lane]) -> str:
    return ", ".join(map(str, lanes[:4])) + (", …" if len(lanes) > 4 else "")


def _range(values: Sequence[float]) -> float | list[float]:
    """One number when all lanes agree, else the least and the most."""
    least, most = min(values), max(values)
    return least if least == most else [least, most]
