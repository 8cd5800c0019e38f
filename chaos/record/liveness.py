"""Whether the process that makes a run is still there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """This process as run.json remembers it: its number alone may come to mean another."""
    pid = os.getpid()
    return {"pid": pid, "started": started(pid), "boot": _boot()}


def alive(process: dict[str, Any]) -> bool:
    """Whether what `this_process` described still runs, on this host."""
    pid = process.get("pid")
    if not isinstance(pid, int) or process.get("boot") != _boot():
        return False
    since = started(pid)
    return since is not None and since == process.get("started")


def same_boot(process: dict[str, Any]) -> bool:
    """Whether this host has been up since `this_process`: then its monotonic clock still counts."""
    return bool(process.get("boot")) and process.get("boot") == _boot()


def started(pid: int) -> int | None:
    """Clock ticks from the host's start to the process's; None: no such process, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in "ZX" else int(fields[19])


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
