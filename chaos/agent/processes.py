"""The database's processes, as the agent sees and signals them. Standard library only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the pod; `state` is the kernel's letter (R, S, D, T, Z, …)."""

    pid: int
    name: str
    state: str
    cpu_s: float
    resident_bytes: int


class Processes:
    """The database's processes: everything in this PID namespace but the agent."""

    def __init__(self) -> None:
        self._stopped_by: set[str] = set()

    def do_kill(self, request: dict[str, Any]) -> dict[str, Any]:
        """SIGKILL every database process."""
        return {"killed": self.kill()}

    def do_stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """SIGSTOP every database process for `fault`."""
        return {"stopped": self.stop(request["fault"])}

    def do_resume(self, request: dict[str, Any]) -> None:
        """End `fault`'s stop."""
        self.resume(request["fault"])

    def do_processes(self, request: dict[str, Any]) -> dict[str, Any]:
        """Name and state of every database process."""
        return {"processes": [[p.pid, p.name, p.state] for p in self.each()]}

    def sample(self) -> dict[str, Any]:
        """CPU time and memory of the database's processes."""
        processes = list(self.each())
        return {
            "cpu_s": sum(p.cpu_s for p in processes),
            "mem_bytes": sum(p.resident_bytes for p in processes),
        }

    def tick(self) -> None:
        """Nothing to renew."""

    def able(self) -> dict[str, Any]:
        """Always: signals need no more than sharing the namespace."""
        return {}

    @staticmethod
    def each() -> Iterator[Process]:
        """Every process but the agent."""
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or entry == "1":
                continue
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    head, _, tail = file.read().decode(errors="replace").rpartition(")")
            except OSError:
                continue  # it ended meanwhile
            rest = tail.split()
            yield Process(
                pid=int(entry),
                name=head.partition("(")[2],
                state=rest[0],
                cpu_s=(int(rest[11]) + int(rest[12])) / TICKS_PER_S,
                resident_bytes=int(rest[21]) * PAGE_BYTES,
            )

    def kill(self) -> int:
        """SIGKILL them all, again until none is left; how many there were."""
        killed: set[int] = set()
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            alive = [p.pid for p in self.each() if p.state not in "ZX"]
            if not alive:
                return len(killed)
            for pid in alive:
                _signal(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.0005)
        raise RuntimeError(f"{len(alive)} processes outlived SIGKILL for 5 s")

    def stop(self, fault: str) -> int:
        """SIGSTOP them all until every one is stopped; how many. Children born meanwhile too."""
        self._stopped_by.add(fault)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            running = [p.pid for p in self.each() if p.state not in "TtZX"]
            if not running:
                return sum(1 for p in self.each() if p.state in "Tt")
            for pid in running:
                _signal(pid, signal.SIGSTOP)
            time.sleep(0.0005)
        raise RuntimeError(f"{len(running)} processes still run after SIGSTOP")

    def resume(self, fault: str) -> None:
        """SIGCONT them all, unless another fault holds them."""
        self._stopped_by.discard(fault)
        if not self._stopped_by:
            for process in self.each():
                if process.state in "Tt":
                    _signal(process.pid, signal.SIGCONT)

    def heal(self) -> None:
        """Let everything run."""
        self._stopped_by.clear()
        self.resume("")


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
