"""Faults of clocks: a node's processes see a wrong time of day; monotonic time stays true.

The agent shifts every process of the pod (chaos/agent/clocks.py); all faults of a node add up. What
proves it is the database's own word: `SELECT clock_timestamp()`, `TIME`, what etcd tells its peers
(`HasClock`). Without such a system the agent's word is all there is, and nothing is confirmed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.agent.link import ask_all
from chaos.agent.shifts import SECOND_NS, Shift, drift_rate
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.clock_watch import Others, Share, Watch, best, slope
from chaos.faults.nodes import OnNodes

CLOCK = "clock"  # claims: (CLOCK, node) → each fault's Shift, None while it begins or ends

TOLERANCE_NS = 5_000_000
TOLERANCE_RATE = 0.01
SEEN = 3.0  # an effect is seen when it is so many times what a reading may be wrong by
WRONG_SHARE = 0.05  # so many readings may lie elsewhere: another fault began or ended just then
WRONG_MIN = 2
ASK_S = 0.4
PROBE_S_MAX = 2.0
HEALED_S = 2.0
MARGIN_S = 30.0  # so long after its due end nobody asks for readings any more
RATE_NS = 20_000_000  # an effect this large shows a rate


@dataclass(slots=True)
class Verdict:
    """What one node's readings say."""

    outcome: str
    measured: dict[str, Any] = field(default_factory=dict)
    why: str = ""


class _Clock(OnNodes):
    """What clock faults share: one shift of each node's clock, and readings before, in, after."""

    kind = "step"

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._watches: dict[str, Watch] = {}
        self._shifts: dict[str, Shift] = {}  # as each agent says that it holds
        self._shifted: dict[str, dict[str, Any]] = {}  # the agents' answers to that
        self._ended: dict[str, dict[str, Any]] = {}  # and to its end
        self._inject_ns = 0
        self._heal_ns: int | None = None

    def shift(self, start_ns: int) -> Shift:
        """What is added from `start_ns` (monotonic) on."""
        return Shift(kind=self.kind, start_ns=start_ns, by_ns=self.entry.by_ns)

    def requested(self) -> dict[str, Any]:
        """What the probe should see."""
        return {"by_ms": self.entry.by_ns / 1e6, "within_ms": TOLERANCE_NS / 1e6}

    def probe_until_ns(self) -> int:
        """How long the first probe waits at most for something to see, after the injection."""
        return min(int(PROBE_S_MAX * SECOND_NS), int(self.entry.for_ns) // 2)

    def seen_after_ns(self, shift: Shift) -> int:
        """How long after the injection the effect can be told from none."""
        return 0

    def prepare(self, scene: Scene) -> None:
        """Put the stub in, which adds nothing yet, and begin to read the clocks."""
        super().prepare(scene)
        for node in self.nodes:
            if ask := scene.cluster.group(node).clock(node, ASK_S):
                lasts_s = self.entry.for_ns / 1e9 + MARGIN_S
                self._watches[node] = Watch(node, ask, self._others(scene, node), lasts_s)
        self.ask(scene, "clock_ready", fault=self.id)

    def _others(self, scene: Scene, node: str) -> Callable[[], Others]:
        return lambda: scene.cluster.claims.of((CLOCK, node), self.id)

    def _claim_all(self, scene: Scene, shifts: Mapping[str, Shift | None]) -> None:
        for node in self.nodes:
            scene.cluster.claims.put((CLOCK, node), self.id, shifts.get(node))

    def inject(self, scene: Scene) -> None:
        """Shift, on all nodes from the same moment on."""
        self._inject_ns = time.monotonic_ns()
        shift = self.shift(self._inject_ns)
        self._claim_all(scene, {})
        self._shifted = self.ask(scene, "clock", fault=self.id, shift=shift.plain())
        self._shifts = {node: Shift(**a["shift"]) for node, a in self._shifted.items()}
        self._claim_all(scene, self._shifts)
        self.effect_ns = max(self.effect_ns, *(s.start_ns for s in self._shifts.values()))

    def probe(self, scene: Scene) -> Probe:
        """What the databases say the time is, as soon as there is something to see."""
        wait_ns = max((self.seen_after_ns(shift) for shift in self._shifts.values()), default=0)
        until = self._inject_ns + min(wait_ns, self.probe_until_ns())
        time.sleep(max(0, until - time.monotonic_ns()) / 1e9)
        for watch in self._watches.values():
            watch.wait(self.effect_ns, 3, 0.5)
        return self._judge(scene, None)

    def review(self, scene: Scene) -> Probe | None:
        """The same over the whole length of the fault."""
        probe = self._judge(scene, self._heal_ns) if self._watches else None
        for watch in self._watches.values():
            watch.close()
        return probe

    def heal(self, scene: Scene) -> None:
        """Take this fault's share off again; the last one leaves the kernel's own bytes."""
        if self._heal_ns is None:
            self._heal_ns = time.monotonic_ns()
        self._claim_all(scene, {})
        try:
            ended = ("clock_end", {"fault": self.id})
            self._ended = ask_all(scene.cluster.agents(), dict.fromkeys(self.nodes, ended), 10.0)
        finally:
            for node in self.nodes:
                scene.cluster.claims.drop((CLOCK, node), self.id)

    def probe_heal(self, scene: Scene) -> Probe:
        """Each clock shows what it did before, or what other faults make of it."""
        since_ns = max((a["t_ns"] for a in self._ended.values()), default=time.monotonic_ns())
        verdicts, seen_ns = {}, []
        for node in self.nodes:
            watch = self._watches.get(node)
            left = "; ".join(self._ended.get(node, {}).get("failed", []))
            after = watch.wait(since_ns, 2, HEALED_S) if watch else []
            if left:
                verdicts[node] = Verdict(MISMATCH, {"left": left}, f"left shifted: {left}")
            elif watch is None or not after:
                verdicts[node] = self._silent(scene, node)
            else:
                now = best(after)
                rest_ns = now.shift_ns - watch.baseline(self._inject_ns)
                verdicts[node] = _near(rest_ns, 0, now, "off_by_ms")
                seen_ns.append(after[0].at_ns)
        return self._probe_of(verdicts, max(seen_ns, default=None))

    def _judge(self, scene: Scene, until_ns: int | None) -> Probe:
        verdicts = {}
        for node in self.nodes:
            watch, shift = self._watches.get(node), self._shifts.get(node)
            shares = watch.between(self.effect_ns, until_ns) if watch else []
            if watch is None or shift is None or not shares:
                verdicts[node] = self._silent(scene, node)
                continue
            rest_ns = watch.baseline(self._inject_ns)
            own = [Share(s.at_ns, s.shift_ns - rest_ns, s.error_ns) for s in shares]
            verdicts[node] = self.verdict(own, shift)
            verdicts[node].measured["readings"] = len(own)
        for node, verdict in verdicts.items():
            told = self._shifted.get(node, {})
            verdict.measured["processes"] = told.get("shifted", 0)
            if told.get("failed"):
                verdict.measured["not_shifted"] = told["failed"]
        return self._probe_of(verdicts, self.effect_ns)

    def verdict(self, shares: list[Share], shift: Shift) -> Verdict:
        """What one node's readings say; those of a clock that is wrong by a fixed time."""
        now = best(shares)
        verdict = _near(now.shift_ns, shift.at(now.at_ns), now, "by_ms")
        if abs(shift.by_ns) <= SEEN * now.error_ns:
            return Verdict(INCONCLUSIVE, verdict.measured, "less than can be seen")
        return _kept(verdict, shares, shift)

    def _silent(self, scene: Scene, node: str) -> Verdict:
        """No reading: nothing was seen, whatever the agent says."""
        if node not in self._watches:
            return Verdict(INCONCLUSIVE, {}, "this system has no clock that could be asked")
        by = ", ".join(scene.cluster.silenced_by(node, self.id))
        why = f"silenced by {by}" if by else "no answer when asked for the time"
        return Verdict(INCONCLUSIVE, {}, why)

    def _probe_of(self, verdicts: dict[str, Verdict], at_ns: int | None) -> Probe:
        outcomes = {verdict.outcome for verdict in verdicts.values()}
        worst = next(o for o in (MISMATCH, INCONCLUSIVE, CONFIRMED) if o in outcomes)
        said = [f"{n}: {v.why}" for n, v in verdicts.items() if v.why and v.outcome == worst]
        return Probe(
            outcome=worst,
            requested=self.requested(),
            measured={node: verdict.measured for node, verdict in verdicts.items()},
            at_ns=at_ns,
            why="; ".join(said),
        )


def _ms(ns: float) -> float:
    return round(ns / 1e6, 3)


def _near(shift_ns: int, asked_ns: int, reading: Share, name: str) -> Verdict:
    """Whether a reading is as it should be; `measured` has it under `name`."""
    measured = {name: _ms(shift_ns), "exact_to_ms": _ms(reading.error_ns)}
    off_ns = abs(shift_ns - asked_ns)
    if off_ns <= TOLERANCE_NS + reading.error_ns:
        return Verdict(CONFIRMED, measured)
    if reading.error_ns > 2 * TOLERANCE_NS and off_ns <= 2 * reading.error_ns:
        return Verdict(INCONCLUSIVE, measured, "the answers came too late to tell")
    return Verdict(MISMATCH, measured, f"off by {_ms(shift_ns)} ms instead of {_ms(asked_ns)} ms")


def _kept(verdict: Verdict, shares: list[Share], shift: Shift) -> Verdict:
    """The same verdict, unless too many readings do not lie on the line that was asked for."""
    wrong = [
        s for s in shares
        if abs(s.shift_ns - shift.at(s.at_ns)) > TOLERANCE_NS + s.error_ns
    ]  # fmt: skip
    verdict.measured["elsewhere"] = len(wrong)
    if verdict.outcome == CONFIRMED and len(wrong) > max(WRONG_MIN, WRONG_SHARE * len(shares)):
        worst = max(wrong, key=lambda s: abs(s.shift_ns - shift.at(s.at_ns)))
        verdict.outcome = MISMATCH
        verdict.why = (
            f"{len(wrong)} of {len(shares)} readings are elsewhere, one off by "
            f"{_ms(worst.shift_ns)} ms instead of {_ms(shift.at(worst.at_ns))} ms"
        )
    return verdict


class ClockStep(_Clock):
    """A jump, forwards or backwards, and back again at the end."""


class ClockBack(_Clock):
    """A jump backwards."""

    def shift(self, start_ns: int) -> Shift:
        """The other way round."""
        return Shift(kind="step", start_ns=start_ns, by_ns=-self.entry.by_ns)

    def requested(self) -> dict[str, Any]:
        """The other way round."""
        return {"by_ms": -self.entry.by_ns / 1e6, "within_ms": TOLERANCE_NS / 1e6}


class ClockSkew(_Clock):
    """A shift that is reached evenly."""

    kind = "skew"

    def shift(self, start_ns: int) -> Shift:
        """Reached over a time."""
        entry = self.entry
        return Shift(kind="skew", start_ns=start_ns, by_ns=entry.by_ns, over_ns=entry.over_ns)

    def requested(self) -> dict[str, Any]:
        """How far, and in what time."""
        return {**super().requested(), "over_ms": self.entry.over_ns / 1e6}

    def seen_after_ns(self, shift: Shift) -> int:
        """Until it can be told from a clock that is right."""
        return min(shift.over_ns, RATE_NS * shift.over_ns // abs(shift.by_ns))

    def verdict(self, shares: list[Share], shift: Shift) -> Verdict:
        """Where it has got to by the last reading, and that it was on its way at each."""
        arrived = [s for s in shares if s.at_ns >= shift.start_ns + shift.over_ns]
        now = best(arrived or shares[-5:])
        due_ns = shift.at(now.at_ns)
        verdict = _near(now.shift_ns, due_ns, now, "by_ms")
        if not arrived:
            verdict.measured["due_ms"] = _ms(due_ns)
        if abs(due_ns) <= SEEN * (now.error_ns + TOLERANCE_NS / 2):
            return Verdict(INCONCLUSIVE, verdict.measured, "less than can be seen so early")
        return _kept(verdict, shares, shift)


class ClockDrift(_Clock):
    """A clock that runs too fast or too slow."""

    kind = "drift"

    def shift(self, start_ns: int) -> Shift:
        """By a rate."""
        return Shift(kind="drift", start_ns=start_ns, rate=drift_rate(self.entry.ppm))

    def requested(self) -> dict[str, Any]:
        """The rate."""
        return {"ppm": self.entry.ppm, "within": TOLERANCE_RATE}

    def seen_after_ns(self, shift: Shift) -> int:
        """Until the drift is large beside what a reading may be wrong by."""
        return int(RATE_NS * 1e6 / abs(self.entry.ppm))

    def verdict(self, shares: list[Share], shift: Shift) -> Verdict:
        """The slope of all readings; what it may be wrong by follows from how they scatter."""
        found = slope(shares)
        if found is None:
            return Verdict(INCONCLUSIVE, {}, "too few answers for a rate")
        ppm, unsure = found
        asked = self.entry.ppm
        span_s = (shares[-1].at_ns - shares[0].at_ns) / 1e9
        measured = {
            "ppm": round(ppm, 2),
            "unsure_ppm": round(unsure, 2),
            "over_s": round(span_s, 2),
        }
        verdict = _kept(Verdict(CONFIRMED, measured), shares, shift)
        if verdict.outcome == CONFIRMED and abs(asked) <= SEEN * unsure:
            return Verdict(INCONCLUSIVE, measured, f"less than can be seen in {span_s:.1f} s")
        if abs(ppm - asked) > TOLERANCE_RATE * abs(asked) + unsure:
            return Verdict(MISMATCH, measured, f"{ppm:.1f} ppm instead of {asked:g} ppm")
        return verdict


class ClockStrobe(_Clock):
    """A clock that jumps to and fro."""

    kind = "strobe"

    def shift(self, start_ns: int) -> Shift:
        """On and off."""
        entry = self.entry
        return Shift(kind="strobe", start_ns=start_ns, by_ns=entry.by_ns, every_ns=entry.every_ns)

    def requested(self) -> dict[str, Any]:
        """How far, and how often."""
        return {**super().requested(), "every_ms": self.entry.every_ns / 1e6}

    def seen_after_ns(self, shift: Shift) -> int:
        """On, off, and a little on."""
        return shift.every_ns * 5 // 2

    def verdict(self, shares: list[Share], shift: Shift) -> Verdict:
        """Both states were seen, each when it was due; readings across a jump tell nothing."""
        clear = [s for s in shares if _whole(s, shift)]
        on = [s for s in clear if shift.at(s.at_ns)]
        off = [s for s in clear if not shift.at(s.at_ns)]
        if not on or not off:
            return Verdict(INCONCLUSIVE, {}, "not seen both wrong and right yet")
        if abs(shift.by_ns) <= SEEN * best(on).error_ns:
            return Verdict(INCONCLUSIVE, {}, "less than can be seen")
        wrong = _near(best(on).shift_ns, shift.by_ns, best(on), "by_ms")
        right = _near(best(off).shift_ns, 0, best(off), "between_ms")
        jumps = sum(
            (abs(a.shift_ns) > abs(shift.by_ns) / 2) != (abs(b.shift_ns) > abs(shift.by_ns) / 2)
            for a, b in itertools.pairwise(clear)
        )
        worse = wrong if wrong.outcome != CONFIRMED else right
        measured = {**right.measured, **wrong.measured, "jumps_seen": jumps}
        return _kept(Verdict(worse.outcome, measured, worse.why), clear, shift)


def _whole(share: Share, shift: Shift) -> bool:
    """Whether a reading lies between two jumps for all of the time it may have been taken."""
    return shift.at(share.at_ns - share.error_ns) == shift.at(share.at_ns + share.error_ns)


class ClockLeap(_Clock):
    """A second that is told twice."""

    kind = "leap"

    def shift(self, start_ns: int) -> Shift:
        """The agent puts it at the node's next whole second."""
        return Shift(kind="leap", start_ns=start_ns)

    def requested(self) -> dict[str, Any]:
        """One second back."""
        return {"by_ms": -1000.0, "within_ms": TOLERANCE_NS / 1e6}

    def seen_after_ns(self, shift: Shift) -> int:
        """Once it has leapt."""
        return shift.start_ns - self._inject_ns

    def verdict(self, shares: list[Share], shift: Shift) -> Verdict:
        """One second behind after the leap; until it, nothing."""
        clear = [s for s in shares if _whole(s, shift) and s.at_ns > shift.start_ns]
        if not clear:
            return Verdict(INCONCLUSIVE, {}, "its whole second has not come yet")
        now = best(clear)
        return _kept(_near(now.shift_ns, -SECOND_NS, now, "by_ms"), clear, shift)
