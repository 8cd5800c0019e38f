"""RabbitMQ: what nodes are configured with, what they say of themselves, what pika raises."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from pika import frame, spec
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    StreamLostError,
    UnroutableError,
)

from chaos.record.op import Invocation
from chaos.systems.base import NotConnected, classify
from chaos.systems.rabbitmq import steps
from chaos.systems.rabbitmq.client import QueueClient, Undone, undone
from chaos.systems.rabbitmq.conf import arguments, container, hosts, rabbitmq_conf
from chaos.systems.rabbitmq.observer import figures_of, observation
from chaos.systems.rabbitmq.system import SYSTEM
from chaos.systems.rabbitmq.wire import Line

FIGURES = """# TYPE rabbitmq_detailed_queue_messages_ready gauge
rabbitmq_detailed_queue_messages_ready{vhost="/",queue="k0"} 7
rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="k0"} 2
rabbitmq_detailed_raft_term_total{queue="k0",vhost="/"} 3
rabbitmq_detailed_raft_term_total{module="ra",ra_system="coordination"} 1
"""
MEMBERS = [f"rabbit@n{number}" for number in (1, 2, 3)]


@pytest.fixture
def equals(nodes):
    return [dataclasses.replace(node, role=None) for node in nodes]


def test_the_first_node_begins_the_cluster_and_the_others_wait_for_it(equals):
    first, second = (container(node, equals, {}) for node in equals[:2])
    assert "tcp/198.18.7.10/25672" in second.command[-1]
    assert "/dev/tcp" not in first.command[-1]
    known = [
        [
            line
            for line in spec.files["/etc/aftershock/rabbitmq.conf"].splitlines()
            if ".nodes." in line
        ]
        for spec in (first, second)
    ]
    assert known[0] == ["cluster_formation.classic_config.nodes.1 = rabbit@n1"]
    assert [line.rpartition(" ")[2] for line in known[1]] == MEMBERS
    assert '{host, {198,18,7,12}, ["n3"]}.' in hosts(equals).splitlines()


@pytest.mark.parametrize(("known", "forgotten"), [(MEMBERS, True), (MEMBERS[:2], False)])
def test_a_node_is_forgotten_once(equals, known, forgotten, monkeypatch):
    """Killed before it had joined the others again, it is started empty once more."""
    done = []
    cluster = SimpleNamespace(
        nodes=equals, settings={}, execute=lambda node, command, **_: done.append((node, command))
    )
    monkeypatch.setattr(steps, "ask", lambda *_: [{"name": name} for name in known])
    assert SYSTEM.start_empty(cluster, "n3")
    told = ("n1", ["rabbitmqctl", "forget_cluster_node", "rabbit@n3"])
    assert done == ([told] if forgotten else [])


def test_a_node_that_lost_its_data_joins_the_others_whichever_it_is(equals):
    for node in equals:
        again = container(node, equals, {}, join=True)
        assert "/dev/tcp" not in again.command[-1]
        assert again.files["/etc/aftershock/rabbitmq.conf"].count(".nodes.") == 3


def test_settings_reach_the_node_and_the_queues(equals):
    settings = {"cluster_partition_handling": "autoheal", "net_ticktime": "8s"}
    assert "cluster_partition_handling = autoheal\n" in rabbitmq_conf(equals, settings)
    env = container(equals[0], equals, settings).env
    assert "net_ticktime 8 " in env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert arguments({})["x-queue-type"] == "classic"
    quorum = arguments({"queue_type": "quorum", "group_size": 5, "delivery_limit": -1})
    assert quorum["x-quorum-initial-group-size"] == 5
    assert quorum["x-delivery-limit"] == -1
    assert arguments({"queue_type": "stream"})["x-initial-cluster-size"] == 3


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"queue_type": "mirrored"}, "settings.queue_type"),
        ({"group_size": 3}, "a classic queue is on one node"),
        ({"queue_type": "quorum", "group_size": 5}, "at most 3"),
        ({"delivery_limit": 5}, "only quorum queues"),
        ({"net_ticktime": "1500ms"}, "whole seconds"),
    ],
)
def test_settings_that_cannot_be_meant(equals, settings, complaint):
    found = list(SYSTEM.check(equals, settings))
    assert len(found) == 1
    assert complaint in found[0]


def test_nodes_have_no_roles(nodes):
    assert any("nodes.n1.role" in problem for problem in SYSTEM.check(nodes, {}))


@pytest.mark.parametrize(
    ("workload", "kind", "runs"),
    [
        ("queue", "classic", True),
        ("queue", "quorum", True),
        ("queue", "stream", False),
        ("log", "stream", True),
        ("log", "quorum", False),
    ],
)
def test_logs_are_streams_and_queues_are_not(equals, workload, kind, runs):
    refused = list(SYSTEM.refusals(workload, {}, equals, {"queue_type": kind}))
    assert bool(refused) is not runs


def test_only_queues_on_several_nodes_elect_leaders():
    assert [SYSTEM.elects_with({"queue_type": k}) for k in ("classic", "quorum", "stream")] == [
        False,
        True,
        True,
    ]


def queue(name, leader, online=MEMBERS):
    return {"name": name, "leader": leader, "members": MEMBERS, "online": online}


def test_who_leads_is_primary_of_what_it_leads():
    queues = [queue("k0", MEMBERS[0], MEMBERS[:2]), queue("k1", MEMBERS[1])]
    seen = observation(MEMBERS[0], queues, figures_of(FIGURES))
    assert (seen.role, seen.shard, seen.term) == ("primary", "k0", 3)
    assert seen.note == "k0: 7 ready, 2 given out, 2 of 3 members online"
    assert observation(MEMBERS[1], queues, {}).shard == "k1"
    third = observation(MEMBERS[2], queues, {})
    assert (third.role, third.shard) == ("replica", "k0,k1")


def test_a_node_may_lead_several_and_others_follow_all():
    queues = [queue("k1", MEMBERS[0]), queue("k0", MEMBERS[0])]
    shards = {observation(own, queues, {}).shard for own in MEMBERS}
    assert shards == {"k0,k1"}


def test_a_classic_queue_is_led_by_its_node():
    seen = observation(MEMBERS[2], [{"name": "k0", "node": MEMBERS[2]}], {})
    assert (seen.role, seen.note) == ("primary", "k0: 0 ready, 0 given out")


def test_without_queues_all_are_members():
    assert observation(MEMBERS[0], [], {}).role == "member"


def raised(error):
    def ask():
        raise error

    with pytest.raises(Exception) as caught:  # noqa: PT011
        undone(ask)
    return caught.value


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (UnroutableError([]), True, "unroutable"),
        (NackError([]), False, "nack"),
        (ChannelClosedByBroker(404, "NOT_FOUND - queue 'k0'"), False, "channel-closed"),
        (
            ConnectionClosedByBroker(320, "CONNECTION_FORCED - shut down"),
            False,
            "connection-closed",
        ),
        (StreamLostError("Stream connection lost: reset"), False, "connection-lost"),
        (AMQPConnectionError("something"), False, "connection-lost"),
        (TimeoutError("no answer within 1 s"), False, "timeout"),
        (BrokenPipeError(), False, "broken-connection"),
        (raised(ChannelClosedByBroker(404, "NOT_FOUND - home node down")), True, "queue-down"),
        (raised(ChannelClosedByBroker(406, "no local replica")), True, "no-replica"),
        (raised(TimeoutError("no answer within 1 s")), True, "no-answer"),
        (raised(StreamLostError("reset")), True, "nothing-taken"),
        (Undone("the node cancelled a consumer"), True, "cancelled"),
        (AssertionError("something nobody has seen"), False, "unknown"),
    ],
)
def test_errors(error, definite, code):
    judged, text = classify(error, SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


ANSWERS = {
    spec.Connection.StartOk: spec.Connection.Tune(16, 1 << 17, 0),
    spec.Connection.Open: spec.Connection.OpenOk(),
    spec.Channel.Open: spec.Channel.OpenOk(),
    spec.Confirm.Select: spec.Confirm.SelectOk(),
}
FEATURES = {"capabilities": {"publisher_confirms": True, "basic.nack": True}}


def shake_hands_only(line):
    """Answer what `ANSWERS` has an answer to, until the other side hangs up."""
    line.recv(8)
    line.sendall(frame.Method(0, spec.Connection.Start(0, 9, FEATURES)).marshal())
    come = b""
    while got := line.recv(1 << 16):
        come += got
        while True:
            used, asked = frame.decode_frame(come)
            if not used:
                break
            come = come[used:]
            answer = ANSWERS.get(type(getattr(asked, "method", None)))
            if answer is not None:
                line.sendall(frame.Method(asked.channel_number, answer).marshal())


@pytest.fixture
def mute():
    """The port of a node that opens a channel which confirms, and then says nothing."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        line, _ = server.accept()
        with line:
            shake_hands_only(line)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    thread.join(2)
    server.close()
    assert not thread.is_alive(), "a connection was left open"


@pytest.mark.parametrize(("f", "definite"), [("enqueue", False), ("dequeue", True)])
def test_a_node_that_falls_silent_is_waited_for_no_longer_than_said(mute, spec_at, f, definite):
    client = QueueClient(spec_at(SYSTEM, mute))
    client.open()
    begun = time.monotonic()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        client.invoke(Invocation(f, "k0", 5 if f == "enqueue" else None))
    assert 0.2 < time.monotonic() - begun < 1.5
    assert classify(caught.value, SYSTEM.errors)[0] is definite
    client.close()


def test_goodbye_takes_a_moment_at_most(mute):
    line = Line(("127.0.0.1", mute), 0.5)
    begun = time.monotonic()
    line.close()
    assert time.monotonic() - begun < 1.5
    with pytest.raises(NotConnected):
        Line(("127.0.0.1", mute), 0.2)
