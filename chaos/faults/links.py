"""What faults on client links share: the links, and measuring each before, during and after.

Toxiproxy does the work (chaos/runtime/toxiproxy.py); docs/client-links.md says what it does that
nobody would expect.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chaos.errors import FaultError
from chaos.faults.base import (
    CONFIRMED,
    INCONCLUSIVE,
    MISMATCH,
    REACTION_S,
    Probe,
    Scene,
    own_link,
    react,
)
from chaos.faults.wire import Talk, talk
from chaos.runtime.toxiproxy import BOTH, Link
from chaos.systems.base import Address

LEAD_S = 0.05  # how long a link may be measured before the fault, which comes 0.1 s later
REQUESTS = 5  # per link; the median decides
PATIENCE_S = 3.0  # how long an answer may take where one is expected
BEFORE_S = 0.6  # the same before the fault, which must not wait for it
SPARE_S = 0.5  # beyond the time that something should take
QUIET_LINKS = 8  # links measured side by side where a millisecond matters
AGAIN = 3  # how often links that seem wrong are measured again
AGAIN_S = 2.0  # for how long, in all
STREAMS = {"requests": ("upstream",), "answers": ("downstream",), "both": BOTH}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measurement on a link: how it ended, the time that a fault would change, and the rest.

    `end` is one of chaos.faults.wire.Talk's.
    """

    end: str
    ms: float
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """It ended as on a link without faults."""
        return self.end == "enough"

    def told(self) -> dict[str, Any]:
        """As the journal tells it."""
        return {"end": self.end, "ms": round(self.ms, 2), **self.more}


@dataclass(frozen=True, slots=True)
class Seen:
    """A reading, and what is wrong with it: "" for nothing; "?" in front when it cannot be told."""

    reading: Reading
    said: str


class OnLinks:
    """What faults on client links share: the links, and measuring each of them three times.

    A fault says with `look` what it measures, and with `wrong` what it sees amiss in the reading
    during the fault, given the one before: "" when the effect is there as asked for.
    """

    heals_itself = False
    toxic = ""

    def __init__(self, id: str, entry: Any) -> None:
        self.id = id
        self.entry = entry
        self.links: list[Link] = []
        self.before: dict[Link, Reading] = {}
        self.changed_ns = 0
        self._renewed: list[str] = []

    def available(self, scene: Scene) -> str:
        """Needs Toxiproxy, which every cluster has."""
        return ""

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Toxiproxy keeps what it was told, whoever dies."""
        return [{"do": "toxics"}]

    def resolve(self, scene: Scene) -> list[str]:
        """Choose client zones and nodes; the links' names as recorded."""
        entry, cluster = self.entry, scene.cluster
        zones = scene.client_zones if entry.zones == "all" else entry.zones
        nodes = entry.nodes.resolve(cluster.nodes, scene.roles(), scene.rng)
        self.links = cluster.links.matching(zones, nodes)
        if not self.links:
            raise FaultError(f"{self.id}: no client link from {list(zones)} to {nodes}")
        return sorted({f"{link.zone}→{link.node}" for link in self.links})

    def prepare(self, scene: Scene) -> None:
        """Measure while all is well."""
        self.before = on_each(self.links, lambda x: self.look(scene, x, BEFORE_S), QUIET_LINKS)

    def prepare_heal(self, scene: Scene) -> None:
        """Nothing to begin."""

    def inject(self, scene: Scene) -> None:
        """Put the toxic on every link."""
        scene.cluster.links.add_toxic(
            self.links, self.id, self.toxic, self.attributes(), self.streams()
        )
        self.changed_ns = time.monotonic_ns()

    def heal(self, scene: Scene) -> None:
        """Take the toxic off every link."""
        self._renewed = scene.cluster.links.remove_toxic(self.links, self.id, self.streams())

    def probe(self, scene: Scene) -> Probe:
        """Each link on its own; one that another fault hides is not judged."""

        def seen(link: Link) -> Seen:
            reading = self.look(scene, link, self.within_s())
            before = self.before.get(link)
            if before is None or not before.well:
                return Seen(reading, "?no answer before the fault either")
            return Seen(reading, self.wrong(before, reading))

        return self._judged(scene, self._seen(seen), self.changed_ns, self.requested())

    def probe_heal(self, scene: Scene) -> Probe:
        """Each link does again what it did before."""
        began_ns = time.monotonic_ns()

        def seen(link: Link) -> Seen:
            reading = self.look(scene, link, PATIENCE_S)
            before = self.before.get(link)
            if before is None or not before.well:
                return Seen(reading, "" if reading.well else "?no answer before the fault either")
            return Seen(reading, self.not_gone(before, reading))

        probe = self._judged(scene, self._seen(seen), began_ns, {})
        if self._renewed:
            why = f"had to be made anew: {', '.join(self._renewed[:4])}"
            probe = dataclasses.replace(probe, why="; ".join(filter(None, [probe.why, why])))
        return probe

    def attributes(self) -> dict[str, Any]:
        """The toxic's, as Toxiproxy's API wants them."""
        return {}

    def streams(self) -> tuple[str, ...]:
        """The directions that have the toxic."""
        return STREAMS[self.entry.direction]

    def requested(self) -> dict[str, Any]:
        """What is asked for, in the words of `look`."""
        return {}

    def within_s(self) -> float:
        """How long `look` may take while the fault is there."""
        return PATIENCE_S

    def at_once(self) -> int:
        """How many links may be measured side by side without disturbing each other."""
        return 64

    def look(self, scene: Scene, link: Link, within_s: float) -> Reading:
        """Measure one link: how a request ends."""
        reply = self.request(scene, link, within_s)
        return Reading(end=reply.end, ms=reply.end_ms)

    def wrong(self, before: Reading, reading: Reading) -> str:
        """What is not as asked for; with "?" in front, that it cannot be told."""
        raise NotImplementedError

    def not_gone(self, before: Reading, reading: Reading) -> str:
        """What is not as it was before the fault."""
        return "" if reading.well else reading.end

    def request(self, scene: Scene, link: Link, within_s: float) -> Talk:
        """What a live server answers at once."""
        knock = scene.cluster.group(link.node).knock(link.node, link.port)
        return talk(self.address(scene, link), knock, want_bytes=1, within_s=within_s)

    def address(self, scene: Scene, link: Link) -> Address:
        """Where clients of the link's zone dial."""
        return scene.cluster.address(link.node, link.port, link.zone)

    def patient_s(self, lasts_ns: int) -> float:
        """How long to wait for something that should take so long; no longer than the fault."""
        if lasts_ns == 0 or lasts_ns / 1e9 + SPARE_S > self.entry.for_ns / 1e9 - 0.2:
            return REACTION_S
        return float(lasts_ns / 1e9 + SPARE_S)

    def _seen(self, see: Callable[[Link], Seen]) -> dict[Link, Seen]:
        """All links side by side; then those that seem wrong again, one after the other: many
        measurements at once disturb each other, and so does whatever else the machine does."""
        began = time.monotonic()
        last = began + max(1.0, self.entry.for_ns / 1e9 - SPARE_S)

        def in_time(link: Link) -> Seen:
            if time.monotonic() > last:
                return Seen(Reading(end="not measured", ms=0.0), "?the fault is too short for all")
            return see(link)

        found = on_each(self.links, in_time, self.at_once())
        again = min(last, time.monotonic() + AGAIN_S)
        for link in self.links * AGAIN:
            if found[link].said and time.monotonic() < again:
                found[link] = see(link)
        return found

    def _judged(
        self,
        scene: Scene,
        found: Mapping[Link, Seen],
        at_ns: int,
        requested: dict[str, Any],
    ) -> Probe:
        """One probe out of all links' readings."""
        wrong: dict[str, list[str]] = {}
        unknown: dict[str, list[str]] = {}
        right = 0
        for link, seen in found.items():
            if not seen.said:
                right += 1
            elif seen.said.startswith("?"):
                unknown.setdefault(seen.said[1:], []).append(link.name)
            elif hidden := self._hidden(scene, link):
                unknown.setdefault(f"{seen.said}, {hidden}", []).append(link.name)
            else:
                wrong.setdefault(seen.said, []).append(link.name)
        return Probe(
            outcome=MISMATCH if wrong else CONFIRMED if right else INCONCLUSIVE,
            requested=requested,
            measured={link.name: seen.reading.told() for link, seen in found.items()},
            why=_told(wrong or unknown),
            at_ns=at_ns,
        )

    def _hidden(self, scene: Scene, link: Link) -> str:
        """What else may be the reason for what was seen on a link."""
        cluster = scene.cluster
        others = cluster.links.holders(link) - {self.id}
        others |= set(cluster.silenced_by(link.node, self.id))
        others |= set(cluster.hindered_by(link.node, self.id))
        others |= cut_by(scene, link) - {self.id}
        if others:
            return f"together with {', '.join(sorted(others))}"
        if react(scene, own_link(link.node), PATIENCE_S).kind != "answered":
            return f"{link.node} answers nobody"
        return ""


def _told(reasons: Mapping[str, Sequence[str]]) -> str:
    """Reasons with the first link of each: "a and 3 more: why"."""
    parts = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in reasons.items()
    ]
    more = f"; and {len(parts) - 3} more reasons" if len(parts) > 3 else ""
    return "; ".join(parts[:3]) + more


def on_each(links: Sequence[Link], do: Callable[[Link], T], at_once: int = 64) -> dict[Link, T]:
    """`do` on every link, at most that many side by side."""
    with ThreadPoolExecutor(min(len(links), at_once) or 1) as pool:
        return dict(zip(links, pool.map(do, links), strict=True))


def cut_by(scene: Scene, link: Link) -> set[str]:
    """The faults that drop packets between the link's clients and its node."""
    clients = f"clients@{link.zone}"
    claims = scene.cluster.claims
    ways = ((clients, link.node), (link.node, clients))
    return {fault for way in ways for fault in claims.of(("cut", *way))}


def later(before: Reading, reading: Reading, wanted_ms: float, tolerance_ms: float) -> str:
    """What is wrong with how much later it was than before. Where it would be right if less had
    been measured before, a busy machine may have measured too much: that cannot be told."""
    got = reading.ms - before.ms
    if abs(got - wanted_ms) <= tolerance_ms:
        return ""
    said = f"{got:.1f} ms later instead of {wanted_ms:g} ± {tolerance_ms:g} ms"
    if got < wanted_ms <= reading.ms + tolerance_ms:
        return f"?{said}, but before the fault it took {before.ms:.0f} ms"
    return said


def near(wanted: float, got: float, part: float, least: float) -> bool:
    """Whether `got` is within that part of `wanted`, or `least` if that is more."""
    return abs(got - wanted) <= max(least, part * wanted)
