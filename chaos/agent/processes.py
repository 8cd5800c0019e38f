"""The database's processes, as the agent kills, stops and counts them. Standard library only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from chaos.agent.cgroups import frozen
from chaos.agent.proc import Process, called, each, look, send, thread_states

# The program of a container runtime that will become the container's: stopped as it is, it would
# hold up the engine, which waits for it.
RUNTIMES = ("runc", "crun", "youki")
LOOK_EVERY_S = 0.01  # how long a process born into a stopped node runs at most
SETTLED_S = 1.0  # a process this old has become the program it will be

Message = dict[str, Any]


class Timers(Protocol):
    """What this part needs of the agent's loop."""

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` once, that much later."""


class Processes:
    """Kills, stops and counts processes. A stop is held by the faults that asked for it."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._stops: dict[str, str | None] = {}  # fault → name of the processes; None: all
        self._settled: set[int] = set()  # processes that need no second look
        self._born: dict[int, float] = {}  # the others → when first seen
        self._looking = False

    def do_kill(self, request: Message) -> Message:
        """SIGKILL every process, or those called `process`; the numbers of those there were."""
        return {"killed": self.kill(request.get("process"))}

    def do_stop(self, request: Message) -> Message:
        """SIGSTOP every process, or those called `process`, for `fault`."""
        return {"stopped": self.stop(request["fault"], request.get("process"))}

    def do_resume(self, request: Message) -> Message:
        """End `fault`'s stop; `still`: the other faults that hold any of its processes."""
        return {"still": self.resume(request["fault"])}

    def do_processes(self, request: Message) -> Message:
        """Number, name and state of every process; of those called `process` if that is given."""
        name = request.get("process")
        chosen = [p for p in each() if name is None or p.is_called(name)]
        return {"processes": [[p.pid, p.name, p.state] for p in chosen]}

    def do_named(self, request: Message) -> Message:
        """The names of the living processes called `process`; an error that lists the others."""
        return {"names": sorted({p.name for p in called(request["process"])})}

    def sample(self) -> Message:
        """CPU time and memory of the database's processes."""
        processes = list(each())
        return {
            "cpu_s": sum(p.cpu_s for p in processes),
            "mem_bytes": sum(p.resident_bytes for p in processes),
        }

    def tick(self) -> None:
        """Look again at processes thought settled: one may have become another program."""
        self._settled.clear()

    def able(self) -> Message:
        """Always: signals need no more than sharing the namespace."""
        return {}

    @staticmethod
    def kill(name: str | None = None) -> list[int]:
        """SIGKILL them, again until none of them is left; which there were.

        Of a whole node whatever is born meanwhile is killed too; of one process by name only what
        was there: a supervisor may start it again at once, and that is for the experiment to see.
        """
        chosen = [p for p in each() if name is None or p.is_called(name)]
        killed: set[tuple[int, int]] = set()
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            alive = [p for p in chosen if p.state not in "ZX"]
            if not alive:
                return sorted(pid for pid, _ in killed)
            for process in alive:
                send(process.pid, signal.SIGKILL)
                killed.add((process.pid, process.started))
            time.sleep(0.0005)
            chosen = [p for p in each() if name is None or (p.pid, p.started) in killed]
        raise RuntimeError(f"{len(alive)} processes outlived SIGKILL for 5 s")

    @staticmethod
    def halt(within_s: float = 0.05) -> bool:
        """SIGSTOP them all, who will be killed next; whether no thread runs any more.

        A thread in the middle of a system call (D) stops before it returns to its program.
        """
        end = time.monotonic() + within_s
        while True:
            for process in each():
                if process.state not in "TtZX":
                    send(process.pid, signal.SIGSTOP)
            if not any(set(thread_states(process.pid)) - set("TtDZX") for process in each()):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.0002)

    def stop(self, fault: str, name: str | None = None) -> int:
        """SIGSTOP them until every one is stopped; how many. Later ones are stopped when born."""
        self._stops[fault] = name
        self._watch()
        deadline = time.monotonic() + 2.0
        thaws_at = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            running = [p for p in self._chosen(name) if p.state not in "TtZX"]
            if time.monotonic() > thaws_at:  # the frozen will stop when they thaw
                running = [p for p in running if not frozen(p.pid)]
            if not running:
                return sum(1 for p in self._chosen(name) if p.state in "Tt")
            for process in running:
                send(process.pid, signal.SIGSTOP)
            time.sleep(0.0005)
        raise RuntimeError(f"{len(running)} processes still run after SIGSTOP")

    @staticmethod
    def _chosen(name: str | None) -> Iterator[Process]:
        return (p for p in each() if (name is None or p.is_called(name))
                and not p.name.startswith(RUNTIMES))  # fmt: skip

    def resume(self, fault: str) -> list[str]:
        """SIGCONT those that no other fault holds; the faults that hold some of the others."""
        if fault not in self._stops:
            return []
        name = self._stops.pop(fault)
        still = set()
        for process in self._chosen(name):
            if holders := self._holders(process):
                still.update(holders)
            elif process.state not in "ZX":  # also a stop that is pending on a frozen process
                send(process.pid, signal.SIGCONT)
        return sorted(still)

    def _holders(self, process: Process) -> list[str]:
        if process.name.startswith(RUNTIMES):
            return []
        stops = self._stops.items()
        return [fault for fault, name in stops if name is None or process.is_called(name)]

    def _watch(self) -> None:
        if not self._looking:
            self._looking = True
            self._settled.clear()
            self._born.clear()
            self._timers.after(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """Stop what was born since: only new processes are looked at, so that it costs little."""
        if not self._stops:
            self._looking = False
            return
        now = time.monotonic()
        there = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()} - {1}
        self._settled &= there
        for pid in there - self._settled:
            process = look(pid)
            if process is not None and process.state not in "TtZX" and self._holders(process):
                send(pid, signal.SIGSTOP)
            if now - self._born.setdefault(pid, now) > SETTLED_S:
                self._settled.add(pid)
        self._born = {pid: since for pid, since in self._born.items() if pid in there}
        self._timers.after(LOOK_EVERY_S, self._look)

    def heal(self) -> None:
        """Let everything run."""
        self._stops.clear()
        for process in each():
            if process.state in "Tt":
                send(process.pid, signal.SIGCONT)
