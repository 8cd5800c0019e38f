"""What the measurements share: a real cluster, rows, quantiles."""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chaos.nemesis import Nemesis
from chaos.runner import images_for
from chaos.runtime import engine
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
from chaos.spec.experiment import Experiment
from chaos.spec.files import load_topology
from chaos.spec.topology import Topology
from chaos.systems.base import System

Row = dict[str, Any]


def row(what: str, value: float | None, unit: str, goal: str = "") -> Row:
    """One line of the table; `value` None: it could not be measured here."""
    return {"what": what, "value": value, "unit": unit, "goal": goal}


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile, between neighbours where it falls between two."""
    return float(np.quantile(np.asarray(values, float), q))


def least(
    work: Callable[[], object], rounds: int, *, most_s: float = 10.0, warm: bool = False
) -> float:
    """The least time of so many rounds; of fewer where these have taken `most_s` seconds. `warm`:
    without the first one, which may compile, unless it is the only one.
    """
    found: list[float] = []
    while len(found) < rounds and sum(found) < most_s:
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min((warm and found[1:]) or found)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def connect() -> Any:
    """The engine's client; EngineError where none answers."""
    return engine.client(engine.require())


class MemoryJournal:
    """The journal's events, folded into one mapping a fault."""

    def __init__(self) -> None:
        self.faults: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def append(self, event: Mapping[str, Any]) -> None:
        """Keep `event`; the time of each kind of event as `<event>_at_ns`."""
        columns = {key: value for key, value in event.items() if value is not None}
        with self._lock:
            kept = self.faults.setdefault(event["id"], {})
            kept.update(columns, **{f"{event['event']}_at_ns": event["t_ns"]})


def inject(
    cluster: RunningCluster, entries: Sequence[Mapping[str, Any]], zones: Sequence[str] = ()
) -> tuple[Nemesis, MemoryJournal]:
    """Let these entries of a schedule run, from now on; call `heal` of the first at the end."""
    experiment = Experiment.model_validate({
        "name": "bench", "topology": "any", "workload": {"name": "set"}, "duration": "1h",
        "schedule": [dict(entry) for entry in entries],
    })  # fmt: skip
    journal = MemoryJournal()
    nemesis = Nemesis(
        entries=experiment.schedule,
        cluster=cluster,
        journal=journal,
        seed=1,
        roles=dict,
        client_zones=zones,
    )
    nemesis.plan()
    nemesis.start(time.monotonic_ns())
    return nemesis, journal


@contextlib.contextmanager
def planned(name: str | Path) -> Iterator[tuple[Topology, System, RunningCluster]]:
    """A shipped topology, or one at a path, with its images present, not started; removed at the
    end. The system is that of the group that clients use."""
    topology = load_topology(name).topology
    client = connect()
    cluster = RunningCluster(client, Plan(
        run_id=secrets.token_hex(4), topology=topology, owner=owner(),
        images=images_for(topology, client, lambda *_: None),
    ))  # fmt: skip
    try:
        yield topology, cluster.groups[topology.front()[0]].system, cluster
    finally:
        cluster.down()
        client.close()


@contextlib.contextmanager
def running(name: str | Path) -> Iterator[tuple[Topology, System, RunningCluster]]:
    """The same, started and formed."""
    with planned(name) as (topology, system, cluster):
        cluster.up()
        yield topology, system, cluster
