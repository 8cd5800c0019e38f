"""Galera after all of its nodes were down: what it does by itself, and what an operator does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from chaos.errors import ClusterError
from chaos.record.op import Invocation
from chaos.runner import images_for
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
from chaos.runtime.groups import RunningGroup
from chaos.spec.files import load_topology
from chaos.systems.galera.system import SYSTEM

pytestmark = [
    pytest.mark.real,
    pytest.mark.usefixtures("beside"),
    pytest.mark.timeout(300),
]
NODES = ("n1", "n2", "n3")  # the third is the arbitrator


@contextmanager
def running(engine_client: Any, *changes: str) -> Iterator[RunningGroup]:
    topology = load_topology("galera-arbitrator", changes).topology
    plan = Plan(
        run_id=f"galr{uuid.uuid4().hex[:8]}",
        topology=topology,
        images=images_for(topology, engine_client, lambda *_: None),
        owner=owner(),
    )
    cluster = RunningCluster(engine_client, plan)
    try:
        cluster.up()
        yield cluster.groups[""]
    finally:
        cluster.down()


def ask(group: RunningGroup, home: str, operation: Invocation) -> str:
    zone = next(node.zone for node in group.nodes if node.name == home)
    with closing(SYSTEM.client(group.client_spec(zone, home, 5.0), "set")) as client:
        return client.invoke(operation).payload or ""


def each(group: RunningGroup, do: Callable[[str], None]) -> None:
    for node in NODES:
        do(node)


def test_all_killed_and_started_they_are_one_cluster_again(engine_client: Any) -> None:
    with running(engine_client, "settings.innodb_flush_log_at_trx_commit=2") as group:
        ask(group, "n2", Invocation("add", value=7))
        each(group, group.stop)
        each(group, group.start)
        group.wait("one cluster again", lambda: SYSTEM.converged(group), 60.0)
        assert ask(group, "n1", Invocation("read")) == "[7]"


def test_where_nobody_begins_by_itself_an_operator_does(engine_client: Any) -> None:
    changes = (
        "settings.innodb_flush_log_at_trx_commit=2",
        "settings.wsrep_provider_pc_recovery=false",
        "settings.wsrep_provider_evs_suspect_timeout=1s",
    )
    bootstrap = SYSTEM.steps["bootstrap"].run
    with running(engine_client, *changes) as group:
        with pytest.raises(ClusterError, match="split brain"):
            bootstrap(group, "n1")
        with pytest.raises(ClusterError, match="no data"):
            bootstrap(group, "n3")
        group.stop("n1")
        ask(group, "n2", Invocation("add", value=8))  # once n1 is no longer believed in
        group.stop("n2")
        group.stop("n3")
        with pytest.raises(ClusterError, match="bootstrap n2"):
            bootstrap(group, "n1")  # it has not what n2 took without it
        bootstrap(group, "n2")
        assert SYSTEM.converged(group)
        assert ask(group, "n1", Invocation("read")) == "[8]"
