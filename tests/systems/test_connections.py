"""Clients that try one node after the other, alone and as every system's does it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from chaos.registry import SYSTEMS
from chaos.systems._common import NOT_CONNECTED, home_first, silence, tried_nodes
from chaos.systems._connections import Connections, Kept, first_that_serves
from chaos.systems.base import ClientSpec, NotConnected, classify

NODES = ("n2", "n1", "n3")  # the home node, then the others by name


def spec_of(endpoints: Mapping[str, Any], **options: Any) -> ClientSpec:
    addresses = {node: f"198.18.9.{place}" for place, node in enumerate(endpoints)}
    return ClientSpec(
        zone="z", home="n2", endpoints=endpoints, settings={"_addresses": addresses},
        options=options, timeout_s=1.0,
    )  # fmt: skip


def spec(**options: Any) -> ClientSpec:
    return spec_of({node: {} for node in sorted(NODES)}, **options)


class Network:
    """Opens connections to nodes that say nothing, and remembers which were tried."""

    def __init__(self, said: Mapping[str, str]) -> None:
        self.said = said
        self.tried: list[str] = []

    def connect(self, node: str) -> contextlib.ExitStack:
        self.tried.append(node)
        if node in self.said:
            raise NotConnected(self.said[node])
        return contextlib.ExitStack()


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, ["n2"]), ({"failover": False}, ["n2"]), ({"failover": True}, ["n2", "n1", "n3"])],
)
def test_a_client_stays_at_home_unless_told_to_fail_over(
    options: dict[str, Any], expected: list[str]
) -> None:
    assert tried_nodes(spec(**options)) == expected
    assert tuple(home_first(spec())) == NODES


def test_the_first_that_serves_is_taken_and_no_other_tried() -> None:
    network = Network({"n2": "refused"})
    node, _ = first_that_serves(NODES, network.connect)
    assert (node, network.tried) == ("n1", ["n2", "n1"])


def test_where_none_serves_each_is_heard() -> None:
    network = Network({"n1": "timed out", "n2": "refused", "n3": "hung up"})
    for way in (
        lambda: first_that_serves(NODES, network.connect),
        lambda: Connections(spec(), network.connect).first(),
    ):
        with pytest.raises(NotConnected, match=r"^refused; timed out; hung up$"):
            way()
    assert network.tried == [*NODES, *NODES]


def test_other_failures_are_the_caller_s() -> None:
    def connect(node: str) -> str:
        raise OSError(f"{node} is not there") if node == "n2" else ValueError("a mistake")

    with pytest.raises(NotConnected, match=r"^n2 is not there$"):
        first_that_serves(["n2"], connect, (OSError,))
    with pytest.raises(ValueError, match="a mistake"):
        first_that_serves(NODES, connect, (OSError,))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["hung up"], "not-connected"),
        (["refused"], "connection-refused"),
        (["timed out"], "connect-timeout"),
        (["timed out", "hung up"], "connect-timeout"),
        (["timed out", "refused"], "connection-refused"),
        (["refused", "timed out"], "connection-refused"),
        (["no primary: n2 is a replica", "refused"], "no-primary"),
        (["refused", "timed out", "no primary: n3 is a replica"], "no-primary"),
    ],
)
def test_whoever_said_it_the_operation_certainly_did_not_happen(said: list[str], code: str) -> None:
    network = Network(dict(zip(NODES, said, strict=False)))
    with pytest.raises(NotConnected) as raised:
        first_that_serves(NODES[: len(said)], network.connect)
    definite, why = classify(raised.value, NOT_CONNECTED)
    assert (definite, why.split(":")[0]) == (True, code)


def test_a_kept_connection_is_made_anew_after_an_error_only() -> None:
    made: list[Line] = []

    class Line:
        closed = 0

        def __init__(self) -> None:
            made.append(self)

        def close(self) -> None:
            self.closed += 1

    kept = Kept(Line)
    assert made == []
    with kept as first, kept as same:
        assert first is same
    with pytest.raises(OSError, match="reset"), kept:
        raise OSError("reset")
    with kept as second:
        assert made == [first, second]
    kept.drop()
    kept.drop()
    with kept:
        assert [line.closed for line in made] == [1, 1, 0]


def test_a_connection_that_cannot_be_made_is_tried_again() -> None:
    tried: list[int] = []

    def connect() -> contextlib.ExitStack:
        tried.append(1)
        if len(tried) == 1:
            raise NotConnected("refused")
        return contextlib.ExitStack()

    kept = Kept(connect)
    with pytest.raises(NotConnected), kept:
        pass
    with kept:
        assert len(tried) == 2


@pytest.mark.parametrize(
    ("error", "role"),
    [
        (TimeoutError(), "unknown"),
        (NotConnected("connecting to 1.2.3.4:1: timed out"), "unknown"),
        (OSError("Connection Timed Out"), "unknown"),
        (ConnectionRefusedError("refused"), "down"),
        (OSError(), "down"),
        (ValueError("no answer to that"), "down"),
        (KeyError("leader"), "unknown"),
    ],
)
def test_what_it_is_to_get_no_answer(error: Exception, role: str) -> None:
    seen = silence(error, KeyError)
    assert (seen.role, bool(seen.note)) == (role, True)


@pytest.fixture
def nobody() -> Any:
    """Two addresses where nobody listens, and nobody else can meanwhile."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname() for each in bound]


@pytest.mark.parametrize(
    ("name", "workload"),
    [
        ("postgres", "set"), ("patroni", "set"), ("mariadb", "set"), ("galera", "set"),
        ("redis", "set"), ("valkey", "set"), ("etcd", "set"), ("zookeeper", "set"),
        ("nats", "set"), ("rabbitmq", "queue"), ("cassandra", "set"), ("objectstore", "set"),
        ("postgres", "session"), ("mariadb", "session"), ("redis", "session"),
        ("cassandra", "session"),
    ],
)  # fmt: skip
def test_every_client_says_what_each_node_said(name: str, workload: str, nobody: Any) -> None:
    system = SYSTEMS.get(name)
    options = {"failover": True} if "failover" in system.client_options else {}
    if workload == "session" and "reads" in system.client_options:
        options["reads"] = "any"
    ports = dict(zip(("n1", "n2"), nobody, strict=True))
    endpoints = {node: dict.fromkeys(system.ports, port) for node, port in ports.items()}
    client = system.client(spec_of(endpoints, **options), workload)
    with pytest.raises(NotConnected) as raised:
        client.open()
    client.close()
    said = [text for text in str(raised.value).split("; ") if "refused" in text.lower()]
    assert len(said) == 2, raised.value
    definite, why = classify(raised.value, system.errors)
    assert (definite, why.split(":")[0]) == (True, "connection-refused")
