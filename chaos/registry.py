"""Name → implementation, for systems, workloads and faults.

Built-ins are written as "module:attribute" and imported when first asked for, so that listing names
costs nothing. Other packages add theirs through entry points of the group named below; a built-in
name cannot be taken over, because a run would then not mean what its YAML says.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from chaos.errors import SpecError

if TYPE_CHECKING:
    from chaos.systems.base import System
    from chaos.workloads.base import Workload

T = TypeVar("T")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was most likely meant to be, or None."""
    by_fold = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold()[:100], by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean `x`?`, or an empty string when nothing is near."""
    guess = nearest(word, known)
    return f"did you mean `{guess}`?" if guess else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry(Generic[T]):
    """One kind of implementation. `builtin` maps names to "module:attribute"."""

    kind: str  # "system": the word in messages
    group: str  # entry-point group of other packages
    builtin: Mapping[str, str]

    def names(self) -> list[str]:
        """All known names: built-ins in their order, then those of installed packages."""
        others = {point.name for point in entry_points(group=self.group)}
        return [*self.builtin, *sorted(others - set(self.builtin))]

    def get(self, name: str) -> T:
        """The implementation; SpecError if the name is unknown or its module cannot be loaded."""
        try:
            if name in self.builtin:
                module, _, attribute = self.builtin[name].partition(":")
                found: Any = getattr(importlib.import_module(module), attribute)
            else:
                found = self._installed(name)
        except SpecError:
            raise
        except Exception as error:  # another package's module may fail in any way
            raise SpecError(
                f"the {self.kind} {name} cannot be loaded: {type(error).__name__}: {error}",
                fix="install its package again, or remove it",
            ) from error
        implementation: T = found
        return implementation

    def _installed(self, name: str) -> Any:
        for point in entry_points(group=self.group):
            if point.name == name:
                return point.load()
        known = self.names()
        raise SpecError(
            f"unknown {self.kind} `{name}`; known: {', '.join(known)}",
            fix=did_you_mean(name, known),
        )


SYSTEMS: Registry[System] = Registry(
    kind="system",
    group="aftershock.systems",
    builtin={
        "postgres": "chaos.systems.postgres.system:SYSTEM",
        "patroni": "chaos.systems.patroni.system:SYSTEM",
        "mariadb": "chaos.systems.mariadb.system:SYSTEM",
        "galera": "chaos.systems.galera.system:SYSTEM",
        "redis": "chaos.systems.redis.system:SYSTEM",
        "valkey": "chaos.systems.redis.valkey:SYSTEM",
        "cassandra": "chaos.systems.cassandra.system:SYSTEM",
        "etcd": "chaos.systems.etcd.system:SYSTEM",
        "zookeeper": "chaos.systems.zookeeper.system:SYSTEM",
        "rabbitmq": "chaos.systems.rabbitmq.system:SYSTEM",
        "nats": "chaos.systems.nats.system:SYSTEM",
        "kafka": "chaos.systems.kafka.system:SYSTEM",
        "objectstore": "chaos.systems.objectstore.system:SYSTEM",
        "localfirst": "chaos.systems.localfirst.system:SYSTEM",
        "compose": "chaos.systems.compose.system:SYSTEM",
        "fake": "chaos.systems.fake.system:SYSTEM",
    },
)
WORKLOADS: Registry[Workload] = Registry(
    kind="workload",
    group="aftershock.workloads",
    builtin={
        "register": "chaos.workloads.register:WORKLOAD",
        "set": "chaos.workloads.set:WORKLOAD",
        "queue": "chaos.workloads.queue:WORKLOAD",
        "log": "chaos.workloads.log:WORKLOAD",
        "counter": "chaos.workloads.counter:WORKLOAD",
        "lock": "chaos.workloads.lock:WORKLOAD",
        "append": "chaos.workloads.append:WORKLOAD",
        "wr": "chaos.workloads.wr:WORKLOAD",
        "bank": "chaos.workloads.bank:WORKLOAD",
        "session": "chaos.workloads.session:WORKLOAD",
        "convergence": "chaos.workloads.convergence:WORKLOAD",
        "edits": "chaos.workloads.edits:WORKLOAD",
        "cache": "chaos.workloads.cache:WORKLOAD",
        "long-fork": "chaos.workloads.long_fork:WORKLOAD",
        "write-skew": "chaos.workloads.write_skew:WORKLOAD",
        "probes": "chaos.workloads.probes:WORKLOAD",
    },
)
FAULTS: Registry[Any] = Registry(
    kind="fault",
    group="aftershock.faults",
    builtin={
        "partition": "chaos.faults.partition:Partition",
        "delay": "chaos.faults.link:Delay",
        "loss": "chaos.faults.link_share:Loss",
        "duplicate": "chaos.faults.link_share:Duplicate",
        "reorder": "chaos.faults.link_share:Reorder",
        "corrupt": "chaos.faults.link_share:Corrupt",
        "bandwidth": "chaos.faults.link:Bandwidth",
        "kill": "chaos.faults.process:Kill",
        "crash-loop": "chaos.faults.process:CrashLoop",
        "pause": "chaos.faults.pause:Pause",
        "slow": "chaos.faults.slow:Slow",
        "restart": "chaos.faults.restart:Restart",
        "rolling-restart": "chaos.faults.restart:RollingRestart",
        "restart-all": "chaos.faults.restart:Restart",
        "memory-squeeze": "chaos.faults.memory:MemorySqueeze",
        "cpu-steal": "chaos.faults.cpu_steal:CpuSteal",
        "connection-exhaustion": "chaos.faults.exhaustion:ConnectionExhaustion",
        "fd-exhaustion": "chaos.faults.exhaustion:FdExhaustion",
        "client-latency": "chaos.faults.client_link:ClientLatency",
        "client-bandwidth": "chaos.faults.client_flow:ClientBandwidth",
        "client-slow-close": "chaos.faults.client_flow:ClientSlowClose",
        "client-timeout": "chaos.faults.client_link:ClientTimeout",
        "client-slicer": "chaos.faults.client_flow:ClientSlicer",
        "client-limit-data": "chaos.faults.client_flow:ClientLimitData",
        "client-reset": "chaos.faults.client_link:ClientReset",
        "client-down": "chaos.faults.client_link:ClientDown",
        "clock-step": "chaos.faults.clock:ClockStep",
        "clock-back": "chaos.faults.clock:ClockBack",
        "clock-skew": "chaos.faults.clock:ClockSkew",
        "clock-drift": "chaos.faults.clock:ClockDrift",
        "clock-strobe": "chaos.faults.clock:ClockStrobe",
        "clock-leap": "chaos.faults.clock:ClockLeap",
        "power-loss": "chaos.faults.disk:PowerLoss",
        "disk-full": "chaos.faults.disk:DiskFull",
        "disk-read-only": "chaos.faults.disk:DiskReadOnly",
        "disk-slow": "chaos.faults.disk_slow:DiskSlow",
        "bit-flip": "chaos.faults.disk_data:BitFlip",
        "wipe": "chaos.faults.disk_data:Wipe",
        "outage": "chaos.faults.correlated:Outage",
        "lockout": "chaos.faults.correlated:Lockout",
        "maintenance-wave": "chaos.faults.correlated:MaintenanceWave",
        "restart-storm": "chaos.faults.storm:RestartStorm",
    },
)
