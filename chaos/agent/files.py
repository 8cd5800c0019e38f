"""Processes that may open no further file: their soft limit is lowered to what is open now.

Changing another process's limit takes its own user and group, or CAP_SYS_RESOURCE, which engines
may refuse: a child takes on the target's ids and does it (prlimit(2)). Standard library only.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaos.agent.proc import Process, called, each

Message = dict[str, Any]
Limits = tuple[int, int]  # soft, hard
Key = tuple[int, int]  # process id and start: a process for good


class Files:
    """Holds limits of open files low, each for the faults that asked for it."""

    def __init__(self) -> None:
        self._before: dict[Key, Limits] = {}
        self._held: dict[str, set[Key]] = {}  # fault → processes

    def do_starve(self, request: Message) -> Message:
        """Lower the limits of the processes called `process` (none: all) for `fault`.

        `starved`: [pid, name, soft limit before, soft limit now] of each that was lowered now;
        `others`: the other faults that had lowered some of them already.
        """
        chosen = called(request.get("process"))
        held = self._held.setdefault(request["fault"], set())
        wanted: dict[int, Limits] = {}
        names: dict[int, Process] = {}
        others: set[str] = set()
        for process in chosen:
            key = (process.pid, process.started)
            try:
                soft, hard = self._before.get(key) or limits_of(process.pid)
                first_free = _first_free(process.pid)
            except OSError:
                continue  # it ended
            self._before[key] = (soft, hard)
            held.add(key)
            holders = {fault for fault, keys in self._held.items() if key in keys}
            if holders - {request["fault"]}:
                others |= holders - {request["fault"]}
                continue  # as low as it can be
            wanted[process.pid] = (min(soft, first_free), hard)
            names[process.pid] = process
        set_limits(wanted)
        return {
            "starved": [
                [pid, names[pid].name, self._before[(pid, names[pid].started)][0], soft]
                for pid, (soft, _) in wanted.items()
            ],
            "others": sorted(others),
        }

    def do_feed(self, request: Message) -> Message:
        """End `fault`'s hold; `still`: the other faults that hold some of the same processes."""
        return {"still": self.feed(request["fault"])}

    def do_file_limits(self, request: Message) -> Message:
        """[pid, name, soft limit, open files, lowest number that is free] of each process, or of
        each called `process`: none where they have ended, of which a low limit may be the cause."""
        rows = []
        name = request.get("process")
        for process in called(None):
            if name is not None and not process.is_called(name):
                continue
            try:
                soft, _ = limits_of(process.pid)
                numbers = os.listdir(f"/proc/{process.pid}/fd")
                rows.append([process.pid, process.name, soft, len(numbers), _lowest(numbers)])
            except OSError:
                continue  # it ended
        return {"limits": rows}

    def feed(self, fault: str) -> list[str]:
        """Give the limits back that no other fault holds; the faults that hold some of them."""
        mine = self._held.pop(fault, set())
        others = {other: keys & mine for other, keys in self._held.items() if keys & mine}
        self._restore(mine - {key for keys in others.values() for key in keys})
        return sorted(others)

    def _restore(self, keys: set[Key]) -> None:
        """Give these processes back what they had, and what was born of them meanwhile too."""
        before = {key: limits for key in keys if (limits := self._before.pop(key, None))}
        if not before:
            return
        there = {p.pid: p for p in each() if p.state not in "ZX"}
        wanted: dict[int, Limits] = {}
        for process in there.values():
            limits = _inherited(process, there, before)
            if limits and (process.pid, process.started) not in self._before:
                wanted[process.pid] = limits
        set_limits(wanted)

    def tick(self) -> None:
        """Forget processes that have ended."""
        if self._before:
            living = {(p.pid, p.started) for p in each()}
            self._before = {k: v for k, v in self._before.items() if k in living}

    def heal(self) -> None:
        """Give every limit back."""
        self._held.clear()
        self._restore(set(self._before))

    def able(self) -> Message:
        """Whether it may take on other users' ids, as a child needs to."""
        return {"set_ids": all(_capable(number) for number in (6, 7))}  # CAP_SETGID, CAP_SETUID


def _inherited(
    process: Process, there: Mapping[int, Process], before: Mapping[Key, Limits]
) -> Limits | None:
    """The limits of the nearest of itself and its ancestors whose limits were lowered."""
    seen: Process | None = process
    for _ in range(64):
        if seen is None:
            return None
        if limits := before.get((seen.pid, seen.started)):
            return limits
        seen = there.get(seen.parent)
    return None


def limits_of(pid: int) -> Limits:
    """A process's limit of open files. OSError when it is gone."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        row = next(line for line in file if line.startswith("Max open files"))
    soft, hard = row.split()[3:5]
    return _limit(soft), _limit(hard)


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _first_free(pid: int) -> int:
    """The lowest file number that is free: with this as the limit nothing more can be opened."""
    return _lowest(os.listdir(f"/proc/{pid}/fd"))


def _lowest(numbers: Sequence[str]) -> int:
    taken = {int(number) for number in numbers}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def ids_of(pid: int) -> tuple[int, int]:
    """Real user and group of a process. OSError when it is gone."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        rows = {line.split(":")[0]: line.split() for line in file}
    return int(rows["Uid"][1]), int(rows["Gid"][1])


def set_limits(wanted: Mapping[int, Limits]) -> None:
    """Set the limits of open files of each process. OSError says which were refused, and why."""
    by_ids: dict[tuple[int, int], dict[int, Limits]] = {}
    for pid, limits in wanted.items():
        try:
            by_ids.setdefault(ids_of(pid), {})[pid] = limits
        except OSError:
            continue  # it ended
    refused: list[str] = []
    for (user, group), mine in by_ids.items():
        refused += as_user(user, group, functools.partial(_set_all, mine))
    if refused:
        raise OSError("; ".join(refused))


def _set_all(wanted: Mapping[int, Limits]) -> list[str]:
    refused = []
    for pid, limits in wanted.items():
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        except ProcessLookupError:
            continue
        except (OSError, ValueError) as error:
            refused.append(f"limit of process {pid}: {error}")
    return refused


def as_user(user: int, group: int, work: Callable[[], list[str]]) -> list[str]:
    """Do `work` in a child with these ids; the complaints it returns, or how it failed.

    The answer comes through a pipe: the agent buries all children at once, so that an exit code
    may be gone before it can be asked for.
    """
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(reading)
            if (os.getuid(), os.getgid()) != (user, group):
                os.setgroups([])
                os.setresgid(group, group, group)
                os.setresuid(user, user, user)
            said = work()
        except BaseException as error:
            said = [f"as user {user}: {type(error).__name__}: {error}"]
        try:
            os.write(writing, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    result: list[str] = json.loads(text) if text else ["a helper process ended too early"]
    return result


def _capable(number: int) -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        row = next(line for line in file if line.startswith("CapEff"))
    return bool(int(row.split()[1], 16) >> number & 1)
