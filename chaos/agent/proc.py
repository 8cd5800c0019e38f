"""The processes of the pod as the kernel shows them in /proc. Standard library only."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NAME_BYTES = 15  # the kernel cuts a process's name there


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the pod; `state` is the kernel's letter (R, S, D, T, Z, …)."""

    pid: int
    parent: int
    name: str
    state: str
    cpu_s: float
    resident_bytes: int
    started: int  # in clock ticks since boot: with `pid` it names a process for good

    def is_called(self, name: str) -> bool:
        """Whether `name` is the kernel's name for it, or the program in its command line."""
        return self.name == name[:NAME_BYTES] or (len(name) > 0 and self.program() == name)

    def program(self) -> str:
        """The basename of the first word of its command line; "" when it has none.

        A server may rewrite that line (`redis-server *:6379`), so its first word is taken.
        """
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                words = file.read(4096).split(b"\0")[0].decode(errors="replace").split()
        except OSError:
            return ""
        return os.path.basename(words[0]).rstrip(":") if words else ""


def each() -> Iterator[Process]:
    """Every process of the pod that is not the agent's own."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry != "1" and (process := look(int(entry))):
            yield process


def thread_states(pid: int) -> str:
    """The kernel's letter for each thread of a process; "" when it is gone."""
    states = ""
    for path in glob.iglob(f"/proc/{pid}/task/*/stat"):
        try:
            with open(path, "rb") as file:
                states += file.read().rpartition(b")")[2].split()[0].decode()
        except OSError:
            continue  # it ended meanwhile
    return states


def look(pid: int) -> Process | None:
    """The process, or None when it is gone or the agent's own."""
    if _is_ours(pid):
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().decode(errors="replace").rpartition(")")
    except OSError:
        return None
    rest = tail.split()
    return Process(
        pid=pid,
        parent=int(rest[1]),
        name=head.partition("(")[2],
        state=rest[0],
        cpu_s=(int(rest[11]) + int(rest[12])) / TICKS_PER_S,
        resident_bytes=int(rest[21]) * PAGE_BYTES,
        started=int(rest[19]),
    )


def called(name: str | None) -> list[Process]:
    """The living processes of that name; all of them for None. ValueError when there is none."""
    living = [p for p in each() if p.state not in "ZX"]
    if name is None:
        return living
    found = [p for p in living if p.is_called(name)]
    if not found:
        there = ", ".join(sorted({p.name for p in living})) or "none"
        raise ValueError(f"no process `{name}`; there are: {there}")
    return found


def _is_ours(pid: int) -> bool:
    """The agent's helpers are its children or share its files; no database's process does."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == _OUR_FILES
    except OSError:
        return False  # a zombie, or gone: whoever reads its state will see


_OUR_FILES = os.readlink("/proc/self/ns/mnt")


def send(pid: int, number: int) -> None:
    """Send signal `number` to a process, which may have ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
