"""Kafka: what brokers are configured with, what they say of themselves, what librdkafka raises."""

from __future__ import annotations

import dataclasses
import struct
import threading
import time

import pytest
from confluent_kafka import KafkaError, KafkaException

from chaos.record.op import Invocation
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import NotConnected, classify
from chaos.systems.kafka.conf import CONF, advertised, container, server_properties
from chaos.systems.kafka.consumers import NothingPolled, Polls
from chaos.systems.kafka.driver import consuming
from chaos.systems.kafka.observer import observed, whole
from chaos.systems.kafka.producers import Transactions, Unsent
from chaos.systems.kafka.system import SYSTEM
from chaos.systems.kafka.wire import CORRELATION, GREETING, Line, Metadata, Partition


@pytest.fixture
def brokers(nodes):
    return [dataclasses.replace(node, role=None) for node in nodes]


def properties(spec):
    return dict(line.split("=", 1) for line in spec.files[CONF].splitlines())


def test_every_broker_is_a_controller_too_and_knows_the_others(brokers):
    for number, node in enumerate(brokers, 1):
        conf = server_properties(node, brokers, {})
        assert conf["process.roles"] == "broker,controller"
        assert conf["node.id"] == str(number)
        assert conf["controller.quorum.voters"] == (
            "1@198.18.7.10:9093,2@198.18.7.11:9093,3@198.18.7.12:9093"
        )
        assert conf["advertised.listeners"] == f"REPLICATION://{node.address}:9091"
        assert conf["default.replication.factor"] == "3"
        assert "min.insync.replicas" not in conf
        assert conf["auto.create.topics.enable"] == "false"


def test_settings_reach_the_broker(brokers):
    given = {
        "min.insync.replicas": 2,
        "unclean.leader.election.enable": True,
        "replica.lag.time.max.ms": "1500ms",
        "log.flush.interval.messages": 1,
        "default.replication.factor": 2,
        "heap": "300m",
    }
    spec = container(brokers[0], brokers, given)
    conf = properties(spec)
    assert conf["min.insync.replicas"] == "2"
    assert conf["unclean.leader.election.enable"] == "true"
    assert conf["replica.lag.time.max.ms"] == "1500"
    assert conf["log.flush.interval.messages"] == "1"
    assert conf["default.replication.factor"] == conf["offsets.topic.replication.factor"] == "2"
    assert " -Xmx300m " in spec.command[-1]
    assert spec.data_dir == "/var/lib/kafka"


def test_each_zone_is_told_its_own_addresses(brokers):
    links = {"observer": ("192.0.2.2", 20000), "us-a": ("192.0.2.2", 20009), "us-b": ("h", 5)}
    conf = properties(advertised(container(brokers[1], brokers, {}), links))
    assert conf["listeners"].split(",") == [
        "CONTROLLER://198.18.7.11:9093",
        "REPLICATION://198.18.7.11:9091",
        "CLIENTS0://0.0.0.0:9092",
        f"CLIENTS1://0.0.0.0:{SYSTEM.zone_port('db', 0)}",
        f"CLIENTS2://0.0.0.0:{SYSTEM.zone_port('db', 1)}",
    ]
    assert conf["advertised.listeners"].split(",")[1:] == [
        "CLIENTS0://192.0.2.2:20000", "CLIENTS1://192.0.2.2:20009", "CLIENTS2://h:5",
    ]  # fmt: skip
    ports = [SYSTEM.ports["db"], *(SYSTEM.zone_port("db", place) for place in range(20))]
    assert len({*ports, *SYSTEM.ports.values()}) == len(ports) + 2
    assert SYSTEM.zone_port("controller", 3) == 9093


def test_what_ships_can_run(brokers):
    assert list(SYSTEM.check(brokers, {"min.insync.replicas": 2})) == []
    assert list(SYSTEM.check(brokers[:1], {})) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"min.insync.replicas": 4}, "settings.min.insync.replicas: expected at most the 3"),
        ({"default.replication.factor": 4}, "4 copies need as many nodes, got 3"),
        ({"unclean.leader.election.enable": "maybe"}, "unclean.leader.election.enable: expected"),
        ({"replica.lag.time.max.ms": 500}, "replica.lag.time.max.ms: expected a duration"),
        ({"broker.heartbeat.interval.ms": "4s"}, "expected less than broker.session.timeout.ms"),
        ({"heap": "1g"}, "settings.heap: expected"),
    ],
)
def test_what_cannot_be_is_refused(brokers, settings, said):
    found = list(SYSTEM.check(brokers, settings))
    assert len(found) == 1
    assert said in found[0]


def test_nobody_is_appointed(nodes):
    (found,) = SYSTEM.check(nodes, {})
    assert found.startswith("nodes.n1.role: ")


def test_options():
    assert list(SYSTEM.check_options({"acks": 1, "isolation": "read_uncommitted"}, "log")) == []
    assert list(SYSTEM.check_options({"acks": "all", "idempotence": True}, "log")) == []
    (found,) = SYSTEM.check_options({"acks": "1", "idempotence": True}, "log")
    assert "acks: all" in found
    (found,) = SYSTEM.check_options({"acks": 2}, "log")
    assert "client.acks: expected" in found
    (found,) = SYSTEM.check_options({"commit": "never"}, "log")
    assert "client.commit: expected" in found


def test_who_commits_before_it_shows_leaves_nothing_to_the_driver(spec_at):
    after, before = spec_at(SYSTEM, 1), spec_at(SYSTEM, 1, commit="before")
    assert consuming(after, group=True)["enable.auto.commit"] is True
    assert consuming(before, group=True)["enable.auto.commit"] is False
    assert consuming(after, group=False)["enable.auto.commit"] is False


def test_a_consumer_that_is_being_closed_is_asked_nothing_when_it_is_dealt_logs(spec_at):
    class Closing:
        def consumer_group_metadata(self):
            raise AssertionError("it would never answer")

    polls = Polls(spec_at(SYSTEM, 1))
    polls._dealt(Closing(), [])
    assert polls.member is None


NAMES = {1: "n1", 2: "n2", 3: "n3"}


def log(name, leader, *in_sync, copies=(1, 2, 3), epoch=4):
    return Partition(name, leader, epoch, copies, in_sync)


def test_who_leads_a_log_is_its_primary():
    known = Metadata((1, 2, 3), (log("k0", 1, 1, 2), log("k1", 1, 1, epoch=6), log("k2", 3, 3)))
    seen = observed(1, NAMES, known, {"k0": 12}, ["controller in epoch 2"])
    assert (seen.role, seen.shard, seen.term) == ("primary", "k0,k1", 6)
    assert seen.note == "controller in epoch 2; k0 ends at 12, in sync: n1 n2; k1 in sync: n1"
    seen = observed(2, NAMES, known, {"k0": 9, "k1": 0, "k2": 3})
    assert (seen.role, seen.shard, seen.term) == ("replica", "k0,k1,k2", None)
    assert seen.note is not None
    assert seen.note.startswith("k0 ends at 9, in sync: n1 n2; k1 ends at 0, in sync: n1; ")
    assert observed(2, NAMES, Metadata((1, 2, 3), ()), {}).role == "member"


def test_a_cluster_is_whole_when_all_say_so_and_every_copy_is_in_sync():
    good = Metadata((1, 2, 3), (log("k0", 1, 3, 1, 2),))
    assert whole([good] * 3)
    assert whole([Metadata((1,), ())])
    assert not whole([good] * 2)
    assert not whole([good, good, Metadata((1, 2, 3), (log("k0", 2, 3, 1, 2),))])
    assert not whole([Metadata((1, 2, 3), (log("k0", 1, 1, 2),))] * 3)
    assert not whole([Metadata((1, 2, 3), (log("k0", -1, 3, 1, 2),))] * 3)


def text(said):
    return struct.pack("!h", len(said)) + said.encode()


def numbers(*each):
    return struct.pack(f"!i{len(each)}i", len(each), *each)


def answer(body):
    return struct.pack("!i", len(CORRELATION) + len(body)) + CORRELATION + body


class Told(Line):
    """A line on which the answer is known beforehand."""

    def __init__(self, body):
        super().__init__(("", 0), 1.0)
        self.body = body
        self.asked = b""

    def _ask(self, api, body, *, compact=False):
        self.asked = body
        return self.body


def test_metadata_is_read_as_it_is_written():
    brokers = struct.pack("!i", 1) + struct.pack("!i", 2) + text("h") + struct.pack("!ih", 9, -1)
    partition = struct.pack("!hiii", 0, 0, 2, 7) + numbers(2, 3) + numbers(2) + numbers()
    topic = struct.pack("!h", 0) + text("k0") + b"\0" + struct.pack("!i", 1) + partition
    own = struct.pack("!h", 0) + text("__consumer_offsets") + b"\1" + struct.pack("!i", 1)
    body = struct.pack("!i", 0) + brokers + text("id") + struct.pack("!ii", 2, 2)
    told = Told(body + own + partition + topic).metadata()
    assert told == Metadata((2,), (Partition("k0", 2, 7, (2, 3), (2,)),))
    with pytest.raises(ValueError, match="cut short"):
        Told(body).metadata()


def test_ends_and_places_are_read_as_they_are_written():
    one = struct.pack("!ihqq", 0, 0, -1, 312)
    other = struct.pack("!ihqq", 0, 3, -1, -1)  # no such log
    topics = [text(name) + struct.pack("!i", 1) + at for name, at in (("k0", one), ("k1", other))]
    line = Told(struct.pack("!i", 2) + b"".join(topics))
    assert line.ends(["k0", "k1"]) == {"k0": 312}
    assert line.asked.startswith(struct.pack("!ii", -2, 2) + text("k0"))
    place = text("k0") + struct.pack("!iiq", 1, 0, 40) + text("") + struct.pack("!h", 0)
    assert Told(struct.pack("!i", 1) + place + struct.pack("!h", 0)).places("g") == {"k0": 40}
    assert Told(struct.pack("!ih", 0, 16)).places("g") == {}


def test_a_refused_reassignment_says_why():
    said = b"\x05" + b"nope"
    good = struct.pack("!ih", 0, 0) + b"\x00"
    partition = struct.pack("!ih", 0, 39) + said + b"\0"
    line = Told(good + b"\x02" + b"\x03k0" + b"\x02" + partition + b"\0" + b"\0")
    with pytest.raises(ValueError, match="error 39 nope"):
        line.reassign("k0", [2, 1])
    assert struct.pack("!ii", 2, 1) in line.asked
    with pytest.raises(ValueError, match="error 41"):
        Told(struct.pack("!ih", 0, 41) + b"\0\1\0").reassign("k0", [2])


def test_the_greeting_says_how_long_it_is():
    assert struct.unpack("!i", GREETING[:4]) == (len(GREETING) - 4,)


@pytest.mark.parametrize(("ask", "answer"), [(0, 2_000), (300_000, 640), (5, 5)])
def test_a_request_of_a_given_size_names_as_many_logs_as_that_takes(ask, answer):
    send = SYSTEM.bulk("db", ask, answer)
    assert struct.unpack_from("!i", send) == (len(send) - 4,)
    assert len(send) >= max(ask, answer)
    (count,) = struct.unpack_from("!i", send, 4 + 10)
    names = {send[18 + 202 * at + 2 : 18 + 202 * (at + 1)] for at in range(count)}
    assert len(names) == count
    assert sum(map(len, names)) >= max(ask, answer)  # and all of them come back
    assert send[18 + 202 * count :] == b"\0"
    assert SYSTEM.bulk("controller", ask, answer) is None


@pytest.mark.parametrize("behaviour", ["silent", "closes", "refuses"])
def test_a_question_has_one_deadline(behaviour, listening):
    begun = time.monotonic()
    line = Line(("127.0.0.1", listening(behaviour)), 0.2)
    with pytest.raises(OSError):  # noqa: PT011
        line.metadata()
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("code", "definite", "said"),
    [
        (KafkaError.NOT_ENOUGH_REPLICAS, True, "too-few-in-sync"),
        (KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, False, "too-few-in-sync-after"),
        (KafkaError.REQUEST_TIMED_OUT, False, "not-in-time"),
        (KafkaError._PURGE_INFLIGHT, False, "timeout"),
        (KafkaError._TIMED_OUT, False, "timeout"),
        (KafkaError._PURGE_QUEUE, False, "held-back"),
        (KafkaError._TRANSPORT, False, "connection-lost"),
        (KafkaError.KAFKA_STORAGE_ERROR, False, "storage"),
        (KafkaError.MSG_SIZE_TOO_LARGE, True, "too-large"),
        (KafkaError.NOT_LEADER_FOR_PARTITION, False, "refused"),
        (KafkaError.PRODUCER_FENCED, False, "refused"),
        (KafkaError.UNKNOWN, False, "refused"),
    ],
)
def test_errors_by_the_number_that_brokers_and_driver_use(code, definite, said):
    judged, why = classify(KafkaException(KafkaError(code)), SYSTEM.errors)
    assert (judged, why.split(":")[0]) == (definite, said)


def test_errors_of_ours():
    for error, definite, code in (
        (Unsent("purged in queue"), True, "unsent"),
        (NothingPolled("no answer"), True, "nothing-polled"),
        (NotCommitted("aborted"), True, "not-committed"),
        (TimeoutError("no report"), False, "no-report"),
        (NotConnected("asking who leads: Connection refused"), True, "connection-refused"),
    ):
        judged, why = classify(error, SYSTEM.errors)
        assert (judged, why.split(":")[0]) == (definite, code)


@pytest.mark.parametrize(
    ("behaviour", "code"), [("silent", "connect-timeout"), ("refuses", "connection-refused")]
)
def test_who_reaches_nobody_says_so_in_time_and_leaves_no_thread(
    behaviour, code, listening, spec_at
):
    before = threading.active_count()
    client = SYSTEM.client(spec_at(SYSTEM, listening(behaviour)), "log")
    begun = time.monotonic()
    for attempt in (client.open, lambda: client.invoke(Invocation("send", "k0", 1))):
        with pytest.raises(NotConnected) as raised:
            attempt()
        assert classify(raised.value, SYSTEM.errors)[1].startswith(code)
    assert time.monotonic() - begun < 2
    client.close()
    client.close()
    end = time.monotonic() + 2
    while threading.active_count() > before + 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before + 1  # the one that listens


def test_transactions_without_a_coordinator_have_not_begun(listening, spec_at):
    with pytest.raises(NotCommitted, match="no coordinator"):
        Transactions(spec_at(SYSTEM, listening("refuses")))
