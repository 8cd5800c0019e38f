"""A cluster of make-believe pods under the real bookkeeping of `RunningCluster`.

What an agent and an engine do to processes is modelled here in a few lines; which fault may start,
stop and limit what is the real code's decision.
"""

from __future__ import annotations

import itertools
import random
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from chaos.errors import EngineError, FaultError
from chaos.faults.base import Scene
from chaos.runtime.claims import Claims
from chaos.runtime.cluster import RunningCluster
from chaos.systems.base import Node

CONTAINERS = {"redis": "redis-server", "sentinel": "redis-sentinel"}
UNSET = {"CpuQuota": 0, "CpuPeriod": 0, "Memory": 0, "MemorySwap": 0}


class Pod:
    """One node with two containers of one process each; its own agent and engine."""

    def __init__(self, least_bytes: int = 0) -> None:
        self.link = self
        self.pids = itertools.count(10)
        self.running: dict[str, int] = {}  # process name → pid
        self.stops: dict[str, str | None] = {}
        self.frozen = False
        self.least_bytes = least_bytes  # the engine refuses a lower limit
        self.host_config = {name: dict(UNSET) for name in CONTAINERS}
        self.start()

    def state(self, process: str) -> str:
        """What the kernel would say."""
        if process not in self.running:
            return ""
        if self.frozen:
            return "D"
        return "T" if any(n in (None, process) for n in self.stops.values()) else "S"

    # the engine's side

    def start(self) -> None:
        for process in CONTAINERS.values():
            self.running.setdefault(process, next(self.pids))

    def start_ended(self) -> list[str]:
        ended = [name for name, process in CONTAINERS.items() if process not in self.running]
        self.start()
        return ended

    def restart(self) -> None:
        self.running.clear()
        self.start()

    def wait_stopped(self) -> None:
        assert not self.running

    def freeze(self) -> None:
        self.frozen = bool(self.running)

    def thaw(self) -> None:
        self.frozen = False

    def container_ids(self) -> dict[str, str]:
        return {name: f"id-of-{name}" for name in CONTAINERS}

    def limits(self) -> dict[str, dict[str, Any]]:
        return {name: dict(config) for name, config in self.host_config.items()}

    def limit(self, container: str, **limits: int) -> None:
        if 0 < limits.get("mem_limit", self.least_bytes) < self.least_bytes:
            raise EngineError("unable to set memory limit (current usage: 50, peak usage: 60)")
        words = {"cpu_quota": "CpuQuota", "cpu_period": "CpuPeriod", "mem_limit": "Memory",
                 "memswap_limit": "MemorySwap"}  # fmt: skip
        self.host_config[container] |= {words[key]: value for key, value in limits.items()}

    def oom_kills(self, since_s: float) -> int:
        return 0

    # the agent's side

    def ask(self, do: str, deadline_s: float = 5.0, **arguments: Any) -> dict[str, Any]:
        return {"t_ns": 1, **getattr(self, f"do_{do}")(arguments)}

    def send(self, do: str, **arguments: Any) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        try:
            future.set_result(self.ask(do, **arguments))
        except FaultError as error:
            future.set_exception(error)
        return future

    def chosen(self, name: str | None) -> list[str]:
        return [process for process in self.running if name in (None, process)]

    def do_kill(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert not self.frozen, "the frozen do not die"
        return {"killed": [self.running.pop(p) for p in self.chosen(asked.get("process"))]}

    def do_named(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not self.chosen(asked["process"]):
            there = ", ".join(self.running) or "none"
            raise FaultError(f"no process `{asked['process']}`; there are: {there}")
        return {}

    def do_processes(self, asked: dict[str, Any]) -> dict[str, Any]:
        chosen = self.chosen(asked.get("process"))
        return {"processes": [[self.running[p], p, self.state(p)] for p in chosen]}

    def do_stop(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.stops[asked["fault"]] = asked.get("process")
        return {"stopped": len(self.chosen(asked.get("process")))}

    def do_resume(self, asked: dict[str, Any]) -> dict[str, Any]:
        mine = self.chosen(self.stops.pop(asked["fault"], "nothing"))
        return {"still": sorted(f for f, name in self.stops.items()
                                if any(name in (None, p) for p in mine))}  # fmt: skip

    def do_counters(self, asked: dict[str, Any]) -> dict[str, Any]:
        groups = []
        for name, process in CONTAINERS.items():
            config = self.host_config[name]
            quota, limit = config["CpuQuota"], config["Memory"]
            groups.append({
                "group": f"/docker/id-of-{name}", "names": [process], "frozen": self.frozen,
                "cpus": quota / config["CpuPeriod"] if quota > 0 else None, "cpu_s": 0.0,
                "throttled": 0, "throttled_s": 0.0, "refused": 0, "oom_kills": 0,
                "limit_bytes": limit if 0 < limit < 1 << 60 else None,
                "used_bytes": 60 << 20, "held_bytes": 50 << 20,
            })  # fmt: skip
        return {"groups": [g for g in groups if g["names"][0] in self.running]}


def cluster(names: str = "n1", least_bytes: int = 0) -> Any:
    """A `RunningCluster` of such pods, all running."""
    made: Any = RunningCluster.__new__(RunningCluster)
    made.nodes = [
        Node(name=name, zone="a", role=None, address="198.51.100.1") for name in names.split()
    ]
    made.pods = {node.name: Pod(least_bytes) for node in made.nodes}
    made.clients = SimpleNamespace(link=None)
    made._empty = set()
    made.claims = Claims()
    return made


def scene(made: Any) -> Scene:
    """Where a fault acts."""
    return Scene(cluster=made, roles=dict, client_zones=[], rng=random.Random(1))
