"""Faults of links: what happens to packets between nodes, and between clients and nodes.

The receiver's agent does it (chaos/agent/line.py), for each directed way by itself, as a stage of
its own on top of the topology's links. Measured by trains of datagrams between the ends of the
ways (chaos/faults/trains.py), never by what the agent says it did.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.agent.link import ask_all
from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.trains import FULL_BYTES, Measurement, Seen, Train
from chaos.runtime.ways import CLIENTS, Way

BASELINE = Train(count=40, every_us=2000)  # 80 ms: a fault is prepared 100 ms before
SPARE_S = 0.06  # between the last datagram's due time and looking
DELAY_MS_TOLERANCE = 2.0  # what a busy machine adds to a quantile
DELAY_TOLERANCE = 0.03
UNSURE = 1.5  # of the spread before: a short train sees only some of a link's own jitter
# Where the first quartile lies from the mean, in standard deviations (pareto: of shape 3).
QUARTER = {"normal": -0.674, "uniform": -0.866, "pareto": -0.461}
# The standard deviation that quartiles make one believe in, of one that is 1.
SEEN_SPREAD = {"normal": 1.0, "uniform": 1.28, "pareto": 0.42}
TRAIN_S = 0.6  # the longest that a train is sent
BURST_MAX, BURSTS_MAX = 2_000, 6_000  # datagrams at once, on one way and over all
RATE_TOLERANCE, RATE_TOLERANCE_S = 0.05, 0.001  # and what a machine adds to the train's length
BACKLOG_S, BACKLOG_BYTES_MIN = 0.1, 45_000  # what a link with a limit holds before it drops


class OnWays:
    """What faults on links share: the ways, and a train on them before, during and after."""

    heals_itself = False
    needs = ("link",)

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self.entry = entry
        self.ways: list[Way] = []
        self.before: dict[Way, Seen] = {}
        self.others: set[str] = set()  # other faults on any of the ways
        self._baseline: Measurement | None = None
        self._seed = 0
        self._injected_ns = self._effect_ns = self._ended_ns = self._healed_ns = 0

    def available(self, scene: Scene) -> str:
        """Needs a way to hold packets back in every pod."""
        for place, hello in scene.cluster.hello.items():
            if not hello["line"]:
                where = "the clients' pod" if place == CLIENTS else f"the pod of {place}"
                return f"packets cannot be delayed in {where}: {hello['line_why']}"
        return ""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose both sides, and from that the ways."""
        one, other = (self._places(side, scene) for side in self.entry.sides)
        self.ways = scene.cluster.ways(one, other)
        if self.entry.both_ways:
            self.ways = list(dict.fromkeys([*self.ways, *scene.cluster.ways(other, one)]))
        if not self.ways:
            raise FaultError(f"{self.id}: there is no link from {one} to {other}")
        self._seed = scene.rng.getrandbits(32)
        return [*one, "|" if self.entry.both_ways else "→", *other]

    def _places(self, members: Sequence[Any], scene: Scene) -> list[str]:
        nodes, roles = scene.cluster.nodes, scene.roles()
        found: list[str] = []
        for member in members:
            if member.clients_zone:
                found.append(CLIENTS + member.clients_zone)
            else:
                found += member.target.resolve(nodes, roles, scene.rng)
        return list(dict.fromkeys(found))

    def prepare(self, scene: Scene) -> None:
        """Send a train while all is as it was."""
        self._baseline = Measurement(self.ways, BASELINE)
        self._baseline.begin(scene)

    def prepare_heal(self, scene: Scene) -> None:
        """Nothing to begin."""

    def inject(self, scene: Scene) -> None:
        """Every receiver adds the stage, all at once."""
        stage = {**self.stage(), "seed": self._seed}
        requests = {
            receiver: ("line", {"fault": self.id, "ways": ways, "stage": stage})
            for receiver, ways in self._by_receiver().items()
        }
        answers = ask_all(scene.cluster.agents(), requests)
        self._injected_ns = min(answer["t_ns"] for answer in answers.values())
        self._effect_ns = max(answer["t_ns"] for answer in answers.values())
        self.others = {other for answer in answers.values() for other in answer["others"]}

    def _by_receiver(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for way in self.ways:
            found.setdefault(way.receiver, []).append((way.from_address, way.to_address))
        return found

    def probe(self, scene: Scene) -> Probe:
        """Send a train, and hold what came of it against what was asked."""
        measurement = Measurement(self.ways, self.train())
        measurement.begin(scene)
        if self._baseline is not None:
            self.before = {
                way: Seen(
                    sent=seen.sent, arrivals=[a for a in seen.arrivals if a[1] < self._injected_ns]
                )
                for way, seen in self._baseline.end(scene, SPARE_S).items()
            }
        seen = measurement.end(scene, self._wait_s())
        open_before = {way: s for way, s in seen.items() if self.before[way].arrivals}
        if not open_before:
            return self._probe(INCONCLUSIVE, {}, "nothing passed before either")
        outcome, measured, why = self.judge(open_before, measurement.bad_checksums)
        if outcome == MISMATCH and self.others:
            outcome = INCONCLUSIVE
            why += f"; other faults are on the same links: {', '.join(sorted(self.others))}"
        elif closed := [str(way) for way in seen if way not in open_before]:
            why = "; ".join(filter(None, [why, f"nothing passed before on {_few(closed)}"]))
        return self._probe(outcome, measured, why)

    def _probe(self, outcome: str, measured: Mapping[str, Any], why: str) -> Probe:
        return Probe(
            outcome=outcome,
            requested=self.requested(),
            measured={"links": len(self.ways), **measured},
            why=why,
            at_ns=self._effect_ns,
        )

    def _wait_s(self) -> float:
        """How long after it was sent the last datagram may take."""
        before = [seen.delays_ms()[-1] for seen in self.before.values() if seen.arrivals]
        return max(before, default=0.0) / 1000 + self.takes_s() + SPARE_S

    def heal(self, scene: Scene) -> None:
        """Every receiver removes the stage."""
        asked = ("unline", {"fault": self.id})
        self._ended_ns = time.monotonic_ns()
        receivers = {way.receiver for way in self.ways}
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(receivers, asked))
        healed_ns = max(answer["t_ns"] for answer in answers.values())
        self._healed_ns = self._healed_ns or healed_ns  # healing again does not change when it was
        self.others = {other for answer in answers.values() for other in answer["others"]}

    def probe_heal(self, scene: Scene) -> Probe:
        """A train again: the links are as they were before."""
        measurement = Measurement(self.ways, self.train())
        measurement.begin(scene)
        seen = measurement.end(scene, self._wait_s())
        open_before = {way: s for way, s in seen.items() if self._was_open(way)}
        wrong = {way: text for way, s in open_before.items() if (text := self.unwell(way, s))}
        outcome = CONFIRMED if open_before else INCONCLUSIVE
        why = "" if open_before else "nothing passed before either"
        if wrong:
            way, text = next(iter(wrong.items()))
            outcome, why = MISMATCH, f"{way}: {text}"
            if self.others:
                outcome = INCONCLUSIVE
                why += f"; held by another fault: {', '.join(sorted(self.others))}"
        measured = {"as_before": [str(w) for w in open_before if w not in wrong]}
        return Probe(outcome=outcome, measured=measured, why=why, at_ns=self._healed_ns)

    def _was_open(self, way: Way) -> bool:
        """Without a measurement from before (it was never probed) every link should be well."""
        return way not in self.before or bool(self.before[way].arrivals)

    # What each fault says of itself.

    def stage(self) -> dict[str, Any]:
        """Its stage, as the agent takes it (chaos/agent/stages.py)."""
        raise NotImplementedError

    def train(self) -> Train:
        """What is sent to see it."""
        raise NotImplementedError

    def takes_s(self) -> float:
        """How much later a datagram may come because of it; seconds."""
        return 0.0

    def requested(self) -> dict[str, Any]:
        """What was asked, and how far off a measurement may be."""
        raise NotImplementedError

    def judge(
        self, seen: Mapping[Way, Seen], bad_checksums: int
    ) -> tuple[str, dict[str, Any], str]:
        """Outcome, what was measured, why; of ways on which packets passed before."""
        raise NotImplementedError

    def unwell(self, way: Way, seen: Seen) -> str:
        """What is still wrong with a way after the end; "" when it is as before."""
        raise NotImplementedError


class Delay(OnWays):
    """Packets take longer, in order."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._last: Measurement | None = None  # shortly before it is healed
        self._during: dict[Way, Seen] = {}

    @property
    def _delay_ms(self) -> float:
        return float(self.entry.delay_ns) / 1e6

    @property
    def _sigma_ms(self) -> float:
        """The standard deviation asked."""
        flat = math.sqrt(3) if self.entry.distribution == "uniform" else 1.0
        return float(self.entry.jitter_ns) / 1e6 / flat

    def stage(self) -> dict[str, Any]:
        """Delay, jitter and how it is distributed."""
        return {
            "delay_us": self.entry.delay_ns / 1000,
            "jitter_us": self.entry.jitter_ns / 1000,
            "distribution": self.entry.distribution,
        }

    def train(self) -> Train:
        """One datagram each 2.5 ms; under jitter fewer, so that each draws its own delay."""
        apart_us = min(50_000, max(2_500, round(self.entry.jitter_ns / 250)))
        return Train(count=min(100, round(TRAIN_S * 1e6 / apart_us)), every_us=apart_us)

    def takes_s(self) -> float:
        """The delay, and some standard deviations."""
        return (self._delay_ms + 5 * self._sigma_ms) / 1000

    def _tolerance_ms(self) -> float:
        """Of that quantile: what machines add, and four standard errors."""
        error_ms = 4 * self._sigma_ms / math.sqrt(self.train().count)
        return max(DELAY_MS_TOLERANCE, DELAY_TOLERANCE * self._delay_ms) + error_ms

    def requested(self) -> dict[str, Any]:
        """Milliseconds added to each way."""
        asked = {"added_ms": self._delay_ms, "tolerance_ms": round(self._tolerance_ms(), 2)}
        return asked | ({"jitter_ms": round(self._sigma_ms, 3)} if self._sigma_ms else {})

    def judge(
        self, seen: Mapping[Way, Seen], bad_checksums: int
    ) -> tuple[str, dict[str, Any], str]:
        """Each way takes that much longer than before, and varies if it should."""
        added = {way: self._added_ms(way, s) for way, s in seen.items() if s.arrivals}
        measured: dict[str, Any] = {"added_ms": {str(w): round(ms, 2) for w, ms in added.items()}}
        if self._sigma_ms:
            measured["jitter_ms"] = {str(w): round(seen[w].spread_ms(), 2) for w in added}
        if not added:
            return INCONCLUSIVE, measured, "nothing passes: another fault cuts these links"
        for way, ms in added.items():
            if abs(ms - self._delay_ms) > self._tolerance_ms() + self._unsure_ms(way):
                return MISMATCH, measured, f"{way} takes {ms:.1f} ms longer than before"
            if seen[way].spread_ms() < 0.2 * SEEN_SPREAD[self.entry.distribution] * self._sigma_ms:
                return MISMATCH, measured, f"delays on {way} hardly vary"
        return CONFIRMED, measured, ""

    def _added_ms(self, way: Way, seen: Seen) -> float:
        """By how much its quantile moved; by the mean delay, if the distribution is as asked."""
        before = self.before.get(way)
        now, usual = seen.quantile_ms(self._q), before.quantile_ms(self._q) if before else 0.0
        return (now or 0.0) - (usual or 0.0) - QUARTER[self.entry.distribution] * self._sigma_ms

    @property
    def _q(self) -> float:
        """Which quantile: a low one, as a busy machine adds to the others."""
        return 0.25 if self._sigma_ms else 0.1

    def _unsure_ms(self, way: Way) -> float:
        """How far off the quantile may be because the link varies anyhow."""
        before = self.before.get(way)
        return UNSURE * before.spread_ms() if before else 0.0

    def prepare_heal(self, scene: Scene) -> None:
        """Send a train while it still lasts: another fault on the same way may outlast it."""
        self._last = Measurement(self.ways, BASELINE)
        self._last.begin(scene)

    def heal(self, scene: Scene) -> None:
        """Every receiver removes the stage."""
        super().heal(scene)
        if self._last is not None and self.others:
            seen, self._last = self._last.end(scene, SPARE_S), None
            # What it still held went on at once when it ended, and would tell of a shorter delay.
            self._during = {
                way: Seen(sent=s.sent, arrivals=[a for a in s.arrivals if a[2] < self._ended_ns])
                for way, s in seen.items()
            }

    def unwell(self, way: Way, seen: Seen) -> str:
        """It takes longer than before, or nothing comes. Under another fault of the kind: it does
        not take shorter by what was asked than at the last moment."""
        now, before = seen.quantile_ms(0.1), self.before.get(way)
        if now is None:
            return "nothing passes"
        during = self._during[way].quantile_ms(0.1) if way in self._during else None
        if self.others and during is not None:
            shorter = during - now
            if abs(shorter - self._delay_ms) < self._tolerance_ms() + 2 * self._sigma_ms:
                return ""
        longer = now - ((before.quantile_ms(0.1) if before else None) or 0.0)
        limit = DELAY_MS_TOLERANCE + self._unsure_ms(way)
        return "" if longer < limit else f"takes {longer:.1f} ms longer than before"


class Bandwidth(OnWays):
    """A link with a limit, and a short queue before it."""

    @property
    def _backlog_bytes(self) -> int:
        return max(BACKLOG_BYTES_MIN, round(float(self.entry.rate) / 8 * BACKLOG_S))

    def stage(self) -> dict[str, Any]:
        """Rate and backlog."""
        return {"rate_bps": self.entry.rate, "backlog_bytes": self._backlog_bytes}

    def train(self) -> Train:
        """So many full datagrams at once as fit half of the backlog: they leave one behind the
        other at the link's rate, and whatever else is sent comes after them."""
        most = min(BURST_MAX, BURSTS_MAX // max(1, len(self.ways)))
        count = max(4, min(most, self._backlog_bytes // 2 // FULL_BYTES))
        return Train(count=count, every_us=0, size=FULL_BYTES)

    def takes_s(self) -> float:
        """All of the backlog."""
        return 8 * self._backlog_bytes / float(self.entry.rate)

    def requested(self) -> dict[str, Any]:
        """Bits per second of each way."""
        widest = max((self._tolerance(seen) for seen in self.before.values()), default=0.0)
        return {"bit_per_s": self.entry.rate, "tolerance": round(widest, 3)}

    def _tolerance(self, before: Seen) -> float:
        """As a share. When the machine looks at what came is off by as much as it was before."""
        train_s = 8 * self.train().count * FULL_BYTES / float(self.entry.rate)
        early, late = before.quantile_ms(0.1) or 0.0, before.quantile_ms(0.9) or 0.0
        return RATE_TOLERANCE + (RATE_TOLERANCE_S + (late - early) / 1e3) / train_s

    def judge(
        self, seen: Mapping[Way, Seen], bad_checksums: int
    ) -> tuple[str, dict[str, Any], str]:
        """Datagrams that entered a way at once leave it at the rate asked."""
        rates = {w: r for w, s in seen.items() if (r := s.bits_per_s(FULL_BYTES)) is not None}
        measured = {"bit_per_s": {str(way): round(rate) for way, rate in rates.items()}}
        if not rates:
            return INCONCLUSIVE, measured, "nothing passes: another fault cuts these links"
        for way, rate in rates.items():
            if seen[way].sent_bits_per_s(FULL_BYTES) < 1.2 * self.entry.rate:
                return INCONCLUSIVE, measured, "this host cannot send a train faster than that"
            if abs(rate / self.entry.rate - 1) > self._tolerance(self.before[way]):
                return MISMATCH, measured, f"{way} passes {rate / 1e6:.3f} Mbit/s"
        return CONFIRMED, measured, ""

    def unwell(self, way: Way, seen: Seen) -> str:
        """It is still not faster, and could be."""
        rate = seen.bits_per_s(FULL_BYTES)
        if rate is None:
            return "nothing passes"
        fast = rate > 1.5 * self.entry.rate or rate > 0.5 * seen.sent_bits_per_s(FULL_BYTES)
        return "" if fast else f"still passes only {rate / 1e6:.3f} Mbit/s"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
