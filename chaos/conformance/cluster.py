"""What the nodes of a system do together: who leads, what a killed node costs, who joins again."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from chaos.conformance.clients import opened
from chaos.conformance.findings import Nonconformance, failure, must, same
from chaos.conformance.kept import KEPT, Kept
from chaos.faults.client_flow import REPLY_BYTES
from chaos.faults.wire import talk
from chaos.record.op import Result
from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    HasBulk,
    HasConvergence,
    HasHandshakes,
    HasModes,
    HasOperators,
    HasRoles,
    Observation,
    System,
)

PATIENT_S = 5.0  # for an answer where nothing is wrong: that a host is busy is no nonconformance
TIMEOUT_S = 1.0  # … where a node is killed: who waits longer may be answered by its successor
ELECTED_S = 60.0  # Patroni waits half a minute before it takes a primary for lost
# Before a node is killed; through it, once it is; through another. Sets may be dealt over three
# shards by the CRC16 of an element's decimals: the last of the first and all others are of one.
FIRST, THEN, LATER = (11, 12, 101), (105, 113), 200
MUCH = 100_000  # bytes, to send or to be sent
SpecOf = Callable[[str, float], ClientSpec]  # of a client at home on that node; its deadline


def roles(system: HasRoles, cluster: Cluster) -> dict[str, Observation]:
    """What each node says of itself."""
    return {n.name: system.observer(cluster, n.name, PATIENT_S)() for n in cluster.nodes}


def must_be_led(seen: Mapping[str, Observation]) -> None:
    """One primary leads each shard and the others follow; or all are members."""
    said = ", ".join(f"{name}: {node.role}" for name, node in seen.items())
    all_roles = {node.role for node in seen.values()}
    if "member" in all_roles:
        must(all_roles <= {"member", "replica"}, f"beside members expected replicas only: {said}")
        return
    must(all_roles <= {"primary", "replica"}, f"expected primaries and replicas: {said}")
    led = [shard for node in seen.values() if node.role == "primary" for shard in _shards(node)]
    must(len(set(led)) == len(led), f"two primaries of one shard: {said}")
    known = {shard for node in seen.values() for shard in _shards(node)}
    must(known == set(led), f"a shard that nobody leads: {said}")


def _shards(node: Observation) -> list[str | None]:
    """The parts of the data that a node leads or follows."""
    return [*node.shard.split(",")] if node.shard else [None]


def leads(system: System, cluster: Cluster, spec_of: SpecOf) -> None:
    """Each node says which part it plays, and one leads, or all take writes."""
    assert isinstance(system, HasRoles)
    must_be_led(roles(system, cluster))


def failover(system: System, cluster: Cluster, spec_of: SpecOf) -> None:
    """Kill the node that a client writes through, recover, rejoin: what was acknowledged is there,
    and what certainly did not happen is not."""
    assert isinstance(system, HasRoles)
    assert isinstance(system, HasOperators)
    assert isinstance(system, HasConvergence)
    able = (kind for kind in KEPT if kind in system.workloads)
    kept = next((KEPT[kind] for kind in able if not refusals(system, kind, {}, cluster)), None)
    if kept is None:
        raise Nonconformance(f"no kind of client to see it with: offer one of {', '.join(KEPT)}")
    cluster.wait("caught up", lambda: system.converged(cluster))
    before = roles(system, cluster)
    must_be_led(before)
    leader = next(name for name, seen in before.items() if seen.role in ("primary", "member"))
    leader, kept_before, refused = _bereaved(system, cluster, kept, spec_of(leader, TIMEOUT_S))
    cluster.wait(
        f"{leader}, which is killed, is seen to be down",
        lambda: roles(system, cluster)[leader].role == "down",
    )

    others = [name for name in before if name != leader]
    if not others or not (elects(system, cluster) or "promote" in system.steps):
        system.steps["rejoin"].run(cluster, leader)  # only it has what was written through it
    elif not elects(system, cluster):
        system.steps["promote"].run(cluster, others[0])
    client = system.client(spec_of((others or [leader])[0], TIMEOUT_S), kept.kind)
    with closing(client):
        added, _ = _put_until(client, kept, LATER)
        acknowledged = {*kept_before, added}
        system.steps["rejoin"].run(cluster, leader)
        cluster.wait("one cluster again", lambda: system.converged(cluster), ELECTED_S)
        found = kept.contents(client, acknowledged)
    lost = acknowledged - found
    must(not lost, f"acknowledged before or after the kill, and gone: {sorted(lost)}")
    must(not refused & found, f"what certainly did not happen has happened: {refused & found}")
    must_be_led(roles(system, cluster))


def elects(system: System, cluster: Cluster) -> bool:
    """Whether another node takes over by itself."""
    return system.elects_with(cluster.settings) if isinstance(system, HasModes) else system.elects


def refusals(system: System, kind: str, options: Mapping[str, Any], cluster: Cluster | None) -> str:
    """Why these nodes cannot run this kind of client; "" if they can."""
    if not isinstance(system, HasModes):
        return ""
    there = () if cluster is None else cluster.nodes
    settings = {} if cluster is None else cluster.settings
    return "; ".join(system.refusals(kind, options, there, settings))


def _bereaved(
    system: System, cluster: Cluster, kept: Kept, spec: ClientSpec
) -> tuple[str, set[int], set[int]]:
    """Kill the node that a client writes through; which that was, what it had acknowledged, and
    what was refused for sure.

    On the old connection a write is indefinite, unless the driver has seen by then that it is gone;
    afterwards there is no connection, and it is definite.
    """
    with opened(system, spec, kept.kind) as client:
        kept.prepare(client)
        put = [_put_until(client, kept, value) for value in FIRST]
        leader = put[-1][1].node
        must(leader, f"{kept.put(0).f} must say which node answered (Result.node)")
        cluster.stop(leader)
        said = {value: failure(system, client, kept.put(value)) for value in THEN}
    last = said[THEN[-1]]
    must(last[0], f"without a connection nothing is sent, which is definite: {last[1]}")
    refused = {value for value, (definite, _) in said.items() if definite}
    return leader, {value for value, _ in put}, refused


def _put_until(client: Client, kept: Kept, first: int) -> tuple[int, Result]:
    """Put a value in, another at each attempt, until one is acknowledged; which, and how. One that
    was not may be there all the same, and there twice it may not be. The client need not be open:
    there may be no primary yet."""
    end = time.monotonic() + ELECTED_S
    for value in itertools.count(first, 1000):
        try:
            return value, client.invoke(kept.put(value))
        except Exception as error:
            if time.monotonic() > end:
                raise Nonconformance(
                    f"{kept.put(value).f}: nothing is acknowledged within {ELECTED_S:g} s: {error}"
                ) from error
            time.sleep(0.1)
    raise AssertionError


def handshakes(system: System, cluster: Cluster, spec_of: SpecOf) -> None:
    """Every node with data serves a connection that begins as the system says, and answers so."""
    assert isinstance(system, HasHandshakes)
    for port, handshake in system.handshakes.items():
        must(handshake.served, f"handshakes: the answer of a server on {port} cannot be empty")
        for node in cluster.nodes:
            if node.role == "arbitrator":  # it has nothing to serve
                continue
            with socket.create_connection(cluster.address(node.name, port), timeout=2) as line:
                line.sendall(handshake.say)
                answer = line.recv(256)
            must(
                answer.startswith(handshake.served, handshake.after),
                f"{node.name} port {port}: expected an answer that begins {handshake.served!r} "
                f"after {handshake.after} bytes, got {answer[:60]!r}",
            )


def bulk(system: System, cluster: Cluster, spec_of: SpecOf) -> None:
    """A connection takes a request as long as was asked for, and answers it with as much."""
    assert isinstance(system, HasBulk)
    assert isinstance(system, HasHandshakes)  # on the ports that every node with data serves
    sizes = ((MUCH, REPLY_BYTES), (0, MUCH))
    for port, (up, down) in itertools.product(system.handshakes, sizes):
        if (send := system.bulk(port, up, down)) is None:
            continue
        for node in cluster.nodes:
            if node.role == "arbitrator":
                continue
            address = cluster.address(node.name, port)
            reply = talk(address, send, want_bytes=down, within_s=PATIENT_S)
            must(
                reply.end == "enough",
                f"{node.name} port {port}: to {len(send)} bytes an answer of {down} was expected, "
                f"{reply.received_bytes} came ({reply.end})",
            )


def promote(system: System, cluster: Cluster, spec_of: SpecOf) -> None:
    """The operator's step moves the role to the node that was named."""
    assert isinstance(system, HasRoles)
    assert isinstance(system, HasOperators)
    followers = [name for name, seen in roles(system, cluster).items() if seen.role == "replica"]
    if followers:
        system.steps["promote"].run(cluster, followers[0])
        role = roles(system, cluster)[followers[0]].role
        same(f"the role of {followers[0]}, which was promoted", role, "primary")
