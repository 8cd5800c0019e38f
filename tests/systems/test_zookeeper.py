"""ZooKeeper: what servers are configured with, what they say of themselves, what kazoo raises."""

from __future__ import annotations

import dataclasses
import struct
import threading
import time
from types import SimpleNamespace

import pytest
from kazoo.exceptions import (
    EXCEPTIONS,
    BadVersionError,
    ConnectionClosedError,
    NodeExistsError,
    NoNodeError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.serialization import MultiHeader, Transaction

from chaos.systems._transactions import NotCommitted
from chaos.systems.base import NotConnected, classify
from chaos.systems.zookeeper.client import LOST
from chaos.systems.zookeeper.conf import container, zoo_cfg
from chaos.systems.zookeeper.lock import committed
from chaos.systems.zookeeper.system import SYSTEM, Status, observed, status_of
from chaos.systems.zookeeper.wire import Session, ask

SRVR = """Zookeeper version: 3.9.3-${mvngit.commit.id}, built on 2026-03-08 16:19 UTC
Latency min/avg/max: 0/0.0/0
Received: 18
Sent: 17
Connections: 1
Outstanding: 0
Zxid: 0x20000002a
Mode: follower
Node count: 5
"""


@pytest.fixture
def servers(nodes):
    """Three servers, the last an observer."""
    plain = [dataclasses.replace(node, role=None) for node in nodes]
    return [*plain[:2], dataclasses.replace(plain[2], role="observer")]


def lines(text):
    return set(text.splitlines())


def test_every_server_is_listed_on_every_server(servers):
    for node in servers:
        conf = lines(zoo_cfg(node, servers, {}))
        assert {
            "server.1=198.18.7.10:2888:3888",
            "server.2=198.18.7.11:2888:3888",
            "server.3=198.18.7.12:2888:3888:observer",
            "dataDir=/var/lib/zookeeper/data",
            "admin.enableServer=false",
            "forceSync=yes",
        } <= conf
        assert ("peerType=observer" in conf) is (node.role == "observer")
        spec = container(node, servers, {})
        assert spec.data_dir == "/var/lib/zookeeper"
        assert f"echo {1 + servers.index(node)} > /var/lib/zookeeper/data/myid" in spec.command[-1]


def test_settings_reach_the_server(servers):
    given = {
        "tickTime": "2s",
        "forceSync": False,
        "maxClientCnxns": 5,
        "snapCount": 1000,
        "heap": "64m",
        "4lw.commands.whitelist": "*",
    }
    conf = lines(zoo_cfg(servers[0], servers, given))
    assert {"tickTime=2000", "forceSync=no", "maxClientCnxns=5", "snapCount=1000"} <= conf
    assert "4lw.commands.whitelist=*" in conf
    assert "minSessionTimeout" not in "".join(conf)
    assert " -Xmx64m " in container(servers[0], servers, given).command[-1]


def test_what_ships_can_run(servers):
    assert list(SYSTEM.check(servers, {"syncLimit": 5})) == []
    assert list(SYSTEM.check(servers[:1], {})) == []


@pytest.mark.parametrize(
    ("roles", "settings", "said"),
    [
        (["primary", None, None], {}, "nodes.n1.role: ZooKeeper elects its leader"),
        ([None, "observer", "observer"], {}, "at least two nodes with a vote"),
        (["observer"] * 3, {}, "no node with a vote"),
        ([None] * 3, {"forceSync": "sometimes"}, "settings.forceSync: expected"),
        ([None] * 3, {"tickTime": 500}, "settings.tickTime: expected a duration"),
        ([None] * 3, {"4lw.commands.whitelist": "ruok"}, "srvr is how nodes are asked"),
        ([None] * 3, {"minSessionTimeout": "11s"}, "expected at most maxSessionTimeout"),
        ([None] * 3, {"snapCount": 1}, "settings.snapCount: expected"),
    ],
)
def test_what_cannot_be_is_refused(servers, roles, settings, said):
    asked = [dataclasses.replace(n, role=r) for n, r in zip(servers, roles, strict=True)]
    found = list(SYSTEM.check(asked, settings))
    assert len(found) == 1
    assert said in found[0]


def test_options():
    assert list(SYSTEM.check_options({"reads": "sync", "failover": True}, "register")) == []
    assert "expected" in next(iter(SYSTEM.check_options({"reads": "quorum"}, "set")))
    assert "lock" in next(iter(SYSTEM.check_options({"heartbeats": True}, "set")))


@pytest.mark.parametrize(
    ("mode", "role"),
    [("leader", "primary"), ("follower", "replica"), ("standalone", "primary")],
)
def test_roles(mode, role):
    seen = observed(lambda: SRVR.replace("follower", mode))
    assert (seen.role, seen.term, seen.note) == (role, 2, "zxid 0x20000002a")


def test_other_roles():
    def says(answer):
        return lambda: answer

    def fails(error):
        def answer():
            raise error

        return answer

    seen = observed(says(SRVR.replace("follower", "observer")))
    assert seen.role == "replica"
    assert seen.note is not None
    assert "without a vote" in seen.note
    assert observed(says("This ZooKeeper instance is not currently serving requests")).role == (
        "candidate"
    )
    assert observed(says("srvr is not executed because it is not in the whitelist.")).role == (
        "unknown"
    )
    assert observed(fails(TimeoutError("timed out"))).role == "unknown"
    assert observed(fails(ConnectionRefusedError("refused"))).role == "down"


def test_a_transaction_id_is_an_epoch_and_a_number():
    status = status_of(SRVR)
    assert status == Status("follower", 0x20000002A)
    assert (status.epoch, status.number) == (2, 42)


@pytest.mark.parametrize(
    ("number", "definite", "code"),
    [
        (-4, False, "connection-lost"),
        (-7, False, "operation-timeout"),
        (-101, True, "no-node"),
        (-103, True, "bad-version"),
        (-110, True, "node-exists"),
        (-112, False, "session-expired"),
        (-118, True, "session-moved"),
        (-119, True, "read-only"),
        (-122, False, "request-timeout"),
        (-127, True, "throttled"),
        (0, True, "rolled-back"),
        (-1, False, "unknown"),
        (-5, False, "unknown"),
    ],
)
def test_errors_by_the_number_that_servers_answer_with(number, definite, code):
    judged, text = classify(EXCEPTIONS[number](), SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


def test_errors_of_the_driver_itself():
    for error, definite, code in (
        (ConnectionClosedError("Connection has been closed"), False, "closed"),
        (KazooTimeoutError(), False, "timeout"),
        (NotCommitted("ConnectionLoss"), True, "not-committed"),
        (NotConnected("connecting to 1.2.3.4:2181: timed out"), True, "connect-timeout"),
    ):
        judged, text = classify(error, SYSTEM.errors)
        assert (judged, text.split(":")[0]) == (definite, code)


def test_after_every_indefinite_error_the_session_is_dropped():
    kinds = {rule.kind for rule in SYSTEM.errors if not rule.definite}
    assert kinds
    assert all(issubclass(kind, LOST) for kind in kinds)


@pytest.mark.parametrize("behaviour", ["silent", "closes", "refuses"])
def test_a_session_that_cannot_be_leaves_no_thread(behaviour, listening):
    before = set(threading.enumerate())
    begun = time.monotonic()
    with pytest.raises(NotConnected) as raised:
        Session(("127.0.0.1", listening(behaviour)), 0.3, 6.0)
    assert time.monotonic() - begun < 1
    word = {"silent": "timed out", "closes": "serves nobody", "refuses": "refused"}[behaviour]
    assert word in str(raised.value)
    end = time.monotonic() + 2
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    kazoos = [t for t in set(threading.enumerate()) - before if "hang_up" not in t.name]
    assert kazoos == []


def test_a_word_has_one_deadline(listening):
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        ask(("127.0.0.1", listening("silent")), "srvr", 0.2)
    assert time.monotonic() - begun < 1
    with pytest.raises(ConnectionError):
        ask(("127.0.0.1", listening("closes")), "srvr", 0.2)


@pytest.mark.parametrize(
    ("codes", "raised"),
    [
        ((-103, -2), BadVersionError),  # refused, and what came after it not tried
        ((0, -110), NodeExistsError),  # done and rolled back, because the next was refused
        ((0, -101, -2), NoNodeError),
    ],
)
def test_a_transaction_is_refused_for_what_refused_it(codes, raised):
    answer = b"".join(
        MultiHeader(-1, False, code).serialize() + struct.pack("!i", code) for code in codes
    )
    results = Transaction.deserialize(answer + MultiHeader(-1, True, -1).serialize(), 0)
    assert len(results) == len(codes)
    session = SimpleNamespace(wait=lambda asked: asked)
    transaction = SimpleNamespace(commit_async=lambda: results)
    with pytest.raises(raised):
        committed(session, transaction)
