"""Links by netem, where a kernel has it and no NFQUEUE. Standard library only; part of the agent.

netem delays what leaves an interface, and a link's faults belong to its receiver. So what comes by
a way is redirected from eth0's ingress to an interface of our own (ifb) and leaves that through the
way's netem. Only the redirected passes there: no other traffic can fall into a netem by chance.

Less exact than NFQUEUE: a way has one netem, so that its stages become one (`combined`), and one
that holds packets back cannot stand on a link with a delay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.agent.addresses import INTERFACE
from chaos.agent.stages import Stage, Way
from chaos.agent.tools import run

DEVICE = "aftershock0"
TRIAL = "aftershock9"
LIMIT = 200_000  # packets; netem's own 1000 would drop silently at a high rate
PACKET_BYTES = 1500
UNLIMITED = "100gbit"  # a rate, so that netem keeps the order under jitter


@dataclass(slots=True)
class _Lane:
    number: int  # of its class, and its filter's preference
    hold_s: float = 0.0
    diverted: bool = False


class Netem:
    """Brings ways to the stages they should have; without any there is no device and no rule."""

    name = "netem"

    def __init__(self, loop: Any) -> None:
        self._loop = loop  # chaos.agent.agent.Loop
        self._lanes: dict[Way, _Lane] = {}

    def why_not(self) -> str:
        """Try it on a device that nothing passes. "" when it works."""
        try:
            run(["ip", "link", "add", TRIAL, "type", "ifb"])
            try:
                run(["tc", "qdisc", "add", "dev", TRIAL, "root", "netem", "delay", "1ms"])
            finally:
                run(["ip", "link", "del", TRIAL])
        except RuntimeError as error:
            return str(error)
        return ""

    def apply(self, wanted: Mapping[Way, Sequence[Stage]]) -> None:
        """Bring each way to these stages; none: as before. RuntimeError when the kernel refuses."""
        texts = {way: combined(stages) for way, stages in wanted.items() if stages}
        if texts and not self._lanes:
            run(["ip", "link", "add", DEVICE, "type", "ifb"])
            run(["ip", "link", "set", DEVICE, "up"])
            _tc(begin())
        lines = []
        for way, text in texts.items():
            lane = self._lanes.get(way)
            if lane is None:
                lane = self._lanes[way] = _Lane(self._free())
                lines += make(lane.number, way, text)
            else:
                lines.append(change(lane.number, text))
            if not lane.diverted:
                lines.append(divert(lane.number, way))
            lane.diverted, lane.hold_s = True, sum(stage.hold_s for stage in wanted[way])
        for way in wanted:
            lane = self._lanes.get(way)
            if lane is not None and lane.diverted and way not in texts:
                lane.diverted = False
                lines.append(divert_no_more(lane.number))
                self._end_later(way, lane)
        _tc(lines)

    def renew(self) -> None:
        """Nothing here ends by itself: the agent ends it when the controller falls silent."""

    def counters(self) -> dict[Way, dict[str, Any]]:
        """netem counts too little to tell."""
        return {}

    def _free(self) -> int:
        used = {lane.number for lane in self._lanes.values()}
        return next(n for n in range(1, 65535) if n not in used)

    def _end_later(self, way: Way, lane: _Lane) -> None:
        """What it holds must still leave: deleting a netem drops its packets."""
        self._loop.after(lane.hold_s + 0.5, lambda: self._end(way, lane))

    def _end(self, way: Way, lane: _Lane) -> None:
        if lane.diverted or self._lanes.get(way) is not lane:
            return  # in use again, or ended
        del self._lanes[way]
        if self._lanes:
            _tc(remove(lane.number))
        else:
            _tc([f"qdisc del dev {INTERFACE} ingress"])
            run(["ip", "link", "del", DEVICE])


def combined(stages: Sequence[Stage]) -> str:
    """The stages of a way as the parameters of one netem.

    Delays add up, independent jitter as the root of squares; the longest tail's distribution and
    the lowest rate win. RuntimeError for packets held back on a link that has a delay.
    """
    delay_us = sum(s.delay_us for s in stages)
    jitter_us = math.hypot(*(s.jitter_us for s in stages))
    reorder = _either(s.reorder for s in stages)
    words = [f"limit {LIMIT}"]
    if reorder:
        if delay_us or jitter_us:
            raise RuntimeError("netem cannot hold back packets on a link that has a delay")
        # netem delays all but a share; so the share that is not held back is what it lets by.
        words.append(f"delay {max(s.late_us for s in stages):g}us")
        words.append(f"reorder {_percent(1 - reorder)} gap 1")
    elif delay_us or jitter_us:
        words.append(f"delay {delay_us:g}us")
        if jitter_us:
            kinds = [s.distribution for s in stages if s.jitter_us]
            kind = next((k for k in ("pareto", "normal") if k in kinds), "")
            words[-1] += f" {jitter_us:g}us" + (f" distribution {kind}" if kind else "")
    words += _losses(stages)
    for name in ("duplicate", "corrupt"):
        if share := _either(getattr(s, name) for s in stages):
            words.append(f"{name} {_percent(share)}")
    rates = [s for s in stages if s.rate_bps]
    if rates:
        lowest = min(rates, key=lambda s: s.rate_bps)
        words[0] = f"limit {max(2, lowest.backlog_bytes // PACKET_BYTES)}"
        words.append(f"rate {lowest.rate_bps:.0f}bit")
    elif jitter_us:
        words.append(f"rate {UNLIMITED}")
    return " ".join(words)


def _losses(stages: Sequence[Stage]) -> list[str]:
    loss = _either(s.loss for s in stages)
    if not loss:
        return []
    burst = max(s.burst for s in stages if s.loss)
    if not burst:
        return [f"loss random {_percent(loss)}"]
    begin = loss / (1 - loss) / burst if loss < 1 else 1.0
    return [f"loss gemodel {_percent(min(1.0, begin))} {_percent(1 / burst)}"]


def begin() -> list[str]:
    """tc's commands for the two ends: what comes in, and the device's classes."""
    return [
        f"qdisc add dev {INTERFACE} handle ffff: ingress",
        f"qdisc add dev {DEVICE} root handle 1: htb",
    ]


def make(number: int, way: Way, text: str) -> list[str]:
    """A way's class, its netem, and the filter that leads there."""
    return [
        f"class add dev {DEVICE} parent 1: classid 1:{number:x} htb rate {UNLIMITED}",
        f"qdisc add dev {DEVICE} parent 1:{number:x} handle {number + 1:x}: netem {text}",
        f"filter add dev {DEVICE} parent 1: protocol ip pref {number} u32 {_match(way)} "
        f"flowid 1:{number:x}",
    ]


def change(number: int, text: str) -> str:
    """Other parameters, in place: what is held keeps its time."""
    return f"qdisc change dev {DEVICE} parent 1:{number:x} handle {number + 1:x}: netem {text}"


def divert(number: int, way: Way) -> str:
    """Lead what comes by the way to the device."""
    return (
        f"filter add dev {INTERFACE} parent ffff: protocol ip pref {number} u32 {_match(way)} "
        f"action mirred egress redirect dev {DEVICE}"
    )


def divert_no_more(number: int) -> str:
    """Let the way's packets pass again."""
    return f"filter del dev {INTERFACE} parent ffff: pref {number}"


def remove(number: int) -> list[str]:
    """Remove a way's class and all below it."""
    return [
        f"filter del dev {DEVICE} parent 1: pref {number}",
        f"class del dev {DEVICE} classid 1:{number:x}",
    ]


def _match(way: Way) -> str:
    return f"match ip src {way[0]}/32 match ip dst {way[1]}/32"


def _either(shares: Iterable[float]) -> float:
    """The chance that at least one of several independent things happens."""
    return 1.0 - math.prod(1.0 - share for share in shares)


def _percent(share: float) -> str:
    return f"{share * 100:.7g}%"


def _tc(lines: Sequence[str]) -> None:
    """Run tc's commands in one go."""
    if lines:
        run(["tc", "-batch", "-"], "\n".join(lines) + "\n")
