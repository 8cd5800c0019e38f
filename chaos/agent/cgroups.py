"""What the kernel counts for each container of the pod, read where its own processes see it.

A container's cgroup is mounted in its own files at /sys/fs/cgroup, read-only; the agent looks there
through /proc/PID/root. Version 1 has a folder per controller, version 2 one for all. Standard
library only.
"""

from __future__ import annotations

import os
from typing import Any

from chaos.agent.proc import each

Message = dict[str, Any]
UNLIMITED_BYTES = 1 << 60  # a larger limit is none


class Cgroups:
    """Counters by container, for the probes of limits."""

    def do_counters(self, request: Message) -> Message:
        """`groups`: one mapping for each container with a living process.

        `group` (its name, with the container's id in it), `names` of its processes, `cpus` (cores
        it may use, null: all), `cpu_s`, `throttled`, `throttled_s`, `limit_bytes` (null: none),
        `used_bytes`, `held_bytes` (what cannot be given back: no file cache), `refused`
        (allocations that hit the limit), `oom_kills`, `frozen`. A counter that the kernel does not
        have is null.
        """
        return {"groups": list(_groups().values())}

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Nothing to undo."""

    def able(self) -> Message:
        """Which version of cgroups the pod has."""
        version = 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1
        return {"cgroups": version}


def _groups() -> dict[str, Message]:
    """Cgroup's name → its counters."""
    groups: dict[str, Message] = {}
    for process in each():
        name = _read(f"/proc/{process.pid}/cgroup")
        if not name or process.state in "ZX":
            continue
        if name not in groups:
            found = counters(process.pid)
            if not os.path.exists(_root(process.pid)):
                continue  # it ended meanwhile, perhaps before it was read: another one tells
            groups[name] = {"group": name, "names": [], **found}
        if process.name not in groups[name]["names"]:
            groups[name]["names"].append(process.name)
    return groups


def counters(pid: int) -> Message:
    """The counters of the process's container; see `do_counters`."""
    root = _root(pid)
    if os.path.exists(f"{root}/cgroup.controllers"):
        return version_2(root)
    return version_1(root)


def _root(pid: int) -> str:
    """Where a process sees its container's cgroup; no such path once the process has ended."""
    return os.path.join(f"/proc/{pid}/root", "sys/fs/cgroup")


def version_1(root: str) -> Message:
    """The counters below `root`, a folder for each controller."""
    stat = _table(f"{root}/cpu/cpu.stat")
    memory = _table(f"{root}/memory/memory.stat")
    quota, period = (
        _number(f"{root}/cpu/cpu.cfs_quota_us"),
        _number(f"{root}/cpu/cpu.cfs_period_us"),
    )
    limit = _number(f"{root}/memory/memory.limit_in_bytes")
    used = _number(f"{root}/memory/memory.usage_in_bytes")
    return {
        "cpus": quota / period if quota and quota > 0 and period else None,
        "cpu_s": _scaled(_number(f"{root}/cpuacct/cpuacct.usage"), 1e9),
        "throttled": stat.get("nr_throttled"),
        "throttled_s": _scaled(stat.get("throttled_time"), 1e9),
        "limit_bytes": None if limit is None or limit > UNLIMITED_BYTES else limit,
        "used_bytes": used,
        "held_bytes": _held(used, memory.get("total_cache"), memory.get("total_shmem")),
        "refused": _number(f"{root}/memory/memory.failcnt"),
        "oom_kills": _table(f"{root}/memory/memory.oom_control").get("oom_kill"),
        "frozen": _read(f"{root}/freezer/freezer.state") in ("FROZEN", "FREEZING"),
    }


def version_2(root: str) -> Message:
    """The counters in `root`, one folder for all controllers."""
    stat, memory = _table(f"{root}/cpu.stat"), _table(f"{root}/memory.stat")
    events = _table(f"{root}/memory.events")
    quota, _, period = _read(f"{root}/cpu.max").partition(" ")
    limit = _number(f"{root}/memory.max")
    used = _number(f"{root}/memory.current")
    return {
        "cpus": int(quota) / int(period) if quota.isdigit() and period.isdigit() else None,
        "cpu_s": _scaled(stat.get("usage_usec"), 1e6),
        "throttled": stat.get("nr_throttled"),
        "throttled_s": _scaled(stat.get("throttled_usec"), 1e6),
        "limit_bytes": None if limit is None or limit > UNLIMITED_BYTES else limit,
        "used_bytes": used,
        "held_bytes": _held(used, memory.get("file"), memory.get("shmem")),
        "refused": events.get("max"),
        "oom_kills": events.get("oom_kill"),
        "frozen": _table(f"{root}/cgroup.events").get("frozen") == 1,
    }


def frozen(pid: int) -> bool:
    """Whether the process's container is frozen."""
    return bool(counters(pid)["frozen"])


def _read(path: str) -> str:
    """The file's text; "" when it is not there."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    """The file's number; None when it is not there or says `max`."""
    text = _read(path)
    return int(text) if text.lstrip("-").isdigit() else None


def _table(path: str) -> dict[str, int]:
    """Lines of `name number` as a mapping."""
    rows = (line.split() for line in _read(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _scaled(value: int | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _held(used: int | None, cache: int | None, shared: int | None) -> int | None:
    """What is used and cannot be given back: shared memory counts as cache and stays."""
    return None if used is None else used - (cache or 0) + (shared or 0)
