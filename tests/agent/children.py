"""Real processes to signal and limit: children of the test, and nothing else, are the pod."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chaos.agent import proc
from chaos.agent.proc import Process

SLEEPER = "import sys, time\nprint('up', flush=True)\ntime.sleep(60)\n"


class Pod:
    """Children that sleep, each under a name of its own; what the agent's parts would find."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.names = list(names)
        self.processes: list[subprocess.Popen[str]] = []
        for name in names:
            program = folder / name
            if not program.exists():
                program.symlink_to(sys.executable)
            self.add(program)

    def add(self, program: Path) -> subprocess.Popen[str]:
        """Start one more."""
        process = subprocess.Popen(
            [str(program), "-S", "-c", SLEEPER], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        process.stdout.readline()
        self.processes.append(process)
        return process

    def each(self) -> Iterator[Process]:
        """As chaos.agent.proc.each: these only."""
        for process in self.processes:
            if seen := self.look(process.pid):
                yield seen

    def look(self, pid: int) -> Process | None:
        """As chaos.agent.proc.look: None for all but these."""
        return self.see(pid) if pid in [p.pid for p in self.processes] else None

    @staticmethod
    def see(pid: int) -> Process | None:
        """Any process of the test's own making."""
        ours, proc._OUR_FILES = proc._OUR_FILES, ""
        try:
            return proc.look(pid)
        finally:
            proc._OUR_FILES = ours

    def called(self, name: str | None) -> list[Process]:
        """As chaos.agent.proc.called."""
        return [p for p in self.each() if p.state not in "ZX" and (not name or p.is_called(name))]

    def state(self, index: int) -> str:
        """The kernel's letter for the process."""
        seen = self.look(self.processes[index].pid)
        return seen.state if seen else ""

    def end(self) -> None:
        """Kill and bury them."""
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


class Timers:
    """Timers that ring when told to, as the agent's loop would ring them."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        self.waiting.append(function)

    def ring(self) -> None:
        now, self.waiting = self.waiting, []
        for function in now:
            function()
