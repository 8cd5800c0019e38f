"""Faults that strike a share of a link's packets: loss, duplicates, reordering, corruption.

Which packets is chance, so what is measured has to lie where chance puts it: within the binomial
range of what was asked, counted over all links together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH
from chaos.faults.link import OnWays
from chaos.faults.trains import Seen, Train, binomial_range
from chaos.runtime.ways import Way

DATAGRAMS_MAX = 6_000  # of a train over all ways: it takes the pods some 20 µs each
PER_WAY_MIN, PER_WAY_MAX = 50, 2_000
STRUCK_WANTED = 30  # so many struck on each way, if that is not too many datagrams
WITHIN_S = 0.4
CHANCE = 0.001  # how often a link that does as asked may be called a mismatch
EXPECTED_MIN = 5  # fewer prove nothing
FOLLOWERS = 6  # datagrams sent while one is held back
SURE = 10  # so many expected on one way, and none seen: it is not there


class OnShare(OnWays):
    """A share of packets is struck; `word` says how."""

    word = ""

    @property
    def share(self) -> float:
        """Of packets, 0 to 1."""
        return float(self.entry.rate)

    def train(self) -> Train:
        """Enough to see the share, and not more than the pods can bear."""
        telling = self.share * self.independent()
        wanted = min(PER_WAY_MAX, max(200, math.ceil(STRUCK_WANTED / telling)))
        count = max(PER_WAY_MIN, min(wanted, DATAGRAMS_MAX // max(1, len(self.ways))))
        return Train(count=count, every_us=max(100, round(WITHIN_S * 1e6 / count)))

    def requested(self) -> dict[str, Any]:
        """The share, and where a measured one lies but for one time in a thousand."""
        sent = self.train().count * len(self.ways)
        low, high = self._range(sent)
        return {self.word: self.share, "between": [round(low, 5), round(high, 5)]}

    def _range(self, count: int) -> tuple[float, float]:
        """The least and the greatest share of `count` packets that chance explains."""
        independent = max(1.0, count * self.independent())
        low, high = binomial_range(independent, self.share, CHANCE)
        return low / round(independent), high / round(independent)

    def independent(self) -> float:
        """How much one packet says of the share, compared with one struck by itself."""
        return 1.0

    def struck(self, seen: Seen) -> tuple[int, int]:
        """How many were struck, of how many."""
        raise NotImplementedError

    def more(self, seen: Mapping[Way, Seen], struck: int, bad_checksums: int
             ) -> tuple[dict[str, Any], str]:  # fmt: skip
        """What else was measured, and what is wrong with that."""
        return {}, ""

    def judge(
        self, seen: Mapping[Way, Seen], bad_checksums: int
    ) -> tuple[str, dict[str, Any], str]:
        """As many as chance allows over all ways, and some on each."""
        silent = [w for w, s in seen.items() if not s.arrivals and self.share < 0.9]
        counts = {way: self.struck(s) for way, s in seen.items() if way not in silent}
        struck, of = (
            (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0)
        )
        measured: dict[str, Any] = {
            self.word: round(struck / of, 5) if of else None,
            "datagrams": of,
            "by_link": {str(w): round(s / n, 4) if n else None for w, (s, n) in counts.items()},
        }
        extra, wrong = self.more(seen, struck, bad_checksums)
        measured |= extra
        if not counts:
            return INCONCLUSIVE, measured, "nothing passes: another fault cuts these links"
        if of * self.share < EXPECTED_MIN:
            return INCONCLUSIVE, measured, f"{of} datagrams are too few to see {self.share:.2%}"
        for way, (some, count) in counts.items():
            if not some and count * self.share * self.independent() > SURE:
                return MISMATCH, measured, f"nothing {self.word} on {way}"
        low, high = self._range(of)
        if not low <= struck / of <= high:
            return MISMATCH, measured, f"{struck / of:.2%} {self.word}, not {self.share:.2%}"
        return (MISMATCH if wrong else CONFIRMED), measured, wrong

    def unwell(self, way: Way, seen: Seen) -> str:
        """Still a good part of the share."""
        if not seen.arrivals:
            return "nothing passes"
        struck, of = self.struck(seen)
        return (
            f"still {struck / of:.2%} {self.word}" if struck > max(1, of * self.share / 4) else ""
        )


class Loss(OnShare):
    """Packets are lost, each by itself or some in a row."""

    word = "lost"

    def stage(self) -> dict[str, Any]:
        """Probability and the mean length of a burst."""
        return {"loss": self.share, "burst": self.entry.burst or 0}

    def independent(self) -> float:
        """In bursts a packet's lot is much that of the one before: two states, whose correlation
        from one to the next is what neither changes to the other."""
        if not self.entry.burst or self.share >= 1:
            return 1.0
        end = 1 / float(self.entry.burst)
        same = 1 - end - end * self.share / (1 - self.share)
        return (1 - same) / (1 + same)

    def struck(self, seen: Seen) -> tuple[int, int]:
        """Those that did not come."""
        return seen.lost, seen.sent

    def more(self, seen: Mapping[Way, Seen], struck: int, bad_checksums: int
             ) -> tuple[dict[str, Any], str]:  # fmt: skip
        """How many were lost in a row."""
        runs = [run for s in seen.values() for run in lost_in_a_row(s)]
        mean = sum(runs) / len(runs) if runs else 0.0
        wrong = ""
        if self.entry.burst and len(runs) >= SURE and mean - 1 < 0.4 * (self.entry.burst - 1):
            wrong = f"{mean:.1f} lost in a row in the mean, not {self.entry.burst:g}"
        return {"in_a_row": round(mean, 2)}, wrong


def lost_in_a_row(seen: Seen) -> list[int]:
    """The lengths of all gaps between datagrams that came."""
    came = sorted({number for number, _, _ in seen.arrivals})
    edges = [-1, *came, seen.sent]
    return [b - a - 1 for a, b in itertools.pairwise(edges) if b - a > 1]


class Duplicate(OnShare):
    """Packets come twice."""

    word = "duplicated"

    def stage(self) -> dict[str, Any]:
        """Probability."""
        return {"duplicate": self.share}

    def struck(self, seen: Seen) -> tuple[int, int]:
        """Those that came again."""
        return seen.duplicates, seen.received


class Reorder(OnShare):
    """Packets are held back, so that later ones overtake them."""

    word = "overtaken"

    def stage(self) -> dict[str, Any]:
        """Probability and for how long."""
        return {"reorder": self.share, "late_us": self.entry.by_ns / 1000}

    def train(self) -> Train:
        """Close enough that each one held back has several behind it to be overtaken by."""
        train = super().train()
        return replace(train, every_us=min(train.every_us, self.entry.by_ns // 1000 // FOLLOWERS))

    def takes_s(self) -> float:
        """For so long it is held."""
        return float(self.entry.by_ns) / 1e9

    def struck(self, seen: Seen) -> tuple[int, int]:
        """Those that came after a later one. The train's last ones have none behind them."""
        train = self.train()
        last = min(train.count // 2, math.ceil(self.entry.by_ns / 1000 / train.every_us) + 2)
        came = {number for number, _, _ in seen.arrivals if number < seen.sent - last}
        return seen.overtaken(but_last=last), len(came)


class Corrupt(OnShare):
    """One bit of a packet is flipped. The receiver's checksum refuses it: it looks lost, and is
    counted by the receiver's kernel."""

    word = "corrupt"

    def stage(self) -> dict[str, Any]:
        """Probability."""
        return {"corrupt": self.share}

    def struck(self, seen: Seen) -> tuple[int, int]:
        """Those that did not come."""
        return seen.lost, seen.sent

    def more(self, seen: Mapping[Way, Seen], struck: int, bad_checksums: int
             ) -> tuple[dict[str, Any], str]:  # fmt: skip
        """Wrong checksums, as the receivers' kernels count them: as many as are missing."""
        wrong = ""
        if abs(bad_checksums - struck) > max(3, 0.1 * struck):
            wrong = f"{struck} datagrams are missing, {bad_checksums} had a wrong checksum"
        return {"wrong_checksums": bad_checksums}, wrong
