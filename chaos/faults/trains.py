"""What the ends of some ways see of packets sent on them: trains of numbered datagrams.

A train takes the same way as the databases' packets and is told apart from them by nothing but its
port. The agents send and receive it (chaos/agent/trains.py); here is what follows from it.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.agent.link import ask_all
from chaos.faults.base import Scene
from chaos.runtime.ways import Way

SMALL_BYTES = 128  # a datagram of a train, headers included
FULL_BYTES = 1428
LATE_S_MAX = 3.0  # how much longer than it should a train may take to be sent

Arrival = tuple[int, int, int]  # number, sent and arrived (monotonic ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """How it is sent: `count` datagrams of `size` bytes, one each `every_us`; 0: at once."""

    count: int
    every_us: int
    size: int = SMALL_BYTES

    @property
    def seconds(self) -> float:
        """How long sending takes."""
        return self.count * self.every_us / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a train on one way."""

    sent: int
    arrivals: Sequence[Arrival]  # in order of arrival

    @property
    def received(self) -> int:
        """How many different ones came."""
        return len({number for number, _, _ in self.arrivals})

    @property
    def lost(self) -> int:
        """How many did not come."""
        return self.sent - self.received

    @property
    def duplicates(self) -> int:
        """How many came again."""
        return len(self.arrivals) - self.received

    def overtaken(self, *, but_last: int = 0) -> int:
        """How many came after one that was sent later; those of the last ones are not counted,
        because hardly any is sent after them."""
        highest, found = -1, set()
        for number, _, _ in self.arrivals:
            if number < highest and number < self.sent - but_last:
                found.add(number)
            highest = max(highest, number)
        return len(found)

    def delays_ms(self) -> list[float]:
        """One-way delays, shortest first."""
        return sorted((came - sent) / 1e6 for _, sent, came in self.arrivals)

    def quantile_ms(self, q: float) -> float | None:
        """That quantile of the one-way delays, 0 to 1; None when nothing came.

        A busy machine lets datagrams wait before it looks, so that the least delays tell most of
        the link.
        """
        delays = self.delays_ms()
        return delays[int(q * (len(delays) - 1))] if delays else None

    def spread_ms(self) -> float:
        """The standard deviation of the one-way delays, from their quartiles as in a normal
        distribution: some late ones do not count."""
        low, high = self.quantile_ms(0.25), self.quantile_ms(0.75)
        return 0.0 if low is None or high is None else (high - low) / 1.349

    def bits_per_s(self, size: int) -> float | None:
        """How fast they came out of the link when all entered it at once: the median over
        stretches of half of the train. None with too few."""
        times = [came for _, _, came in self.arrivals]
        half = len(times) // 2
        took = [later - one for one, later in zip(times, times[half:], strict=False)]
        if half < 2 or (median := statistics.median(took)) <= 0:
            return None
        return half * size * 8e9 / median

    def sent_bits_per_s(self, size: int) -> float:
        """How fast those that came had been sent: no link can be seen to be faster than that."""
        times = sorted(sent for _, sent, _ in self.arrivals)
        took_ns = times[-1] - times[0] if len(times) > 2 else 0
        return (len(times) - 1) * size * 8e9 / took_ns if took_ns else 0.0


class Measurement:
    """One train on some ways: `begin`, and then once `end`."""

    def __init__(self, ways: Sequence[Way], train: Train) -> None:
        self._ways, self._train = ways, train
        self._number = secrets.randbits(32)
        self._bad_before = 0
        self._ends_at = 0.0
        self.bad_checksums = 0  # datagrams with a wrong checksum meanwhile, over all receivers

    def begin(self, scene: Scene) -> None:
        """Send."""
        agents = scene.cluster.agents()
        receivers = {way.receiver for way in self._ways}
        heard = ask_all(agents, dict.fromkeys(receivers, ("train_listen", {})))
        self._bad_before = sum(answer["bad_checksums"] for answer in heard.values())
        same = {
            "train": self._number,
            "count": self._train.count,
            "every_us": self._train.every_us,
            "bytes": self._train.size,
        }
        by_sender: dict[str, list[tuple[int, str, str]]] = {}
        for k, way in enumerate(self._ways):
            found = by_sender.setdefault(way.sender, [])
            found.append((k, way.from_address, way.to_address))
        ask_all(agents, {
            sender: ("train", {**same, "ways": ways}) for sender, ways in by_sender.items()
        }, 10.0)  # fmt: skip
        self._ends_at = time.monotonic() + self._train.seconds

    def end(self, scene: Scene, after_s: float) -> dict[Way, Seen]:
        """What came, `after_s` after the last one was sent."""
        time.sleep(max(0.0, self._ends_at - time.monotonic()))
        self._wait_sent(scene)
        time.sleep(after_s)
        receivers = {way.receiver for way in self._ways}
        asked = ("train_arrivals", {"train": self._number})
        answers: Mapping[str, Any] = ask_all(
            scene.cluster.agents(), dict.fromkeys(receivers, asked), 10.0
        )
        bad = sum(answer["bad_checksums"] for answer in answers.values())
        self.bad_checksums = bad - self._bad_before
        return {
            way: Seen(
                sent=self._train.count,
                arrivals=[tuple(a) for a in answers[way.receiver]["arrivals"].get(str(k), [])],
            )
            for k, way in enumerate(self._ways)
        }

    def _wait_sent(self, scene: Scene) -> None:
        """Until every sender has sent all, or is hopelessly late."""
        senders = {way.sender for way in self._ways}
        end = time.monotonic() + LATE_S_MAX
        while senders and time.monotonic() < end:
            asked = ("train_left", {"train": self._number})
            answers = ask_all(scene.cluster.agents(), dict.fromkeys(senders, asked), 10.0)
            senders = {sender for sender, answer in answers.items() if answer["left"]}
            time.sleep(0.01 if senders else 0.0)


def binomial_range(count: float, share: float, alpha: float) -> tuple[int, int]:
    """The fewest and the most of `count` things that happen by chance, each with probability
    `share`: outside of it lies at most `alpha`, half on either side."""
    if share <= 0 or share >= 1 or count < 1:
        certain = round(count) if share >= 1 else 0
        return certain, certain
    whole = round(count)
    below, low, high = 0.0, None, whole
    for k in range(whole + 1):
        below += math.exp(
            math.lgamma(whole + 1) - math.lgamma(k + 1) - math.lgamma(whole - k + 1)
            + k * math.log(share) + (whole - k) * math.log1p(-share)
        )  # fmt: skip
        if low is None and below > alpha / 2:
            low = k
        if below >= 1 - alpha / 2:
            high = k
            break
    return low or 0, high
