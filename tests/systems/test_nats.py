"""NATS: what servers are configured with, what they say of themselves, what nats-py raises."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from types import SimpleNamespace

import pytest
from nats import errors as nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import errors as js

from chaos.record.op import Invocation
from chaos.systems._messages import place_of
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import ClientSpec, Definite, NotConnected, classify
from chaos.systems.nats import forming
from chaos.systems.nats.client import BROKEN, NotAcknowledged
from chaos.systems.nats.conf import conf, container
from chaos.systems.nats.forming import NotYet, Patience, behind, uncounted
from chaos.systems.nats.messages import _status
from chaos.systems.nats.monitor import Observer, in_use, observed, streams
from chaos.systems.nats.steps import led
from chaos.systems.nats.streams import make_bucket, make_log, make_queue, preferred
from chaos.systems.nats.system import SYSTEM
from chaos.systems.nats.wire import Line, Lost


@pytest.fixture
def servers(nodes):
    """Three servers."""
    return [dataclasses.replace(node, role=None) for node in nodes]


def test_every_server_is_a_route_of_every_server(servers):
    for node in servers:
        text = conf(node, servers, {})
        assert f"server_name: {node.name}\n" in text
        assert f"server_tags: [{node.name}]\n" in text
        for other in servers:
            assert f"    nats://{other.address}:6222\n" in text
        assert "no_advertise: true" in text
        assert "sync_interval" not in text
        spec = container(node, servers, {})
        assert spec.data_dir == "/var/lib/nats"
        assert f"store_dir: {spec.data_dir}\n" in text
        others = " ".join(other.address for other in servers if other is not node)
        assert (
            f"together 6222 {servers.index(node)} {others}; exec nats-server " in spec.command[-1]
        )


def test_one_server_is_no_cluster(servers):
    assert "cluster" not in conf(servers[0], servers[:1], {})
    assert "together" not in container(servers[0], servers[:1], {}).command[-1]


class Recorder:
    """In the place of a connection: keeps what is asked for, and says that `leader` leads."""

    def __init__(self, leader="n2", there=False):
        self.js, self.asked, self.leader, self.there = self, [], leader, there

    def begin(self, within_s=None):
        pass

    def run(self, asked):
        return asyncio.run(asked)

    async def add_stream(self, config):
        self.asked.append(config.as_dict())
        if self.there:
            raise js.BadRequestError(code=400, err_code=10058)

    async def update_stream(self, config):
        self.asked.append(config.as_dict())

    async def add_consumer(self, stream, config):
        self.asked.append(config.as_dict())

    async def stream_info(self, name):
        return SimpleNamespace(cluster=SimpleNamespace(leader=self.leader))

    async def consumer_info(self, stream, name):
        return await self.stream_info(name)


def test_settings_reach_the_server_and_the_streams(servers):
    given = {"replicas": 1, "sync_interval": "always", "ping_interval": "5s", "ack_wait": "1500ms"}
    text = conf(servers[0], servers, given)
    assert "  sync_interval: always\n" in text.partition("jetstream {")[2].partition("}")[0]
    assert "\nping_interval: 5s\n" in text
    assert "replicas" not in text
    line = Recorder()
    assert make_queue(line, given, "k1", ["n1", "n2", "n3"])
    stream, workers = line.asked
    assert stream["num_replicas"] == 1
    assert stream["placement"] == {"tags": ["n2"]}
    assert stream["subjects"] == ["queue.k1"]
    assert workers["ack_wait"] == 1_500_000_000


@pytest.mark.parametrize("there", [False, True])
def test_a_stream_is_spread_from_the_node_that_leads_it(there):
    line = Recorder(there=there)
    assert make_log(line, {}, "k1", ["n1", "n2", "n3"])
    first, then = line.asked
    assert (first["num_replicas"], first["placement"]) == (1, {"tags": ["n2"]})
    assert then["num_replicas"] == 3
    assert then.get("placement") is None
    assert first["subjects"] == then["subjects"] == ["log.k1"]


def test_a_server_that_is_alone_needs_no_placement():
    line = Recorder()
    assert make_bucket(line, {"replicas": 1}, ["n1"])
    (config,) = line.asked
    assert config.get("placement") is None
    assert config["allow_direct"] is True


def test_a_key_has_its_node():
    assert [preferred(f"k{i}", ["a", "b", "c"]) for i in range(4)] == ["a", "b", "c", "a"]
    assert [place_of(key) for key in ("k0", "k12", "orders")] == [0, 12, 0]


def test_what_ships_can_run(servers):
    assert list(SYSTEM.check(servers, {"replicas": 3, "sync_interval": "always"})) == []
    assert list(SYSTEM.check(servers, {"replicas": 1, "sync_interval": "250ms"})) == []


@pytest.mark.parametrize(
    ("role", "settings", "said"),
    [
        ("primary", {}, "nodes.n1.role: NATS elects a leader for each stream"),
        (None, {"replicas": 5}, "settings.replicas: expected at most the number of nodes, 3"),
        (None, {"replicas": 2}, "settings.replicas: expected a value matching 1|3|5, got '2'"),
        (None, {"sync_interval": "0s"}, "settings.sync_interval: expected"),
        (None, {"sync_interval": "sometimes"}, "settings.sync_interval: expected"),
        (None, {"ack_wait": 2}, "settings.ack_wait: expected a duration"),
    ],
)
def test_what_cannot_be_is_refused(servers, role, settings, said):
    asked = [dataclasses.replace(servers[0], role=role), *servers[1:]]
    found = list(SYSTEM.check(asked, settings))
    assert len(found) == 1
    assert said in found[0]


def test_options():
    assert list(SYSTEM.check_options({"reads": "direct", "failover": True}, "register")) == []
    assert "expected" in next(iter(SYSTEM.check_options({"reads": "quorum"}, "register")))
    assert "register" in next(iter(SYSTEM.check_options({"reads": "direct"}, "queue")))


def jsz(leader="n1", last=7, group="S-R3F-x", **stream):
    """What a server says of itself, of a stream that n1 leads and one that nobody wrote to."""
    cluster = {"leader": leader, "raft_group": group, "replicas": [
        {"name": "n3", "current": False, "lag": 4}, {"name": "n2", "current": True}]}  # fmt: skip
    state = {"messages": 5, "last_seq": last}
    detail = {"name": "queue_k0", "cluster": cluster, "state": state, **stream}
    idle = {"name": "KV_data", "cluster": cluster, "state": {"messages": 0, "last_seq": 0}}
    return {
        "meta_cluster": {"leader": "n2"},
        "account_details": [{"stream_detail": [detail, idle]}],
    }


def seen_as(node, answer, count=3):
    return observed(node, in_use(streams(answer, count)), 3, "n2")


def test_roles_are_those_of_the_first_stream_in_use():
    workers = {"name": "workers", "num_pending": 2, "num_ack_pending": 1,
               "cluster": {"leader": "n1"}}  # fmt: skip
    answer = jsz(consumer_detail=[{"name": "Xk3", "num_pending": 9}, workers])
    seen = seen_as("n1", answer)
    assert (seen.role, seen.term, seen.shard) == ("primary", 3, None)
    assert seen.note == (
        "queue_k0: 5 messages; 2 waiting, 1 not acknowledged; n3 is 4 entries behind"
    )
    follower = seen_as("n2", answer)
    assert (follower.role, follower.note) == ("replica", "queue_k0: 5 messages; meta leader")
    assert seen_as("n1", jsz(leader="")).role == "candidate"
    idle = seen_as("n1", jsz(last=0))
    assert idle.note is not None
    assert idle.note.startswith("KV_data")
    assert "queue_k0 is led by n1" in idle.note


def test_who_has_not_found_the_raft_group_leads_nothing():
    assert seen_as("n1", jsz(group="")).role == "candidate"
    assert seen_as("n1", jsz(group=""), count=1).role == "primary"


def test_a_server_that_holds_nothing_hands_on():
    assert observed("n2", [], None, "n1").role == "replica"
    assert observed("n2", [], None, "").role == "candidate"


def test_who_is_not_counted():
    meta = {"leader": "n2", "replicas": [{"name": "n1", "current": True}]}
    answers = {name: {"meta_cluster": meta} for name in ("n1", "n2", "n3")}
    assert led(answers)
    assert uncounted(answers) == {"n3": "is not counted by n2, the meta leader"}
    unaware = {**answers, "n1": {}}
    assert not led(unaware)
    assert uncounted(unaware)["n1"] == "knows no meta leader"
    assert uncounted({"n1": {}}) == {}


@pytest.mark.parametrize(("leader", "who"), [("n3", "n2, n3"), ("", "nobody")])
def test_a_cluster_that_is_not_led_misses_nobody(leader, who):
    others = "n2" if leader else ""
    answers = {n: {"meta_cluster": {"leader": others}} for n in ("n2", "n3")}
    answers["n1"] = {"meta_cluster": {"leader": leader}}
    assert not led(answers)
    with pytest.raises(NotYet, match=f"the meta group is led by {who}"):
        uncounted(answers)


def test_who_has_not_what_the_leader_of_the_bucket_has():
    answers = {name: jsz() for name in ("n1", "n2", "n3")}
    settings = {"replicas": 3}
    assert behind(answers, settings) == {"n3": "is 4 entries behind n1, or not counted by it"}
    answers["n2"] = jsz(leader="")
    assert behind(answers, settings)["n2"] == "does not know who leads it"
    with pytest.raises(NotYet, match="is on 2 servers, and is to be on 3"):
        behind({name: answers[name] for name in ("n1", "n2")}, settings)
    with pytest.raises(NotYet, match="led by nobody"):
        behind({name: jsz(leader="") for name in ("n1", "n2", "n3")}, settings)


def test_who_stays_missing_is_started_again_and_said(monkeypatch):
    clock, done, missing = [0.0], [], {"n3": "is late"}
    monkeypatch.setattr(forming.time, "monotonic", lambda: clock[0])
    cluster = SimpleNamespace(
        stop=lambda node: done.append(("stop", node)),
        start=lambda node: done.append(("start", node)),
    )
    patience = Patience(cluster, lambda: missing)
    for at, so_far in ((0, 0), (2, 0), (3.5, 2), (5, 2), (7, 4)):
        clock[0] = at
        with pytest.raises(NotYet, match="n3 is late"):
            patience()
        assert done == [("stop", "n3"), ("start", "n3")] * (so_far // 2)
    missing.clear()
    assert patience()


@pytest.mark.parametrize(
    ("behaviour", "role"), [("silent", "unknown"), ("closes", "down"), ("refuses", "down")]
)
def test_a_server_that_does_not_answer(behaviour, role, listening):
    observer = Observer("n1", 3, ("127.0.0.1", listening(behaviour)), 0.2)
    assert observer.observe().role == role
    assert observer.clock() is None


def answer(code, err_code, description):
    """What nats-py raises for an answer of JetStream's."""
    try:
        js.APIError.from_error({"code": code, "err_code": err_code, "description": description})
    except js.APIError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (js.NoStreamResponseError(), True, "no-stream"),
        (nats.NoRespondersError(), True, "no-responders"),
        (js.ServiceUnavailableError(), True, "no-jetstream"),
        (answer(503, 10008, "JetStream system temporarily unavailable"), True, "no-leader"),
        (answer(503, None, "raft: not leader"), True, "not-leader"),
        (answer(503, None, "raft: something else"), False, "unknown"),
        (answer(503, 10023, "insufficient resources"), False, "no-resources"),
        (answer(503, 10077, "no space left on device"), False, "store-failed"),
        (answer(500, 10047, "insufficient storage resources"), False, "no-resources"),
        (answer(400, 10071, "wrong last sequence: 4"), True, "wrong-sequence"),
        (answer(404, 10059, "stream not found"), True, "no-such-stream"),
        (answer(404, 10014, "consumer not found"), True, "no-such-consumer"),
        (answer(500, 10052, "general error"), False, "unknown"),
        (nats.MaxPayloadError(), True, "too-large"),
        (nats.ConnectionClosedError(), True, "closed"),
        (NotAcknowledged("TimeoutError"), False, "not-acknowledged"),
        (NotCommitted("Lost"), True, "not-committed"),
        (nats.TimeoutError(), False, "timeout"),
        (TimeoutError("no answer in time"), False, "timeout"),
        (Lost("nats: unexpected EOF"), False, "connection-lost"),
        (nats.StaleConnectionError(), False, "unknown"),
    ],
)
def test_errors(error, definite, code):
    judged, text = classify(error, SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


def test_after_every_indefinite_error_the_connection_is_dropped():
    for error in (Lost("x"), TimeoutError("x"), nats.TimeoutError(), NotAcknowledged("x")):
        assert isinstance(error, BROKEN)


def test_a_status_is_no_message():
    client = Client()
    said = Msg(client, headers={"Status": "408", "Description": "Request Timeout"})
    assert _status(said) == ("408", "Request Timeout")
    assert _status(Msg(client, data=b"7")) == ("", "")


@pytest.mark.parametrize("behaviour", ["silent", "closes", "refuses"])
def test_a_connection_that_cannot_be_leaves_nothing(behaviour, listening):
    before = set(threading.enumerate())
    begun = time.monotonic()
    with pytest.raises(NotConnected) as raised:
        Line(("127.0.0.1", listening(behaviour)), 0.3)
    assert time.monotonic() - begun < 1
    word = {"silent": "timed out", "closes": "timed out", "refuses": "connection refused"}
    assert word[behaviour] in str(raised.value)
    assert classify(raised.value, SYSTEM.errors)[0] is True
    assert not [t for t in set(threading.enumerate()) - before if "hang_up" not in t.name]


def test_who_was_told_of_no_log_polls_none():
    spec = ClientSpec(zone="z", home="n1", endpoints={}, settings={}, options={}, timeout_s=0.1)
    client = SYSTEM.client(spec, "log")
    with pytest.raises(Definite, match="not-assigned"):
        client._do["poll"](None, Invocation("poll"))
