"""Links by NFQUEUE: the kernel holds packets, a small compiled helper says when they go on.

The helper is a child of the agent, with one queue for each directed way. Rules of a chain of our
own, called from mangle's INPUT, send a way's packets to its queue; they are passed by when nobody
reads the queue, so that a dead helper means no delay rather than no network. mangle comes after the
table of chaos/agent/firewall.py (priority -150 after -200): what that drops never gets here. Part
of the agent: standard library only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from chaos.agent.line_helper import PROGRAM, Helper
from chaos.agent.stages import Stage, Way
from chaos.agent.tools import run

CHAIN = "AFTERSHOCK-LINE"
AGAIN_S = 0.02  # how soon a helper that ended is started again
STARTS_MAX, STARTS_WITHIN_S = 10, 60.0  # and how often
LEASE_S = 10.0  # the helper's own: LEASE_NS in line.c
# nft first: the legacy one leaves an empty mangle table behind wherever it has only looked.
VARIANTS = ("iptables-nft-restore", "iptables-legacy-restore")


@dataclass(slots=True)
class _Queue:
    number: int
    made: bool = False
    has: dict[str, Stage] = field(default_factory=dict)  # stages by name, as the helper has them


class Nfqueue:
    """Brings ways to the stages they should have; the helper runs while any way has some."""

    name = "nfqueue"

    def __init__(self, loop: Any) -> None:
        self._loop = loop  # chaos.agent.agent.Loop
        self._restore = ""
        self._own_table = False
        self._wanted: dict[Way, list[Stage]] = {}
        self._queues: dict[Way, _Queue] = {}
        self._ruled: set[Way] = set()
        self._helper: Helper | None = None
        self._started: deque[float] = deque(maxlen=STARTS_MAX)
        self._renewed = 0.0
        self.ended = 0  # how often the helper ended by itself
        self.given_up = ""  # why it is not started again

    @property
    def pid(self) -> int | None:
        """The helper's, while it runs."""
        return self._helper.pid if self._helper else None

    def why_not(self) -> str:
        """Try it: a rule that nothing leads to, and a queue. "" when both work."""
        try:
            run([PROGRAM, "--check"])
            self._restore = self._restore or _variant()
        except RuntimeError as error:
            return str(error)
        return ""

    def apply(self, wanted: Mapping[Way, Sequence[Stage]]) -> None:
        """Bring each way to these stages, in order; none: as if nothing had ever been there.

        RuntimeError when the kernel or the helper refuses; a further call tries again.
        """
        for way, stages in wanted.items():
            if stages:
                self._wanted[way] = list(stages)
            else:
                self._wanted.pop(way, None)
        self.given_up = ""
        self._sync(wanted)

    def renew(self) -> None:
        """The faults' stages stay for another lease; after too long a silence they are set anew."""
        if self._helper is None:
            return
        if self._renewed and time.monotonic() - self._renewed > LEASE_S - 1:
            for queue in self._queues.values():
                queue.has.clear()
            self._sync(self._wanted)
        self._helper.ask(["renew"])
        self._renewed = time.monotonic()

    def counters(self) -> dict[Way, dict[str, Any]]:
        """What was done on each way since its queue was made."""
        if self._helper is None:
            return {}
        queues = self._helper.ask(["counters"])[0]["queues"]
        return {
            w: queues[str(q.number)] for w, q in self._queues.items() if str(q.number) in queues
        }

    def _sync(self, ways: Iterable[Way]) -> None:
        if self._wanted and self._helper is None:
            self._start()
        if self._helper is None:
            return
        lines = []
        for way in ways:
            lines += self._changes(way)
        self._helper.ask(lines)
        if set(self._wanted) != self._ruled:
            self._rule(self._wanted)
        unused = [way for way in self._queues if way not in self._wanted]
        self._helper.ask([f"close {self._queues.pop(way).number}" for way in unused])
        if not self._wanted:
            self._helper.stop()
            self._helper = None

    def _start(self) -> None:
        if not self._restore and (why := self.why_not()):
            raise RuntimeError(why)
        self._started.append(time.monotonic())
        self._renewed = time.monotonic()
        for queue in self._queues.values():
            queue.made = False
            queue.has.clear()
        self._helper = Helper(self._loop, self._again)

    def _again(self) -> None:
        """The helper ended by itself: packets pass untouched until the next one runs."""
        self._helper = None
        self.ended += 1
        often = len(self._started) == STARTS_MAX
        if often and time.monotonic() - self._started[0] < STARTS_WITHIN_S:
            self.given_up = f"it ended {STARTS_MAX} times within {STARTS_WITHIN_S:g} s"
            return
        self._loop.after(AGAIN_S, self._resume)

    def _resume(self) -> None:
        try:
            self._sync(list(self._wanted))
        except RuntimeError as error:
            self.given_up = str(error)

    def _changes(self, way: Way) -> list[str]:
        """Commands that bring the way's queue to its stages."""
        stages = self._wanted.get(way, [])
        queue = self._queues.get(way)
        if queue is None:
            if not stages:
                return []
            used = {q.number for q in self._queues.values()}
            queue = _Queue(next(n for n in range(65535) if n not in used))
            self._queues[way] = queue
        n, wanted = queue.number, {stage.name: stage for stage in stages}
        lines = [] if queue.made else [f"queue {n}"]
        lines += [f"unstage {n} {name}" for name in queue.has if name not in wanted]
        lines += [command(n, stage) for stage in stages if queue.has.get(stage.name) != stage]
        queue.made, queue.has = True, wanted
        return lines

    def _rule(self, ways: Iterable[Way]) -> None:
        """Write our chain anew, in one transaction; without ways, leave nothing behind."""
        ways = list(ways)
        nft = self._restore == VARIANTS[0]
        if not self._ruled and nft:
            self._own_table = not _has_table()
        run([self._restore, "--noflush"], rules({w: self._queues[w].number for w in ways},
                                                called=bool(self._ruled)))  # fmt: skip
        self._ruled = set(ways)
        if not ways and self._own_table:
            _drop_table()


def rules(numbers: Mapping[Way, int], *, called: bool) -> str:
    """Input for iptables-restore: our chain, and the call of it that is there already or not."""
    call = f"INPUT ! -i lo -j {CHAIN}"
    lines = ["*mangle", f":{CHAIN} - [0:0]"]  # makes the chain, or empties it
    if numbers and not called:
        lines.append(f"-A {call}")
    for (source, destination), number in numbers.items():
        lines.append(
            f"-A {CHAIN} -s {source} -d {destination} "
            f"-j NFQUEUE --queue-num {number} --queue-bypass"
        )
    if not numbers:
        lines += [f"-D {call}"] * called + [f"-X {CHAIN}"]
    return "\n".join([*lines, "COMMIT", ""])


def command(number: int, stage: Stage) -> str:
    """The helper's command for a stage: what differs from nothing."""
    words = [f"stage {number} {stage.name}"]
    for each in fields(stage):
        value = getattr(stage, each.name)
        if each.name != "name" and value != (False if each.name == "leased" else each.default):
            words.append(f"{each.name}={int(value) if isinstance(value, bool) else value}")
    return " ".join(words)


def _variant() -> str:
    """The first iptables whose kernel side takes the target; RuntimeError says why none does."""
    attempt = rules({("0.0.0.0", "0.0.0.0"): 65535}, called=True)
    said = []
    for variant in VARIANTS:
        own = variant == VARIANTS[0] and not _has_table()
        try:
            run([variant, "--noflush"], attempt)
            run([variant, "--noflush"], rules({}, called=False))
            return variant
        except RuntimeError as error:
            said.append(str(error))
        finally:
            if own:
                _drop_table()
    raise RuntimeError("; ".join(said))


def _has_table() -> bool:
    try:
        run(["nft", "list", "table", "ip", "mangle"])
    except RuntimeError:
        return False
    return True


def _drop_table() -> None:
    """Remove the mangle table that iptables made for us; there may be none."""
    try:
        run(["nft", "delete", "table", "ip", "mangle"])
    except RuntimeError:
        pass
