"""What the measurements share: a real cluster, rows, quantiles."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chaos.registry import SYSTEMS
from chaos.runner import images_for
from chaos.runtime import engine
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
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


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def connect() -> Any:
    """The engine's client; EngineError where none answers."""
    return engine.client(engine.require())


@contextlib.contextmanager
def planned(name: str | Path) -> Iterator[tuple[Topology, System, RunningCluster]]:
    """A shipped topology, or one at a path, with its images present, not started; removed at the
    end."""
    topology = load_topology(name).topology
    system = SYSTEMS.get(topology.system)
    client = connect()
    cluster = RunningCluster(client, Plan(
        run_id=secrets.token_hex(4), topology=topology, system=system, owner=owner(),
        images=images_for(system, topology.image, client, lambda *_: None),
    ))  # fmt: skip
    try:
        yield topology, system, cluster
    finally:
        cluster.down()
        client.close()


@contextlib.contextmanager
def running(name: str | Path) -> Iterator[tuple[Topology, System, RunningCluster]]:
    """The same, started and formed."""
    with planned(name) as (topology, system, cluster):
        cluster.up()
        yield topology, system, cluster
