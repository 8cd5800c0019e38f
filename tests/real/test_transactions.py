"""What a real PostgreSQL's answers mean for a transaction, before its COMMIT and during it."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from chaos.isolation.play import Play
from chaos.isolation.scripts import Script
from chaos.record.op import Invocation
from chaos.registry import SYSTEMS
from chaos.runner import images_for
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
from chaos.spec.topology import Region, Topology, TopologyNode
from chaos.systems.base import Client, ClientSpec, Definite, classify
from chaos.systems.postgres.client import Session
from chaos.systems.sql import SpeaksSql

pytestmark = [
    pytest.mark.real,
    pytest.mark.usefixtures("beside"),
    pytest.mark.timeout(120),
]
SYSTEM = SYSTEMS.get("postgres")
NOBODY = "ALTER SYSTEM SET synchronous_standby_names = {names}"
Opened = Callable[..., Client]


@pytest.fixture(scope="module")
def cluster(engine_client: Any) -> Iterator[RunningCluster]:
    topology = Topology(
        name="transactions",
        system="postgres",
        settings={"deadlock_timeout": "50ms"},
        regions={"here": Region(zones=("z1", "clients"))},
        nodes={"n1": TopologyNode(zone="z1", role="primary")},
        clients={"clients": 1},
    )
    plan = Plan(
        run_id=f"txn{uuid.uuid4().hex[:8]}",
        topology=topology,
        images=images_for(topology, engine_client, lambda *_: None),
        owner=owner(),
    )
    running = RunningCluster(engine_client, plan)
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def opened(cluster: RunningCluster) -> Iterator[Opened]:
    clients: list[Client] = []

    def make(workload: str = "append", isolation: str = "read-committed") -> Client:
        spec = ClientSpec(
            zone="clients",
            home="n1",
            endpoints=cluster.groups[""].endpoints("clients"),
            settings={},
            options={"isolation": isolation},
            timeout_s=0.7,
        )
        clients.append(SYSTEM.client(spec, workload))
        clients[-1].open()
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def admin(cluster: RunningCluster) -> Iterator[Session]:
    with closing(Session(cluster.address("n1", "db"), 5.0, "admin")) as session:
        yield session


def txn(*micros: tuple[Any, ...]) -> Invocation:
    return Invocation("txn", payload=json.dumps(micros))


def read(client: Client, key: int) -> list[int]:
    found = json.loads(client.invoke(txn(("r", key, None))).payload or "null")[0][2]
    assert found is None or isinstance(found, list)
    return found or []


def judged(client: Client, operation: Invocation) -> tuple[bool, str]:
    """(definite, code) of what it raised."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client.invoke(operation)
    definite, why = classify(raised.value, SYSTEM.errors)
    return definite, why.partition(":")[0]


def test_no_answer_before_commit_is_definite(opened: Opened, admin: Session) -> None:
    client, other = opened(), opened()
    admin.row("BEGIN")
    admin.row("LOCK TABLE lists")
    begun = time.monotonic()
    found = judged(client, txn(("append", 1, 1), ("append", 1, 2)))
    assert found in ((True, "not-committed"), (True, "statement-timeout"))
    assert time.monotonic() - begun < 1.5
    admin.row("COMMIT")
    time.sleep(0.2)
    assert read(other, 1) == []
    assert read(client, 1) == []


def test_a_session_ended_before_commit_is_definite(opened: Opened, admin: Session) -> None:
    client = opened()
    assert read(client, 2) == []
    admin.row("BEGIN")
    admin.row("LOCK TABLE lists")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    ended = threading.Timer(0.2, lambda: admin.row(end))
    ended.start()
    assert judged(client, txn(("append", 2, 1))) == (True, "not-committed")
    ended.join()
    admin.row("COMMIT")
    assert read(client, 2) == []


def test_no_answer_to_commit_is_not(opened: Opened, admin: Session) -> None:
    client, other = opened(), opened()
    admin.row(NOBODY.format(names="'nobody'"))
    admin.row("SELECT pg_reload_conf()")
    time.sleep(0.3)
    try:
        assert judged(client, txn(("append", 3, 1))) == (False, "timeout")
    finally:
        admin.row(NOBODY.format(names="''"))
        admin.row("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 5
    while read(other, 3) != [1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("isolation", ["repeatable-read", "serializable"])
def test_of_two_that_write_one_key_the_later_is_refused_and_goes_on(
    opened: Opened, admin: Session, isolation: str
) -> None:
    client, key = opened(isolation=isolation), 4 if isolation == "serializable" else 5
    insert = f"INSERT INTO lists VALUES ('{key}', '{{9}}')"
    admin.row("BEGIN")
    admin.row(insert)
    ended = threading.Timer(0.2, lambda: admin.row("COMMIT"))
    ended.start()
    with pytest.raises(Definite, match="serialization-failure"):
        client.invoke(txn(("r", key, None), ("append", key, 1)))
    ended.join()
    assert client.node == "n1"
    assert read(client, key) == [9]
    client.invoke(txn(("append", key, 2)))
    assert read(client, key) == [9, 2]


def test_a_deadlock_is_refused_and_one_of_the_two_goes_on(opened: Opened) -> None:
    one, two = opened(), opened()
    one.invoke(txn(("append", 6, 1), ("append", 7, 1)))
    said: list[str] = []

    def run(client: Client, first: int, second: int) -> None:
        for value in range(2, 400):
            try:
                client.invoke(txn(("append", first, value), ("append", second, value)))
            except Exception as error:
                definite, why = classify(error, SYSTEM.errors)
                said.append(f"{definite} {why.partition(':')[0]}")
            if said:
                return

    threads = [threading.Thread(target=run, args=args) for args in ((one, 6, 7), (two, 7, 6))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(said) == {"True deadlock"}
    assert read(one, 6) == read(one, 6)
    six, seven = read(two, 6), read(one, 7)
    assert sorted(six) == sorted(seven), "each transaction is there whole, or not at all"


def test_a_deadlock_among_the_sessions_of_a_probe_is_played_to_its_end(
    cluster: RunningCluster,
) -> None:
    assert isinstance(SYSTEM, SpeaksSql)
    script = Script(
        steps="""
            T1 update test set value = 11 where id = 1
            T2 update test set value = 22 where id = 2
            T1 update test set value = 12 where id = 2
            T2 update test set value = 21 where id = 1
            T1 commit
            T2 commit
        """,
        found=lambda trace: trace.kept("T1", "T2"),
        shown="both committed",
    )
    with closing(SYSTEM.sql(cluster)) as watcher:
        for statement in ("drop table if exists test", "create table test (id int, value int)"):
            watcher.send(statement)
            assert watcher.answer(5.0) is not None
        trace = Play(SYSTEM, cluster, watcher, "read-committed").run(script)
    ((loser, why),) = trace.refused.items()
    assert why.startswith("40P01: deadlock")
    assert trace.committed == {"T1", "T2"} - {loser}
    assert trace.left == ({1: 11, 2: 12} if loser == "T2" else {1: 21, 2: 22})
    assert set(trace.waited) == {"T1", "T2"} or trace.waited == ["T1"]
