"""Faults of a client zone's own links, through Toxiproxy; replication is not touched.

Each is measured through every affected link, against the same measurement before: how a request
ends, and when. Those that change the flow of bytes are in chaos/faults/client_flow.py.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from chaos.faults.base import REACTION_S, Scene
from chaos.faults.links import LEAD_S, PATIENCE_S, REQUESTS, OnLinks, Reading, later, near
from chaos.runtime.toxiproxy import Link


class ClientLatency(OnLinks):
    """Each answer comes later by `delay` ± `jitter`; whole messages, in order."""

    toxic = "latency"

    def attributes(self) -> dict[str, Any]:
        """In milliseconds."""
        return {"latency": self.entry.delay_ns // 10**6, "jitter": self.entry.jitter_ns // 10**6}

    def requested(self) -> dict[str, Any]:
        """Added to each request with its answer."""
        return {"added_ms": self._wanted_ms(), "tolerance_ms": self._tolerance_ms()}

    def within_s(self) -> float:
        """Both ways and the jitter."""
        return float(PATIENCE_S + 2 * (self.entry.delay_ns + self.entry.jitter_ns) / 1e9)

    def look(self, scene: Scene, link: Link, within_s: float) -> Reading:
        """The median of some requests; before the fault, the best for which there is time."""
        answered: list[float] = []
        last = time.monotonic() + (LEAD_S if link not in self.before else within_s)
        while len(answered) < REQUESTS and (not answered or time.monotonic() < last):
            reply = self.request(scene, link, within_s)
            if reply.end != "enough":
                return Reading(end=reply.end, ms=reply.end_ms)
            answered.append(reply.end_ms)
        before = self.before.get(link)
        if before is None:  # few were measured, and a busy machine only ever adds to them
            return Reading(end="enough", ms=min(answered))
        median = statistics.median(answered)
        return Reading(end="enough", ms=median, more={"added_ms": round(median - before.ms, 2)})

    def wrong(self, before: Reading, reading: Reading) -> str:
        """The median request takes that much longer than before."""
        if not reading.well:
            return "?no answers to time"
        return later(before, reading, self._wanted_ms(), self._tolerance_ms())

    def not_gone(self, before: Reading, reading: Reading) -> str:
        """Less than half of the delay is left; a busy machine adds some of its own."""
        late = reading.ms - before.ms
        if reading.well and late > self._wanted_ms() / 2:
            return f"still {late:.0f} ms more than before"
        return super().not_gone(before, reading)

    def _wanted_ms(self) -> float:
        return float(self.entry.delay_ns / 1e6 * len(self.streams()))

    def _tolerance_ms(self) -> float:
        jitter = self.entry.jitter_ns / 1e6 * len(self.streams())
        return float(jitter + max(15.0, 0.15 * self._wanted_ms()))


class ClientTimeout(OnLinks):
    """The link takes connections and bytes, and nothing comes out at the other end."""

    toxic = "timeout"

    def attributes(self) -> dict[str, Any]:
        """In milliseconds; 0: never closed."""
        return {"timeout": self.entry.after_ns // 10**6}

    def requested(self) -> dict[str, Any]:
        """How a request ends."""
        waited = self.within_s() > REACTION_S
        after = {"after_ms": self.entry.after_ns / 1e6} if waited else {}
        return {"end": "closed" if waited else "silent", **after}

    def within_s(self) -> float:
        """Until the connection is closed, where that is before the fault's end."""
        return self.patient_s(self.entry.after_ns)

    def wrong(self, before: Reading, reading: Reading) -> str:
        """No answer; closed when its time was over."""
        if reading.well:
            return "answered"
        if self.within_s() == REACTION_S:
            return "" if reading.end == "silent" else f"the connection was {reading.end}"
        if reading.end != "closed":
            return f"{reading.end} instead of closed"
        wanted = self.entry.after_ns / 1e6
        if near(wanted, reading.ms, 0.1, 40.0):
            return ""
        return f"closed after {reading.ms:.0f} ms instead of {wanted:g} ms"


class ClientReset(OnLinks):
    """Connections are reset by the peer when something is sent on them, or some time after.

    Toxiproxy resets connections that begin after the injection; those of before it closes.
    """

    toxic = "reset_peer"

    def attributes(self) -> dict[str, Any]:
        """In milliseconds."""
        return {"timeout": self.entry.after_ns // 10**6}

    def requested(self) -> dict[str, Any]:
        """How a request ends."""
        return {"end": "reset", "after_ms": self.entry.after_ns / 1e6}

    def within_s(self) -> float:
        """Until the connection is reset."""
        return self.patient_s(self.entry.after_ns)

    def wrong(self, before: Reading, reading: Reading) -> str:
        """A reset, in time."""
        wanted = self.entry.after_ns / 1e6
        if reading.end == "silent" and wanted / 1e3 + 0.01 > self.within_s():
            return "?the fault ends too soon to see a reset"
        if reading.end != "reset":
            return "answered" if reading.well else f"{reading.end} instead of reset"
        if near(wanted, reading.ms, 0.1, 40.0):
            return ""
        return f"reset after {reading.ms:.0f} ms instead of {wanted:g} ms"


class ClientDown(OnLinks):
    """The links stop listening: open connections drop, new ones are refused."""

    def streams(self) -> tuple[str, ...]:
        """It has no toxic."""
        return ()

    def requested(self) -> dict[str, Any]:
        """How a request ends."""
        return {"end": "refused"}

    def inject(self, scene: Scene) -> None:
        """Disable the proxies."""
        scene.cluster.links.take_down(self.links, self.id)
        self.changed_ns = time.monotonic_ns()

    def heal(self, scene: Scene) -> None:
        """Enable those that no other fault wants down."""
        scene.cluster.links.bring_up(self.links, self.id)

    def wrong(self, before: Reading, reading: Reading) -> str:
        """Every connection is refused."""
        return "" if reading.end == "refused" else f"{reading.end} instead of refused"
