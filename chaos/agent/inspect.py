"""What is in force in this pod now, read from the kernel: `python3 -m chaos.agent.inspect`.

Run inside the agent's container by whoever wants to know whether anything was left, without asking
the agent: it may be wrong, hung, or speak to another controller. Prints one JSON object, kind →
list, and `t_ns`, when it looked (monotonic); every list is empty when the pod is as it was.
Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from chaos.agent.firewall import Nft

ESTABLISHED = "01"  # as /proc/net/tcp spells it


def main() -> None:
    """Print everything; a kind that cannot be read says why in a list of its own."""
    found: dict[str, Any] = {"t_ns": time.monotonic_ns()}
    for kind, look in KINDS.items():
        try:
            found[kind] = look()
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            found[kind] = [f"cannot be read: {error}"]
    sys.stdout.write(json.dumps(found) + "\n")


def drops() -> list[str]:
    """What the packet filter holds on a lease, `set element`."""
    return [
        f"{entry['set']['name']} {_text(element)}"
        for entry in _ruleset()
        if "timeout" in entry.get("set", {}).get("flags", [])
        for element in entry["set"].get("elem", [])
    ]


def queues() -> list[str]:
    """Rules that send packets to a queue, `chain handle`: of faults, and of links that always
    have a delay."""
    found = [
        f"{entry['rule']['chain']} {entry['rule']['handle']}"
        for entry in _ruleset()
        if "queue" in json.dumps(entry.get("rule", {}).get("expr", [])).lower()
    ]
    try:
        with open("/proc/net/ip_tables_names", encoding="ascii") as tables:
            legacy = "mangle" in tables.read().split()  # looking would make it
    except OSError:
        legacy = False
    if legacy:
        save = ["iptables-legacy-save", "-t", "mangle"]
        lines = subprocess.run(save, capture_output=True, text=True, check=True).stdout
        found += [line for line in lines.splitlines() if "NFQUEUE" in line]
    return found


def _ruleset() -> list[dict[str, Any]]:
    listing: list[dict[str, Any]] = json.loads(Nft().run("list ruleset"))["nftables"]
    return listing


def _text(element: object) -> str:
    """`198.19.3.12`, `198.19.3.12 . 198.19.3.10`, from libnftables' JSON."""
    if isinstance(element, dict):
        inner = element.get("elem", element)
        if isinstance(inner, dict) and "val" in inner:
            return _text(inner["val"])
        if isinstance(inner, dict) and "concat" in inner:
            return " . ".join(map(_text, inner["concat"]))
        return json.dumps(inner)
    return str(element)


def stopped() -> list[str]:
    """Processes that do not run because somebody stopped them, `pid name`."""
    return [f"{pid} {name}" for pid, name, state in processes() if state in "Tt"]


def clocks() -> list[str]:
    """Processes whose clock is not the host's, `pid name`: the page that tells it was changed."""
    own = _vdso(os.getpid())
    changed = []
    for pid, name, _ in processes():
        try:
            theirs = _vdso(pid)
        except OSError:
            continue  # it ended meanwhile, or has no memory of its own
        if own is not None and theirs is not None and theirs != own:
            changed.append(f"{pid} {name}")
    return changed


def connections() -> list[str]:
    """Connections that the agent itself holds open, `address:port`."""
    own = set()
    for entry in os.listdir("/proc/1/fd"):
        try:
            own.add(os.readlink(f"/proc/1/fd/{entry}"))
        except OSError:
            continue
    found = []
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            columns = line.split()
            if columns[3] == ESTABLISHED and f"socket:[{columns[9]}]" in own:
                host, _, port = columns[2].partition(":")
                address = socket.inet_ntoa(struct.pack("=I", int(host, 16)))
                found.append(f"{address}:{int(port, 16)}")
    return found


def fills() -> list[str]:
    """Files without a name that the agent holds open, `path bytes`: they fill a disk."""
    found = []
    for entry in os.listdir("/proc/1/fd"):
        try:
            target = os.readlink(f"/proc/1/fd/{entry}")
            size = os.stat(f"/proc/1/fd/{entry}").st_size
        except OSError:
            continue
        if target.endswith("(deleted)") and size:
            found.append(f"{target} {size}")
    return found


def burners() -> list[str]:
    """Children of the agent that only take CPU time, `pid`."""
    return [str(pid) for pid, _, _ in processes() if _command(pid) == _command(1)]


def confined() -> list[str]:
    """Processes that may use fewer cores than the agent, `pid name`."""
    own, found = os.sched_getaffinity(0), []
    for pid, name, _ in processes():
        try:
            if os.sched_getaffinity(pid) < own:
                found.append(f"{pid} {name}")
        except OSError:
            continue
    return found


def _command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def processes() -> Iterator[tuple[int, str, str]]:
    """(pid, name, state) of every process of the pod but the agent and this one."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in (1, os.getpid()):
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                head, _, tail = file.read().decode(errors="replace").rpartition(")")
        except OSError:
            continue
        yield int(entry), head.partition("(")[2], tail.split()[0]


def _vdso(pid: int) -> bytes | None:
    """The bytes of a process's vDSO; None when it has none (a kernel thread, a zombie)."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            if line.rstrip().endswith("[vdso]"):
                start, end = (int(x, 16) for x in re.findall(r"^(\w+)-(\w+)", line)[0])
                with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                    memory.seek(start)
                    return memory.read(end - start)
    return None


KINDS: dict[str, Callable[[], list[str]]] = {
    "drops": drops,
    "queues": queues,
    "stopped": stopped,
    "clocks": clocks,
    "connections": connections,
    "fills": fills,
    "burners": burners,
    "confined": confined,
}

if __name__ == "__main__":
    main()
