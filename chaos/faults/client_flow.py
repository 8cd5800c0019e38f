"""Faults of client links that change the flow of bytes: rate, pieces, amount, and the end.

Measured with requests and answers of a known size, which each system makes without touching any
data (chaos.systems.base.HasBulk); of a system that cannot, they are inconclusive. The end of a
connection is measured from ours: Toxiproxy closes the server's side when ours is closed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from chaos.faults.base import Scene
from chaos.faults.links import (
    BEFORE_S,
    PATIENCE_S,
    QUIET_LINKS,
    OnLinks,
    Reading,
    later,
    near,
    on_each,
)
from chaos.faults.wire import Talk, hang_up, talk
from chaos.runtime.toxiproxy import Link

REPLY_BYTES = 640  # more than a server says before the answer to the first request
MOVED_S = 0.4  # how long moving bytes at the asked rate should take
MOVED_BYTES = (2_000, 500_000)  # at least, at most
ALL_BYTES_PER_S = 12_000_000  # over all links that are measured side by side
NEAR = 0.2  # how far a measured rate may be off; each link is measured beside the load
FAST_PER_S = 5_000_000  # a host may not carry more than this
CANNOT = "?this port knows no requests of a given size"


class _Flow(OnLinks):
    """What these share: talks of a given size."""

    def up(self, scene: Scene, link: Link, size: int, within_s: float) -> tuple[Talk, int] | None:
        """A big request with a small answer, and what was sent; its end is its last byte."""
        return self._bulk(scene, link, size, REPLY_BYTES, REPLY_BYTES, within_s)

    def down(self, scene: Scene, link: Link, size: int, within_s: float) -> tuple[Talk, int] | None:
        """A big answer; on some systems the request is as big."""
        return self._bulk(scene, link, 0, size, size, within_s)

    def _bulk(
        self, scene: Scene, link: Link, up: int, down: int, want: int, within_s: float
    ) -> tuple[Talk, int] | None:
        send = scene.cluster.group(link.node).bulk(link.port, up, down)
        if send is None:
            return None
        address = self.address(scene, link)
        return talk(address, send, want_bytes=want, within_s=within_s), len(send)

    def ways(self) -> tuple[str, ...]:
        """requests, answers, or both."""
        direction = self.entry.direction
        return ("requests", "answers") if direction == "both" else (direction,)

    def prepare(self, scene: Scene) -> None:
        """A small request will do: that a big one gets through freely is seen when it is healed."""
        look = functools.partial(OnLinks.look, self, scene, within_s=BEFORE_S)
        self.before = on_each(self.links, look, QUIET_LINKS)

    def look(self, scene: Scene, link: Link, within_s: float) -> Reading:
        """One talk for each direction."""
        end, ms, more = "enough", 0.0, {}
        for way in self.ways():
            size = self.size()
            done = (self.up if way == "requests" else self.down)(scene, link, size, within_s)
            if done is None:
                small = super().look(scene, link, within_s)
                return dataclasses.replace(small, more={"unknown": CANNOT[1:]})
            reply, sent = done
            more[way] = {"sent_bytes": sent, "received_bytes": reply.received_bytes,
                         "ms": round(reply.last_ms, 2), "end": reply.end}  # fmt: skip
            more[way] |= self.figures(way, reply, sent, self._small_ms(link))
            ms += reply.last_ms
            end = reply.end if end == "enough" else end
        return Reading(end=end, ms=ms, more=more)

    def _small_ms(self, link: Link) -> float:
        before = self.before.get(link)
        return before.ms if before and before.well else 0.0

    def size(self) -> int:
        """How many bytes to send, or to ask for."""
        raise NotImplementedError

    def figures(self, way: str, reply: Talk, sent_bytes: int, small_ms: float) -> dict[str, Any]:
        """What else to tell of a talk. `small_ms`: what a small request took before the fault."""
        raise NotImplementedError

    def wrong(self, before: Reading, reading: Reading) -> str:
        """Each direction by itself; the first that is wrong."""
        if "unknown" in reading.more:
            return CANNOT
        for way in self.ways():
            if said := self.amiss(way, reading.more[way]):
                return said if said.startswith("?") else f"{way}: {said}"
        return ""

    def not_gone(self, before: Reading, reading: Reading) -> str:
        """Everything comes, and not as during the fault."""
        if not reading.well:
            return reading.end
        still = [way for way in self.ways() if way in reading.more
                 and not self.amiss(way, reading.more[way])]  # fmt: skip
        return f"still so: {', '.join(still)}" if still else ""

    def amiss(self, way: str, got: Mapping[str, Any]) -> str:
        """What is wrong in one direction, given its figures."""
        raise NotImplementedError


class ClientBandwidth(_Flow):
    """A connection carries so many bytes a second in each direction."""

    toxic = "bandwidth"

    @property
    def rate_per_s(self) -> int:
        """In bytes."""
        return int(self.entry.rate_bits_per_s // 8)

    def attributes(self) -> dict[str, Any]:
        """Toxiproxy's KB are 1,000 bytes."""
        return {"rate": self.rate_per_s // 1000}

    def requested(self) -> dict[str, Any]:
        """In bytes a second."""
        return {way: {"bytes_per_s": self.rate_per_s} for way in self.ways()}

    def within_s(self) -> float:
        """Twice as long as it should take, and some more."""
        return PATIENCE_S + 4 * (self.size() + REPLY_BYTES) / self.rate_per_s

    def at_once(self) -> int:
        """Few, where each moves much."""
        return max(1, ALL_BYTES_PER_S // self.rate_per_s)

    def size(self) -> int:
        """As much as the rate lets through in a while."""
        return min(max(int(self.rate_per_s * MOVED_S), MOVED_BYTES[0]), MOVED_BYTES[1])

    def figures(self, way: str, reply: Talk, sent_bytes: int, small_ms: float) -> dict[str, Any]:
        """The rate: of answers, every read counts; of requests, the time to the answer's end."""
        if way == "answers":
            return {"bytes_per_s": round(reply.bytes_per_s)}
        moved = sent_bytes + (reply.received_bytes if "answers" in self.ways() else 0)
        return {
            "bytes_per_s": round(moved / max(0.1, reply.last_ms - small_ms) * 1e3),
            "small_ms": round(small_ms, 2),
        }

    def amiss(self, way: str, got: Mapping[str, Any]) -> str:
        """Near the rate; 0: everything came in one."""
        wanted, rate = self.rate_per_s, got["bytes_per_s"]
        if got["end"] != "enough":
            return f"{got['end']} instead of an answer"
        if near(wanted, rate, NEAR, 0):
            return ""
        small_ms = got.get("small_ms", 0.0)
        if rate > wanted > rate * (1 - small_ms / got["ms"]):
            return f"?{way}: {rate} bytes/s, if a small request takes {small_ms:.0f} ms as before"
        if 0 < rate < wanted and wanted >= FAST_PER_S:
            return f"?{way}: {rate} bytes/s: this host may not carry more"
        return f"{rate} bytes/s instead of {wanted}"


class ClientSlicer(_Flow):
    """Bytes come in small pieces, with time between them."""

    toxic = "slicer"

    def attributes(self) -> dict[str, Any]:
        """In bytes and microseconds."""
        entry = self.entry
        return {
            "average_size": entry.size_bytes,
            "size_variation": entry.variation_bytes,
            "delay": entry.delay_ns // 1000,
        }

    def requested(self) -> dict[str, Any]:
        """At least so many pieces, in at least that time."""
        pieces = self._pieces()
        least = {"pieces": pieces, "ms": round((pieces - 1) * self.entry.delay_ns / 1e6, 2)}
        return {way: {"at_least": least} for way in self.ways()}

    def within_s(self) -> float:
        """Pieces may be half as big as asked for, and each direction has its own."""
        pieces = 4 * (self.size() + REPLY_BYTES) / self.entry.size_bytes
        return float(PATIENCE_S + pieces * (self.entry.delay_ns / 1e9 + 0.001))

    def size(self) -> int:
        """Enough for some pieces."""
        pieces = min(max(int(MOVED_S * 1e9 / self.entry.delay_ns), 6), 40)
        return int(pieces * self.entry.size_bytes)

    def figures(self, way: str, reply: Talk, sent_bytes: int, small_ms: float) -> dict[str, Any]:
        """Reads, and the time from the first to the last."""
        return {
            "reads": len(reply.reads),
            "between_ms": round(reply.last_ms - reply.first_ms, 2),
            "more_ms": round(reply.last_ms - small_ms, 2),
        }

    def amiss(self, way: str, got: Mapping[str, Any]) -> str:
        """As many pieces as the biggest ones make; of requests only the time is seen."""
        if got["end"] != "enough":
            return f"{got['end']} instead of an answer"
        pieces = self._pieces()
        least_ms = 0.8 * (pieces - 1) * self.entry.delay_ns / 1e6
        if way == "answers" and got["reads"] < 0.8 * pieces:
            return f"{got['reads']} reads for {pieces} pieces"
        took = got["more_ms" if way == "requests" else "between_ms"]
        return "" if took >= least_ms else f"{took:.1f} ms more, not {least_ms:.1f}"

    def _pieces(self) -> int:
        return int(self.size() // (self.entry.size_bytes + self.entry.variation_bytes)) or 1


class ClientLimitData(_Flow):
    """A connection is closed when it has carried so many bytes."""

    toxic = "limit_data"

    def attributes(self) -> dict[str, Any]:
        """In bytes."""
        return {"bytes": self.entry.limit_bytes}

    def requested(self) -> dict[str, Any]:
        """How a talk of more than that ends."""
        asked: dict[str, Any] = {way: {"end": "closed"} for way in self.ways()}
        if "answers" in asked:
            asked["answers"]["received_bytes"] = self.entry.limit_bytes
        return asked

    def within_s(self) -> float:
        """More bytes take longer."""
        return float(PATIENCE_S + self.entry.limit_bytes / 5e6)

    def size(self) -> int:
        """More than it lets through."""
        return int(self.entry.limit_bytes + REPLY_BYTES)

    def figures(self, way: str, reply: Talk, sent_bytes: int, small_ms: float) -> dict[str, Any]:
        """Nothing else."""
        return {}

    def amiss(self, way: str, got: Mapping[str, Any]) -> str:
        """Closed, at the byte."""
        limit = self.entry.limit_bytes
        if got["end"] not in ("closed", "reset"):
            return "not closed" if got["end"] == "enough" else str(got["end"])
        if way == "requests" or got["received_bytes"] == limit:
            return ""
        # A reset may have taken back what came last; the request may have been too much already.
        short = got["end"] == "reset" or ("requests" in self.ways() and got["sent_bytes"] > limit)
        if short and got["received_bytes"] < limit:
            return ""
        return f"closed after {got['received_bytes']} bytes instead of {limit}"


class ClientSlowClose(OnLinks):
    """The end of a connection reaches the other side late."""

    toxic = "slow_close"

    def attributes(self) -> dict[str, Any]:
        """In milliseconds."""
        return {"delay": self.entry.delay_ns // 10**6}

    def requested(self) -> dict[str, Any]:
        """From our close to the other side's: each direction holds it once."""
        return {"close_ms": self._wanted_ms()}

    def within_s(self) -> float:
        """That, and some more."""
        return PATIENCE_S + self._wanted_ms() / 1e3

    def look(self, scene: Scene, link: Link, within_s: float) -> Reading:
        """From our close to the other side's."""
        knock = scene.cluster.group(link.node).knock(link.node, link.port)
        end, ms = hang_up(self.address(scene, link), knock, within_s)
        return Reading(end="enough" if end in ("closed", "reset") else end, ms=ms)

    def wrong(self, before: Reading, reading: Reading) -> str:
        """That much later than before."""
        if not reading.well:
            return f"{reading.end} instead of closed"
        wanted = self._wanted_ms()
        return later(before, reading, wanted, max(20.0, 0.1 * wanted))

    def not_gone(self, before: Reading, reading: Reading) -> str:
        """Less than half of the delay is left."""
        late = reading.ms - before.ms
        if reading.well and late > self._wanted_ms() / 2:
            return f"still closed {late:.0f} ms later"
        return super().not_gone(before, reading)

    def _wanted_ms(self) -> float:
        return float(self.entry.delay_ns / 1e6 * len(self.streams()))
