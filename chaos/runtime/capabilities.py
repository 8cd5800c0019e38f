"""What this host can do to databases: the ways there are to each family of faults, and which works.

One short-lived agent in namespaces of its own is asked, as every pod's agent is (chaos/agent/
ladder.py); what the engine's API can do is read from the engine. The answer is kept for as long as
engine, kernel, boot and agent stay the same, so that a run does not pay for it. A run is never
refused by what was kept: before that, the host is asked again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from chaos.agent.ladder import ladder
from chaos.record.liveness import this_process
from chaos.runtime.docker import (
    LABEL_OWNER,
    LABEL_RUN,
    LABEL_TOPOLOGY,
    engine_errors,
    owner,
    remove_run,
)
from chaos.runtime.helper import disk_ladder
from chaos.runtime.pod import agent_files, start_agent

HELLO_DEADLINE_S = 10.0
ELSEWHERE_S = 3600.0  # how long to believe an engine whose boots cannot be told apart

Ladders = dict[str, dict[str, Any]]  # family → chaos.agent.ladder.ladder


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """Something that faults need of a host; `fix` says how to get it where it is missing."""

    about: str
    fix: str


ABILITIES: Mapping[str, Ability] = {
    "partition": Ability(
        about="dropping packets between nodes",
        fix="the engine's kernel needs nf_tables with set timeouts (CONFIG_NF_TABLES); "
        "`modprobe nf_tables` where it is a module",
    ),
    "link": Ability(
        about="delaying, losing and damaging packets between nodes",
        fix="the engine's kernel needs NFQUEUE (`modprobe nfnetlink_queue xt_NFQUEUE`) or netem "
        "(`modprobe sch_netem`)",
    ),
    "clock": Ability(
        about="clocks of their own for a node's processes",
        fix="the engine must grant SYS_PTRACE, and its kernel let a process write another's memory "
        "(no lockdown, kernel.yama.ptrace_scope below 3); x86-64 only",
    ),
    "disk": Ability(
        about="disks of their own for nodes",
        fix="the engine's kernel needs loop devices and ext4 or xfs (`modprobe loop`), and the "
        "engine must grant SYS_ADMIN",
    ),
    "cpu": Ability(
        about="limits on processor time",
        fix="the engine's kernel needs the cpu cgroup with CFS quota (CONFIG_CFS_BANDWIDTH); a "
        "rootless engine needs the cpu controller delegated",
    ),
    "memory": Ability(
        about="limits on memory",
        fix="the engine's kernel needs the memory cgroup (`cgroup_enable=memory` at boot on some); "
        "a rootless engine needs the memory controller delegated",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why something cannot be done here, and how to change that."""

    need: str
    why: str
    fix: str


def missing(needs: Iterable[str], ladders: Mapping[str, Mapping[str, Any]]) -> Missing | None:
    """The first of `needs` that no rung of its ladder fulfils; None when all are fulfilled.

    A need that nobody was asked about is left to the fault's own `available`.
    """
    for need in needs:
        found = ladders.get(need)
        if found is None or found.get("rung"):
            continue
        tried = "; ".join(f"{rung['rung']}: {rung['why']}" for rung in found.get("tried") or ())
        ability = ABILITIES.get(need)
        return Missing(
            need=need, why=tried or "nothing for it is here", fix=ability.fix if ability else ""
        )
    return None


def probe(client: docker.DockerClient, agent_image: str, *, fresh: bool = False) -> Ladders:
    """What this host can do, from the last time or (`fresh`, or nothing kept) by asking now.

    `agent_image`: an image id. EngineError or FaultError where not even an agent can be started.
    """
    with engine_errors("asking what the engine can do"):
        info = client.info()
    key, lasting = _key(client, info, agent_image)
    if not fresh and (kept := _kept(key, lasting)) is not None:
        return kept
    found = {**_engine(info), **_ask(client, agent_image)}
    _keep(key, found)
    return found


def _engine(info: Mapping[str, Any]) -> Ladders:
    """What is done by the engine's API, as the engine says."""

    def granted(flag: str) -> str:
        return "" if info.get(flag, True) else "the engine says it cannot"

    return {
        "cpu": ladder(("cfs-quota", granted("CpuCfsQuota"))),
        "memory": ladder(("memory-limit", granted("MemoryLimit"))),
    }


def _ask(client: docker.DockerClient, agent_image: str) -> Ladders:
    """Ask an agent that has a network of its own and nothing in it; try disks beside that.

    An agent without a disk has not the right to fail one: what it says of disks does not count.
    """
    run_id = f"probe-{secrets.token_hex(4)}"
    labels = {LABEL_RUN: run_id, LABEL_TOPOLOGY: "capabilities", LABEL_OWNER: owner()}
    try:
        with ThreadPoolExecutor(1) as pool:
            name = f"aftershock-{run_id}"
            disk = pool.submit(disk_ladder, client, agent_image, name, labels)
            found = _hello(client, agent_image, name, labels)
            return {**found, "disk": disk.result()}
    finally:
        remove_run(client, run_id)


def _hello(
    client: docker.DockerClient, image: str, name: str, labels: Mapping[str, str]
) -> Ladders:
    _, link = start_agent(
        client,
        image,
        name=name,
        hostname="probe",
        labels=labels,
        networking=None,
        network_mode="none",
    )
    try:
        found: Ladders = link.ask("hello", HELLO_DEADLINE_S, name="probe", peers={})["ladders"]
        return found
    finally:
        link.close()


def _key(client: docker.DockerClient, info: Mapping[str, Any], image: str) -> tuple[str, bool]:
    """What the answer depends on; and whether that includes the boot of the engine's machine.

    A local engine on this very kernel boots with us. Of another we cannot tell.
    """
    here = client.api.base_url.startswith("http+") and info.get("KernelVersion") == (
        platform.release()
    )
    files = json.dumps(agent_files(), sort_keys=True)
    parts = [
        image,
        info.get("ID"),
        info.get("ServerVersion"),
        info.get("KernelVersion"),
        this_process().get("boot") if here else "",
        hashlib.sha256(files.encode()).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32], here


def _file() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "aftershock" / "capabilities.json"


def _kept(key: str, lasting: bool) -> Ladders | None:
    try:
        data = json.loads(_file().read_text(encoding="utf-8"))
        fresh_enough = lasting or 0 <= time.time() - float(data["asked_s"]) < ELSEWHERE_S
        if data["key"] != key or not fresh_enough:
            return None
        found: Ladders = data["ladders"]
        return found if all(isinstance(each["tried"], list) for each in found.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(key: str, ladders: Ladders) -> None:
    """A convenience: where nothing can be written, the host is asked each time."""
    path = _file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        text = json.dumps({"key": key, "asked_s": time.time(), "ladders": ladders})
        new.write_text(text, encoding="utf-8")
        new.replace(path)
