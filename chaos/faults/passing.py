"""Whether packets pass, from one place to another: by beacons, and by TCP connects.

A lane is a way (chaos/runtime/ways.py), or one port of it. Beacons are small UDP datagrams, one
each few milliseconds on every lane. Each says when it was sent; what counts is whether those that
were sent after a change came, however long they took.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.agent.beacons import PROBE_PORT
from chaos.agent.link import ask_all
from chaos.faults.base import Scene
from chaos.runtime.ways import CLIENTS, Way

BEACONS_PER_S_MAX = 12_000  # over all lanes: a beacon costs the pods some 20 µs
EVERY_MS_MIN = 2
SPARE_S = 0.5  # a train goes on for longer than it is watched
SENT_WITHIN_S = 1.0  # how long a busy pod may take to send what is watched


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """A way, or what has `port` at one of its ends."""

    way: Way
    port: int | None = None

    @property
    def key(self) -> str:
        """As agents name it."""
        return f"{self.way.from_address} {self.way.to_address} {self.port or PROBE_PORT}"

    def __str__(self) -> str:
        return f"{self.way}:{self.port}" if self.port else str(self.way)


class Beaconing:
    """Beacons on some lanes, and what came of them. Times are monotonic nanoseconds."""

    def __init__(self, name: str, lanes: Sequence[Lane], every_ms: float = EVERY_MS_MIN) -> None:
        """`name` must be its own: agents tell by it whose beacons they are."""
        self._name = name
        self._lanes = lanes
        self._every_ms = max(every_ms, round(1000 * len(lanes) / BEACONS_PER_S_MAX))
        self._ports = sorted({lane.port or PROBE_PORT for lane in lanes})

    def begin(self, scene: Scene, for_s: float) -> None:
        """Send for that long; if they are being sent already, go on for that long from now."""
        for_ms = (for_s + SPARE_S) * 1000
        agents = scene.cluster.agents()
        extra = [port for port in self._ports if port != PROBE_PORT]
        if extra:
            listen = {"ports": extra, "for_ms": for_ms + 1000}
            receivers = {lane.way.receiver for lane in self._lanes}
            ask_all(agents, dict.fromkeys(receivers, ("listen", listen)))
        ways: dict[str, set[tuple[str, str]]] = {}
        for lane in self._lanes:
            way = (lane.way.from_address, lane.way.to_address)
            ways.setdefault(lane.way.sender, set()).add(way)
        same = {"train": self._name, "ports": self._ports, "every_ms": self._every_ms}
        ask_all(agents, {
            sender: ("beacons", {**same, "for_ms": for_ms, "ways": sorted(found)})
            for sender, found in ways.items()
        })  # fmt: skip

    def heard(
        self, scene: Scene, since_ns: int, until_ns: int
    ) -> dict[Lane, list[tuple[int, int]]]:
        """(sent, arrived) of the beacons sent since then and heard, by lane. Asked only when every
        sender has sent some after `until_ns`; without that, silence would prove nothing: then no
        lane is in the answer."""
        end = time.monotonic() + SENT_WITHIN_S
        while True:
            answers = self._ask(scene, "arrivals", since_ns=since_ns)
            senders = {lane.way.sender for lane in self._lanes}
            if all(answers[sender]["sent_ns"] >= until_ns for sender in senders):
                break
            if time.monotonic() > end:
                return {}
            time.sleep(0.02)
        return {
            lane: [
                (sent, came)
                for sent, came in answers[lane.way.receiver]["arrivals"].get(lane.key, [])
            ]
            for lane in self._lanes
        }

    def silences(self, scene: Scene) -> dict[Lane, list[tuple[int, int]]]:
        """When beacons were sent and did not come, by lane; only lanes on which any ever came."""
        answers = self._ask(scene, "silences")
        found = {}
        for lane in self._lanes:
            silences = answers[lane.way.receiver]["silences"].get(lane.key)
            if silences is not None:
                found[lane] = [(start, end) for start, end in silences]
        return found

    def _ask(self, scene: Scene, do: str, **arguments: Any) -> dict[str, dict[str, Any]]:
        ends = {end for lane in self._lanes for end in (lane.way.receiver, lane.way.sender)}
        asked = (do, {"train": self._name, **arguments})
        return ask_all(scene.cluster.agents(), dict.fromkeys(ends, asked))


class Connecting:
    """TCP connects from the places at the far ends of some lanes to their ports on the nodes.

    A connect needs both ways: that of the requests and that of the answers.
    """

    def __init__(self, name: str, lanes: Iterable[Lane]) -> None:
        self._name = name
        self._lanes = list(dict.fromkeys(_towards_node(lane) for lane in lanes))

    def begin(self, scene: Scene, when: str) -> None:
        """Begin to connect; `when` names this time."""
        by_sender: dict[str, list[str]] = {}
        for lane in self._lanes:
            by_sender.setdefault(lane.way.sender, []).append(lane.key)
        name = f"{self._name}-{when}"
        ask_all(scene.cluster.agents(), {
            sender: ("connect", {"name": name, "lanes": keys}) for sender, keys in by_sender.items()
        })  # fmt: skip

    def end(self, scene: Scene, when: str) -> dict[Lane, str]:
        """What came of it so far: open, refused (which takes an answer as well) or silent."""
        senders = {lane.way.sender for lane in self._lanes}
        asked = ("connected", {"name": f"{self._name}-{when}"})
        answers: Mapping[str, Any] = ask_all(scene.cluster.agents(), dict.fromkeys(senders, asked))
        return {
            lane: answers[lane.way.sender]["connected"].get(lane.key, "silent")
            for lane in self._lanes
        }


def _towards_node(lane: Lane) -> Lane:
    """The lane of the connect that needs this one: clients have no ports to connect to."""
    way = lane.way
    if not way.destination.startswith(CLIENTS):
        return lane
    turned = Way(
        source=way.destination,
        destination=way.source,
        from_address=way.to_address,
        to_address=way.from_address,
        receiver=way.sender,
        sender=way.receiver,
    )
    return Lane(turned, lane.port)
