"""Other load on a node's CPU: burners that take an asked share of one core from the database.

While a share is taken, the database's processes are confined to one core, and a burner beside them
uses that share of it: a child of the agent, whose container weighs more than the database's, so
that the database runs when the burner sleeps. Nothing limits the database but that somebody else is
running. Burners die with the agent and by themselves after their time. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

from chaos.agent.files import as_user, ids_of
from chaos.agent.proc import TICKS_PER_S, called, each, send

PERIOD_S = 0.02  # a share of 0.7 burns 14 ms, then sleeps 6 ms
BEHIND_S_MAX = 0.1  # a burner that was held up makes up for no more than this
SPIN = 2000  # rounds of an empty loop between two looks at the clock: some 30 µs
PR_SET_PDEATHSIG = 1

Message = dict[str, Any]


class Hogs:
    """One burner for each fault; the database confined to the core of the first."""

    def __init__(self) -> None:
        self._burners: dict[str, tuple[int, float, int]] = {}  # fault → pid, share, core
        self._before: dict[int, set[int]] = {}  # process or thread → cores it could use

    def do_burn(self, request: Message) -> Message:
        """Take `share` (0…1) of one core for `fault`, at most `for_s` seconds.

        `core` counts the cores of this pod from 0, over and over; a second fault on the same node
        takes the core of the first. With several, the largest share is what is taken.
        """
        cores = sorted(os.sched_getaffinity(0))
        core = cores[request["core"] % len(cores)]
        if self._burners:
            core = next(iter(self._burners.values()))[2]
        self._stop(request["fault"])
        self._burners[request["fault"]] = (0, float(request["share"]), core)
        self._confine(core)
        self._rearrange(float(request["for_s"]))
        return {"core": core}

    def do_spare(self, request: Message) -> Message:
        """End `fault`'s burner; `still`: the faults that burn on."""
        self.spare(request["fault"])
        return {"still": sorted(self._burners)}

    def do_burning(self, request: Message) -> Message:
        """CPU and waiting times in seconds: `burned_s` of the burners, and of the database's.

        `ran_s` and `waited_s` are summed over the database's threads; `cores` is what its processes
        may use, as the kernel says, of `all_cores`, and `idle_s` how long those did nothing. Times
        are from /proc/PID/schedstat and /proc/stat.
        """
        ran = waited = 0.0
        cores: set[int] = set()
        for process in each():
            for thread in _threads(process.pid):
                on, off = _schedstat(f"/proc/{process.pid}/task/{thread}/schedstat")
                ran, waited = ran + on, waited + off
            cores |= _cores(process.pid)
        burned = sum(_schedstat(f"/proc/{pid}/schedstat")[0] for pid, *_ in self._running())
        return {
            "burned_s": burned,
            "ran_s": ran,
            "waited_s": waited,
            "idle_s": _idle_s(cores),
            "cores": sorted(cores),
            "all_cores": sorted(os.sched_getaffinity(0)),
        }

    def spare(self, fault: str) -> None:
        """End one burner; the last one frees the database's processes."""
        self._stop(fault)
        if self._burners:
            self._rearrange(60.0)
        else:
            self._free()

    def _stop(self, fault: str) -> None:
        pid, _, _ = self._burners.pop(fault, (0, 0.0, 0))
        if pid:
            send(pid, signal.SIGKILL)

    def _running(self) -> list[tuple[int, float, int]]:
        return [burner for burner in self._burners.values() if burner[0]]

    def _rearrange(self, for_s: float) -> None:
        """Let only the burner with the largest share run."""
        winner = max(self._burners, key=lambda fault: self._burners[fault][1])
        for fault, (pid, share, core) in list(self._burners.items()):
            if pid and fault != winner:
                send(pid, signal.SIGKILL)
                self._burners[fault] = (0, share, core)
            elif not pid and fault == winner:
                self._burners[fault] = (_start(share, core, for_s), share, core)

    def _confine(self, core: int) -> None:
        """Confine every thread of the database to the core; new processes are found by `tick`."""
        for process in called(None):
            wanted = [t for t in _threads(process.pid) if _affinity(t) not in (None, {core})]
            if not wanted:
                continue
            for thread in wanted:
                self._before.setdefault(thread, _affinity(thread) or set())
            refused = as_owner(process.pid, {thread: {core} for thread in wanted})
            if refused:
                raise OSError("; ".join(refused))

    def _free(self) -> None:
        """Give back the cores. What was born meanwhile gets those of any other."""
        if not self._before:
            return
        anyone = set.union(*self._before.values())
        for process in called(None):
            as_owner(process.pid, {t: self._before.get(t) or anyone for t in _threads(process.pid)})
        self._before.clear()

    def tick(self) -> None:
        """Confine what was born since."""
        if self._burners:
            self._confine(next(iter(self._burners.values()))[2])

    def heal(self) -> None:
        """End every burner."""
        for fault in list(self._burners):
            self._stop(fault)
        self._free()

    def able(self) -> Message:
        """Whether the kernel says how long processes waited for a CPU."""
        return {"schedstat": os.path.exists("/proc/self/schedstat")}


def _start(share: float, core: int, for_s: float) -> int:
    """Start a burner; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(0, 1 << 20)  # the agent's connections are not ours to hold
        os.sched_setaffinity(0, {core})
        os.nice(5)  # behind the agent, which shares its container's weight
        _burn(share, for_s)
    finally:
        os._exit(0)


def _burn(share: float, for_s: float) -> None:
    """Use `share` of this core until the time is over: a burst, then sleep until it is paid for."""
    began = time.monotonic()
    paid = -time.process_time()
    while (elapsed := time.monotonic() - began) < for_s:
        ahead = time.process_time() + paid - share * elapsed
        if ahead > 0:
            time.sleep(ahead / share)
            continue
        paid += max(0.0, -ahead - BEHIND_S_MAX)
        end = time.process_time() + share * PERIOD_S
        while time.process_time() < end:
            for _ in range(SPIN):
                pass


def as_owner(pid: int, wanted: dict[int, set[int]]) -> list[str]:
    """Set the cores of threads of a process, as its own user; what was refused."""
    try:
        user, group = ids_of(pid)
    except OSError:
        return []  # it ended

    def work() -> list[str]:
        refused = []
        for thread, cores in wanted.items():
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                continue
            except OSError as error:
                refused.append(f"cores of thread {thread}: {error}")
        return refused

    return as_user(user, group, work)


def _threads(pid: int) -> list[int]:
    try:
        return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def _affinity(thread: int) -> set[int] | None:
    """The cores a thread may use; None when it is gone."""
    try:
        return os.sched_getaffinity(thread)
    except OSError:
        return None


def _cores(pid: int) -> set[int]:
    return _affinity(pid) or set()


def _idle_s(cores: set[int]) -> float:
    """How long these cores have had nothing to do since boot, in all; in clock ticks, coarsely."""
    ticks = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            name, *counts = line.split()
            if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
                ticks += int(counts[3]) + int(counts[4])  # idle, and waiting for a disk
    return ticks / TICKS_PER_S


def _schedstat(path: str) -> tuple[float, float]:
    """Seconds on a CPU, and seconds ready but waiting for one; zeros when it is gone."""
    try:
        with open(path, encoding="ascii") as file:
            ran, waited, _ = file.read().split()
    except (OSError, ValueError):
        return 0.0, 0.0
    return int(ran) / 1e9, int(waited) / 1e9
