"""Shifts the clock of every process of the pod but the agent's own. Standard library only.

How a process's clock is shifted: chaos/agent/vdso.py. While any fault lasts, new processes are
found within some milliseconds: one that was forked has its parent's shift already, one that has
just executed a program starts with the true time. What was shifted is shifted back by writing the
kernel's own bytes, and that is read back.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from chaos.agent.clock_trial import trial
from chaos.agent.ladder import ladder
from chaos.agent.proc import look
from chaos.agent.shifts import SECOND_NS, Shift, as_block, total, utc_offset_ns
from chaos.agent.threads import Threads
from chaos.agent.vdso import Busy, Target, Unsupported, Vdso, auxv

POLL_S = 0.002
YOUNG_S = 1.0  # by then a process has become the program it will be
AGAIN_S = 0.5  # between two tries to take the stub out of a process whose threads are in it
READY_S = 5.0  # how long a stub that adds nothing waits for its fault
LEAP_AHEAD_NS = 5_000_000  # a leap this near is left to the next second
HOST_MOVED_NS = 1_000_000  # the host's own clock was set: begin to count anew
BEFORE_EPOCH = "the clock would stand before 1970"
RUNTIMES = ("runc:", "crun", "youki")  # a container's start, not yet its program

Message = dict[str, Any]


class Timers(Protocol):
    """What this part needs of the agent's loop."""

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` once, that much later."""


class Clocks:
    """The pod's clock faults, added up and told to every process."""

    def __init__(self, timers: Timers, is_meant: Callable[[int], bool] | None = None) -> None:
        """`is_meant(pid)`: whether a process is one of the database's, and may be changed."""
        self._timers = timers
        self._is_meant = is_meant or is_database
        self._vdso: Vdso | None = None
        self._poke = False
        self._threads = Threads()
        self._shifts: dict[str, Shift] = {}
        self._targets: dict[int, Target] = {}
        self._failed: dict[int, str] = {}  # process → why it is not as it should be
        self._block = b""
        self._utc_ns = 0  # UTC minus monotonic, when the block was made
        self._ready: dict[str, float] = {}  # fault that will come → until when to wait for it
        self._touched = False  # whether any process may have another vDSO than the kernel's
        self._polling = False
        self._again_at = 0.0
        self._births = Births()

    def do_clock_ready(self, request: Message) -> Message:
        """Put the stub in, adding nothing yet: `fault` comes soon and shall be there at once."""
        self._able_or_raise()
        self._ready[request["fault"]] = time.monotonic() + READY_S
        self._tell()
        return self._said()

    def do_clock(self, request: Message) -> Message:
        """Add `fault`, whose `shift` is {"kind", "start_ns", …} (chaos/agent/shifts.py).

        The answer has the shift as it holds: a leap's `start_ns` is the next whole second.
        """
        self._able_or_raise()
        shift = Shift(**request["shift"])
        if shift.kind == "leap":
            shift = self._next_leap(shift)
        self._add(request["fault"], shift)
        self._ready.pop(request["fault"], None)
        return {**self._said(), "shift": shift.plain()}

    def do_clock_end(self, request: Message) -> Message:
        """End `fault`. With the last one every process has the kernel's own bytes again."""
        self._shifts.pop(request["fault"], None)
        self._ready.pop(request["fault"], None)
        if self._touched:
            self._tell()
        return self._said()

    def do_clocks(self, request: Message) -> Message:
        """What is added by which fault now, and in how many processes."""
        return {**self._said(), "shifts": {id: s.plain() for id, s in self._shifts.items()}}

    def tick(self) -> None:
        """Look closely at every process, and whether the host's clock was set meanwhile."""
        if not self._shifts:
            return
        if abs(utc_offset_ns() - self._utc_ns) > HOST_MOVED_NS:
            self._tell()
        else:
            self._look(closely=True)

    def heal(self) -> None:
        """Give every process its true clock."""
        self._shifts.clear()
        self._ready.clear()
        if self._touched:
            self._tell()

    def able(self) -> Message:
        """Whether clocks can be shifted here: tried on a process of our own."""
        tried = []
        for rung, poke in (("proc-mem", False), ("ptrace", True)):
            try:
                why = trial(self._own_vdso(), self._threads, poke=poke)
            except Unsupported as error:
                why = str(error)
            tried.append((rung, why))
            if not why:
                self._poke = poke
                break
        return {"ladders": {"clock": ladder(*tried)}}

    def _own_vdso(self) -> Vdso:
        if self._vdso is None:
            self._vdso = Vdso.own()
        return self._vdso

    def _able_or_raise(self) -> None:
        try:
            self._own_vdso()
        except Unsupported as error:
            raise RuntimeError(f"clocks cannot be shifted here: {error}") from None

    def _next_leap(self, shift: Shift) -> Shift:
        """At the next whole second of the clock as the node shows it."""
        now = time.monotonic_ns() + LEAP_AHEAD_NS
        shown = now + utc_offset_ns() + total(self._shifts.values(), now)
        return Shift(kind="leap", start_ns=now + -shown % SECOND_NS)

    def _add(self, fault: str, shift: Shift) -> None:
        before = dict(self._shifts)
        self._shifts[fault] = shift
        try:
            now = time.monotonic_ns()
            lowest = sum(-abs(s.by_ns) for s in self._shifts.values())
            if now + utc_offset_ns() + lowest < 0:
                raise ValueError(BEFORE_EPOCH)
            self._tell()
        except ValueError:  # too many, or too far: the others go on as they were
            self._shifts = before
            self._tell()
            raise

    def _wanted(self) -> bool:
        return bool(self._shifts) or time.monotonic() < max(self._ready.values(), default=0.0)

    def _tell(self) -> None:
        """Make every process show what the faults add up to now."""
        self._utc_ns = utc_offset_ns()
        self._block = as_block(self._shifts.values(), self._utc_ns)
        for target in list(self._targets.values()):
            self._try(target.pid, functools.partial(target.update, self._block))
        if self._wanted():
            self._look(closely=True)
        else:
            self._restore()
        self._poll_soon()

    def _poll_soon(self) -> None:
        seized = self._threads.let_go()
        if not self._polling and (self._wanted() or self._touched or seized):
            self._polling = True
            self._timers.after(POLL_S, self._poll)

    def _poll(self) -> None:
        self._polling = False
        if self._wanted():
            self._look()
        elif self._touched and time.monotonic() > self._again_at:
            self._restore()
        self._poll_soon()

    def _look(self, closely: bool = False) -> None:
        """Shift the clocks of processes that are new, or execute another program now.

        That a program has ended is known by one read of its memory. Only the child of a vfork can
        hide from that: until its exec it has its parent's. So the young are looked at closely.
        """
        now = time.monotonic()
        if closely or self._births.lately(now):
            there = processes()
            for pid in (self._targets.keys() | self._failed.keys()) - there:
                self._forget(pid)
            for pid in there - self._targets.keys():
                self._try(pid, functools.partial(self._shift, pid))
        for pid, target in list(self._targets.items()):
            young = closely or now - target.since < YOUNG_S
            if target.gone() or (young and not target.same_program()):
                self._births.stir(now)  # an exec takes a moment until its vDSO is there
                self._try(pid, functools.partial(self._shift, pid))
        if closely:
            for pid in list(self._failed):
                self._try(pid, functools.partial(self._shift, pid))

    def _shift(self, pid: int) -> None:
        self._forget(pid)
        if not self._is_meant(pid) or not auxv(pid):
            return  # not ours to touch, or a zombie
        target = Target(pid, self._own_vdso(), self._threads, poke=self._poke)
        self._targets[pid] = target
        if target.is_shifted():  # its parent was, when it was forked
            target.update(self._block)
        elif target.is_true():
            self._touched = True
            target.install(self._block)
        else:
            raise Unsupported("its vDSO was changed by somebody else")

    def _restore(self) -> None:
        """Give back the kernel's bytes, also to children that were forked meanwhile."""
        seen: set[int] = set()
        while new := processes() - seen:
            seen |= new
            for pid in new:
                self._try(pid, functools.partial(self._unshift, pid))
        for pid in (self._targets.keys() | self._failed.keys()) - seen:
            self._forget(pid)
        self._touched = bool(self._targets)
        self._again_at = time.monotonic() + AGAIN_S  # not sooner: it stops threads

    def _unshift(self, pid: int) -> None:
        target = self._targets.get(pid)
        if target is None or target.gone() or not target.same_program():
            self._forget(pid)
            if not self._is_meant(pid):
                return
            try:
                target = Target(pid, self._own_vdso(), self._threads, poke=self._poke)
            except Unsupported:
                return  # a zombie, or a program that we could not have changed
            self._targets[pid] = target
        if not target.is_true():
            target.remove()
        self._forget(pid)

    def _try(self, pid: int, work: Callable[[], None]) -> None:
        """Do it; a process that has ended is forgotten, any other failure is kept to be told."""
        try:
            work()
        except (ProcessLookupError, FileNotFoundError):
            self._forget(pid)
        except (OSError, Unsupported, Busy, TimeoutError) as error:
            self._failed[pid] = str(error)

    def _forget(self, pid: int) -> None:
        self._failed.pop(pid, None)
        if target := self._targets.pop(pid, None):
            target.close()

    def _said(self) -> Message:
        shifted = sum(pid not in self._failed for pid in self._targets)
        return {"shifted": shifted, "failed": [f"{pid}: {w}" for pid, w in self._failed.items()]}


class Births:
    """Whether any process was born lately: the number that the kernel gave last tells."""

    def __init__(self) -> None:
        self._file = -1
        self._last = b""
        self._until = 0.0

    def lately(self, now: float) -> bool:
        """Whether one was, up to YOUNG_S before `now` (monotonic seconds)."""
        if self._file < 0:
            self._file = os.open("/proc/loadavg", os.O_RDONLY)
        last = os.pread(self._file, 128, 0).rpartition(b" ")[2]
        if last != self._last:
            self._last, self._until = last, now + YOUNG_S
        return now < self._until

    def stir(self, now: float) -> None:
        """As if one had been born."""
        self._until = now + YOUNG_S


def processes() -> set[int]:
    """The numbers of all processes of this PID namespace but its first, which is the agent."""
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()} - {1}


def is_database(pid: int) -> bool:
    """Whether a process is the database's: neither the agent's own nor a container's start."""
    process = look(pid)
    return process is not None and not process.name.startswith(RUNTIMES)
