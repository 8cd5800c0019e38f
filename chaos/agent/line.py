"""Links of this pod: what is done to packets that come from each peer. Standard library only.

Always at the receiver, so that each direction is a link of its own. The topology's links are the
base: they stay until they are changed or the pod ends. Faults lie on top of them, and end with the
controller. A pod without either has no rule and runs no helper.
"""

from __future__ import annotations

from typing import Any, Protocol

from chaos.agent.ladder import ladder
from chaos.agent.netem import Netem
from chaos.agent.nfqueue import Nfqueue
from chaos.agent.stages import Stage, Stages, Way, stage

BASE = "base"

Message = dict[str, Any]


class Rung(Protocol):
    """A way to do it."""

    name: str

    def why_not(self) -> str:
        """Why it cannot be done here; "" when it can."""

    def apply(self, wanted: dict[Way, list[Stage]]) -> None:
        """Bring each of these ways to its stages, in order."""

    def renew(self) -> None:
        """Another second in which the controller is heard."""

    def counters(self) -> dict[Way, dict[str, Any]]:
        """What was done on each way."""


class Line:
    """The base and the faults on every way to this pod."""

    def __init__(self, loop: Any) -> None:
        self._nfqueue, self._netem = Nfqueue(loop), Netem(loop)
        self._rung: Rung | None = None
        self._tried: list[tuple[str, str]] = []
        self._stages = Stages()

    def able(self) -> Message:
        """Which rung, and why the one before it is not taken."""
        if not self._tried:
            self._climb()
        why = "; ".join(f"{name}: {why}" for name, why in self._tried if why)
        rung = self._rung.name if self._rung else ""
        return {"line": rung, "line_why": why, "ladders": {"link": ladder(*self._tried)}}

    def _climb(self) -> None:
        for rung in (self._nfqueue, self._netem):
            why = rung.why_not()
            self._tried.append((rung.name, why))
            if not why:
                self._rung = rung
                return

    def do_line(self, request: Message) -> Message:
        """Put `stage` (chaos/agent/stages.py) on `ways` for `fault`, beside other faults' stages.

        Answers which `others` are on any of these ways.
        """
        fault, ways = request["fault"], _ways(request)
        if fault == BASE or " " in fault:
            raise ValueError(f"expected a fault's id, got {fault!r}")
        new = [(way, stage(fault, request["stage"], way)) for way in ways]
        for way, each in new:
            self._stages.set(way, each)
        self._apply(ways)
        return {"others": self._stages.others(ways, fault)}

    def do_unline(self, request: Message) -> Message:
        """End `fault`'s stages; which `others` stay on the same ways."""
        ways = self._stages.unset(request["fault"])
        self._apply(ways)
        return {"others": self._stages.others(ways, request["fault"])}

    def do_base(self, request: Message) -> None:
        """From now on every way has exactly this base: [[from, to, delay_us, jitter_us], …]."""
        changed = set(self._stages.unset(BASE))
        for source, destination, delay_us, jitter_us in request["ways"]:
            way = (source, destination)
            values = {"delay_us": delay_us, "jitter_us": jitter_us, "distribution": "normal"}
            made = stage(BASE, values, way)
            self._stages.set(way, Stage(**{**_values(made), "leased": False}))
            changed.add(way)
        self._apply(list(changed))

    def do_line_counters(self, request: Message) -> Message:
        """What was done on each way: {"ways": [{"from", "to", "packets", "dropped", …}]}; how
        often the helper ended by itself."""
        counted = self._rung.counters() if self._rung else {}
        return {
            "ways": [{"from": a, "to": b, **values} for (a, b), values in counted.items()],
            "helper": {
                "pid": self._nfqueue.pid,
                "ended": self._nfqueue.ended,
                "given_up": self._nfqueue.given_up,
            },
        }

    def tick(self) -> None:
        """The faults' stages stay."""
        if self._rung:
            self._rung.renew()

    def heal(self) -> None:
        """End every fault's stages; the base stays."""
        if ways := self._stages.unset_leased():
            self._apply(ways)

    def _apply(self, ways: list[Way]) -> None:
        if not ways:
            return
        if not self._tried:
            self._climb()
        if self._rung is None:
            raise RuntimeError("; ".join(f"{name}: {why}" for name, why in self._tried))
        self._rung.apply({way: self._stages.on(way) for way in ways})


def _ways(request: Message) -> list[Way]:
    return [(source, destination) for source, destination in request["ways"]]


def _values(made: Stage) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Stage.__dataclass_fields__}
