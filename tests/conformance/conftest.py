"""What every system must do, as one function that each system's test calls."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from chaos.record.op import Invocation, Result
from chaos.systems._transactions import REGISTERS
from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    Definite,
    HasConvergence,
    HasHandshakes,
    HasModes,
    HasOperators,
    HasRoles,
    Node,
    Observation,
    System,
    classify,
)
from chaos.systems.redis.slots import shard_count

TIMEOUT_S = 1.0
ELECTED_S = 60.0  # Patroni waits half a minute before it takes a primary for lost


@contextmanager
def opened(system: System, spec: ClientSpec, workload: str) -> Iterator[Client]:
    client = system.client(spec, workload)
    client.open()
    try:
        yield client
    finally:
        client.close()


def check_register(system: System, spec: ClientSpec) -> None:
    """Reads see writes; a cas that cannot be says so definitely, and does nothing."""
    with opened(system, spec, "register") as client:
        assert client.invoke(Invocation("read", "c0")).value is None
        assert client.invoke(Invocation("cas", "c0", 1, None)).value == 1
        client.invoke(Invocation("write", "c0", 2))
        client.invoke(Invocation("cas", "c0", 3, 2))
        for expected in (2, None):
            with pytest.raises(Definite, match="cas-mismatch"):
                client.invoke(Invocation("cas", "c0", 4, expected))
        assert client.invoke(Invocation("read", "c0")).value == 3
        assert client.invoke(Invocation("read", "c1")).value is None


def elements(result: Result) -> list[int]:
    found = json.loads(result.payload or "null")
    assert isinstance(found, list)
    return found


def check_set(system: System, spec: ClientSpec) -> None:
    """Every element that was added is read, each once."""
    with opened(system, spec, "set") as client:
        assert elements(client.invoke(Invocation("read"))) == []
        for value in (3, 1, 2):
            client.invoke(Invocation("add", value=value))
        assert sorted(elements(client.invoke(Invocation("read")))) == [1, 2, 3]


def txn(client: Client, *micros: tuple[Any, ...]) -> list[Any]:
    """What the reads of a transaction read, in order; the rest must come back as asked."""
    result = client.invoke(Invocation("txn", payload=json.dumps(micros)))
    done = json.loads(result.payload or "null")
    assert [m[:2] for m in done] == [list(m[:2]) for m in micros]
    assert [m[2] for m in done if m[0] != "r"] == [m[2] for m in micros if m[0] != "r"]
    return [m[2] for m in done if m[0] == "r"]


def check_append(system: System, spec: ClientSpec) -> None:
    """Lists grow at their end; a transaction sees its own appends, and a reader all or nothing."""
    with opened(system, spec, "append") as client, opened(system, spec, "append") as other:
        assert txn(client, ("r", 1, None))[0] in (None, [])
        assert txn(client, ("append", 1, 7), ("r", 1, None), ("append", 2, 8)) == [[7]]
        assert txn(other, ("append", 1, 9), ("append", 1, 10)) == []
        assert txn(client, ("r", 2, None), ("r", 1, None)) == [[8], [7, 9, 10]]


def check_registers(system: System, spec: ClientSpec, workload: str) -> None:
    """Registers of transactions: what is written last stays, own writes are seen at once."""
    base = 1000 * sorted(system.workloads).index(workload)
    one, two = base, base + 1
    with opened(system, spec, workload) as client, opened(system, spec, workload) as other:
        assert txn(client, ("r", one, None), ("w", one, base + 5), ("r", one, None)) == [
            None,
            base + 5,
        ]
        assert txn(other, ("w", two, base + 6), ("w", two, base + 7), ("r", one, None)) == [
            base + 5
        ]
        assert txn(client, ("r", two, None), ("r", one, None)) == [base + 7, base + 5]


def check_bank(system: System, spec: ClientSpec) -> None:
    """Opening twice is opening once; a transfer moves, or says that there is too little."""
    with opened(system, spec, "bank") as client:
        for _ in range(2):
            client.invoke(Invocation("open", payload='{"0":10,"1":20,"2":30}'))
        moved = Invocation("transfer", payload='{"from":2,"to":0,"amount":25}')
        client.invoke(moved)
        with pytest.raises(Definite, match="insufficient"):
            client.invoke(moved)
        for _ in range(2):
            client.invoke(Invocation("open", payload='{"0":10,"1":20,"2":30}'))
        found = json.loads(client.invoke(Invocation("read")).payload or "null")
        assert found == {"0": 35, "1": 20, "2": 5}


def check_session(system: System, spec: ClientSpec) -> None:
    """Wherever reads may be told to go."""
    for reads in ("primary", "home", "any"):
        if reads in system.client_options.get("reads", ""):
            check_reads(system, spec, reads=reads)
    check_reads(system, spec)


def check_reads(system: System, spec: ClientSpec, **options: str) -> None:
    """Whatever node a read goes through, in the end it shows the write; and says which it was."""
    spec = replace(spec, options={**spec.options, **options})
    nodes = len(spec.endpoints) or 1
    asked = set()
    with opened(system, spec, "session") as client:
        client.invoke(Invocation("write", "s0", 9))
        for at in range(nodes):
            end = time.monotonic() + 5
            read = Invocation("read", "s0", at=at)
            while (result := client.invoke(read)).value != 9:
                assert time.monotonic() < end, (at, result)
            asked.add(result.node)
    stays = "home" in system.client_options.get("reads", "")  # reads go elsewhere only when told
    if spec.settings.get("mode") == "cluster":
        nodes //= shard_count(spec.settings)  # only these have the key
    assert len(asked) == (1 if stays and options.get("reads") != "any" else nodes)


def check_counter(system: System, spec: ClientSpec) -> None:
    """A counter that nobody added to is 0; every add counts once."""
    with opened(system, spec, "counter") as client, opened(system, spec, "counter") as other:
        assert client.invoke(Invocation("read", "n0")).value == 0
        for adder, amount in ((client, 3), (other, 1), (client, 2)):
            adder.invoke(Invocation("add", "n0", amount))
        assert other.invoke(Invocation("read", "n0")).value == 6
        assert client.invoke(Invocation("read", "n1")).value == 0


def check_lock(system: System, spec: ClientSpec) -> None:
    """One holder at a time, each with a higher token; a lease runs out, and not before its time."""
    acquire = Invocation("acquire", "l0")

    def release(token: int | None) -> Invocation:
        return Invocation("release", "l0", token)

    with opened(system, spec, "lock") as client, opened(system, spec, "lock") as other:
        first = client.invoke(acquire).value
        for rival in (client, other):
            with pytest.raises(Definite, match=r"^held"):
                rival.invoke(acquire)
        other.invoke(Invocation("acquire", "l1"))
        client.invoke(release(first))
        with pytest.raises(Definite, match="not-held"):
            client.invoke(release(first))
        second = other.invoke(acquire).value
        begun = time.monotonic()
        assert first is not None
        assert second is not None
        assert second > first
        with pytest.raises(Definite, match="not-held"):
            client.invoke(release(first))
        third = until(client, acquire, 10).value  # nobody released it: its lease of 2 s runs out
        assert 1 < time.monotonic() - begun < 8
        assert third is not None
        assert third > second
        with pytest.raises(Definite, match="not-held"):
            other.invoke(release(second))
        client.invoke(release(third))


def check_document(system: System, spec: ClientSpec) -> None:
    """What was stored is loaded; a token that is lower than one the document has met, in a store
    or in a load, is refused, and changes nothing."""

    def invoke(f: str, token: int | None = None, payload: str | None = None) -> str | None:
        result = client.invoke(Invocation(f, "d0", token, payload=payload))
        return result.payload if f == "load" else None

    with opened(system, spec, "document") as client:
        assert invoke("load") == "[]"
        invoke("store", None, "[1]")
        assert invoke("load", 7) == "[1]"
        invoke("store", 7, "[1,2]")
        invoke("store", 10, "[1,2,3]")
        for f, token in (("store", 9), ("load", 7)):
            with pytest.raises(Definite, match="stale-token"):
                invoke(f, token, "[4]")
        assert json.loads(invoke("load", 11) or "") == [1, 2, 3]
        with pytest.raises(Definite, match="stale-token"):  # the load has shown the document 11
            invoke("store", 10, "[5]")
        assert json.loads(invoke("load") or "") == [1, 2, 3]
        invoke("store", None, "[6]")
        assert json.loads(invoke("load", 11) or "") == [6]


def check_cache(system: System, spec: ClientSpec) -> None:
    """What is cached is there until it is deleted, or its time is over."""
    with opened(system, spec, "cache") as client:
        assert client.invoke(Invocation("get", "a0")).value is None
        for value in (1, 2):
            client.invoke(Invocation("set", "a0", value))
            assert client.invoke(Invocation("get", "a0")).value == value
        client.invoke(Invocation("delete", "a0"))
        assert client.invoke(Invocation("get", "a0")).value is None
    if "ttl" in system.client_options:
        brief = replace(spec, options={**spec.options, "ttl": "200ms"})
        with opened(system, brief, "cache") as client:
            client.invoke(Invocation("set", "a1", 3))
            end = time.monotonic() + 5
            while client.invoke(Invocation("get", "a1")).value is not None:
                assert time.monotonic() < end


CHECKS: dict[str, Callable[[System, ClientSpec], None]] = {
    "register": check_register,
    "set": check_set,
    "append": check_append,
    "bank": check_bank,
    "session": check_session,
    "cache": check_cache,
    "counter": check_counter,
    "lock": check_lock,
    "document": check_document,
    **{name: partial(check_registers, workload=name) for name in REGISTERS},
}


def check_workloads(system: System, spec: ClientSpec) -> None:
    """Every kind of client that the system has."""
    assert {"register", "set"} <= system.workloads
    assert system.workloads <= set(CHECKS), "a kind of client that nobody checks"
    nodes = [
        Node(name=name, zone="", role=None, address=address)
        for name, address in spec.settings.get("_addresses", {}).items()
    ]
    for kind, check in CHECKS.items():
        refused = isinstance(system, HasModes) and [
            *system.refusals(kind, spec.options, nodes, spec.settings)
        ]
        if kind in system.workloads and not refused:
            check(system, spec)


def roles(system: System, cluster: Cluster) -> dict[str, Observation]:
    assert isinstance(system, HasRoles)
    return {n.name: system.observer(cluster, n.name, TIMEOUT_S)() for n in cluster.nodes}


def assert_led(seen: Mapping[str, Observation]) -> None:
    """One primary leads each shard and the others follow; or all are members."""
    if "member" in {node.role for node in seen.values()}:
        assert {node.role for node in seen.values()} <= {"member", "replica"}, seen
        return
    assert {node.role for node in seen.values()} <= {"primary", "replica"}, seen
    led = [node.shard for node in seen.values() if node.role == "primary"]
    assert sorted(set(led), key=str) == sorted(led, key=str), f"two primaries: {seen}"
    assert {node.shard for node in seen.values()} == set(led), f"nobody leads: {seen}"


def add_until(client: Client, first: int, deadline_s: float) -> int:
    """Add another element at each attempt, until one is acknowledged; which. One that was not may
    be there all the same, and there twice it may not be."""
    end = time.monotonic() + deadline_s
    for value in itertools.count(first):
        try:
            client.invoke(Invocation("add", value=value))
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return value
    raise AssertionError


def until(client: Client, operation: Invocation, deadline_s: float) -> Result:
    """Ask again and again, as a user would, until it is done."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            return client.invoke(operation)
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def check_failover(system: System, cluster: Cluster, spec_of: Callable[[str], ClientSpec]) -> None:
    """Kill the node that a client writes through, recover, rejoin: what was acknowledged is there.

    `spec_of(node)` is the spec of a client at home on that node.
    """
    assert isinstance(system, HasOperators)
    assert isinstance(system, HasConvergence)
    cluster.wait("caught up", lambda: system.converged(cluster))
    before = roles(system, cluster)
    assert_led(before)
    leader = next(name for name, seen in before.items() if seen.role in ("primary", "member"))

    with opened(system, spec_of(leader), "set") as bereaved:
        leader = bereaved.invoke(Invocation("add", value=101)).node
        survivor = next(name for name in before if name != leader)
        cluster.stop(leader)
        # Of one shard, where they are dealt over three by the CRC16 of their decimals, as 101 is.
        # On the old connection, then when there is none. A driver with a thread of its own may
        # have seen that the old one is gone, and sends nothing either.
        refused = set()
        for value in (105, 113):
            with pytest.raises(Exception) as raised:  # noqa: PT011
                bereaved.invoke(Invocation("add", value=value))
            definite, why = classify(raised.value, system.errors)
            assert not why.startswith("unknown"), why
            refused |= {value} if definite else set()
        assert refused == {113} or (refused == {105, 113} and system.name == "zookeeper"), why
    assert roles(system, cluster)[leader].role == "down"

    settings = cluster.settings
    elects = system.elects_with(settings) if isinstance(system, HasModes) else system.elects
    if not elects:
        system.steps["promote"].run(cluster, survivor)
    client = system.client(spec_of(survivor), "set")  # not opened: there may be no primary yet
    with closing(client):
        added = add_until(client, 200, ELECTED_S)
        system.steps["rejoin"].run(cluster, leader)
        cluster.wait("one cluster again", lambda: system.converged(cluster), ELECTED_S)
        found = set(elements(until(client, Invocation("read"), 10)))
        assert {1, 2, 3, added} <= found
        assert not refused & found, "what certainly did not happen has happened"
    assert_led(roles(system, cluster))


def check_handshakes(system: System, cluster: Cluster) -> None:
    """Every node with data serves a connection that begins as the system says, and answers so."""
    assert isinstance(system, HasHandshakes)
    for port, handshake in system.handshakes.items():
        for node in cluster.nodes:
            if node.role == "arbitrator":  # it has nothing to serve
                continue
            with socket.create_connection(cluster.address(node.name, port), timeout=2) as line:
                line.sendall(handshake.say)
                assert handshake.served
                answer = line.recv(256)
                assert answer.startswith(handshake.served, handshake.after), (node.name, port)


def check_promote(system: System, cluster: Cluster) -> None:
    """The operator's step moves the role to the node that was named, where there is such a step."""
    assert isinstance(system, HasOperators)
    followers = [name for name, seen in roles(system, cluster).items() if seen.role == "replica"]
    if "promote" in system.steps and followers:
        system.steps["promote"].run(cluster, followers[0])
        assert roles(system, cluster)[followers[0]].role == "primary"


@pytest.fixture
def conformance() -> Callable[..., None]:
    """`conformance(system, spec_of, cluster)`; without a cluster, only what a client can see."""

    def check(
        system: System, spec_of: Callable[[str], ClientSpec], cluster: Cluster | None = None
    ) -> None:
        for node in ["n1"] if cluster is None else [node.name for node in cluster.nodes][-1:]:
            check_workloads(system, spec_of(node))
        assert all(isinstance(text, str) and text for text in system.versions().values())
        if cluster is not None:
            check_handshakes(system, cluster)
            check_failover(system, cluster, spec_of)
            check_promote(system, cluster)

    return check
