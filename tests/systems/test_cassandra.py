"""Cassandra: what nodes are configured with, what they say, and what the driver's errors mean."""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import uuid
from datetime import datetime
from types import SimpleNamespace

import pytest
import yaml
from cassandra import ConsistencyLevel, OperationTimedOut
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown, DefaultEndPoint
from cassandra.protocol import ErrorMessage

from chaos.record.op import Invocation
from chaos.systems.base import ClientSpec, Definite, classify
from chaos.systems.cassandra import admin, client, conf, frames
from chaos.systems.cassandra.clients import OPTIONS
from chaos.systems.cassandra.observer import Observer, unix_ns
from chaos.systems.cassandra.system import SYSTEM
from chaos.systems.cassandra.wire import LEVELS, Links

SERIAL, QUORUM = ConsistencyLevel.SERIAL, ConsistencyLevel.QUORUM
EACH_QUORUM = ConsistencyLevel.EACH_QUORUM


@pytest.fixture
def ring(nodes):
    """Three nodes of one region."""
    return [dataclasses.replace(node, role=None, region="us-east") for node in nodes]


@pytest.fixture
def four(ring):
    """Two nodes in each of two regions."""
    far = dataclasses.replace(ring[0], region="us-west")
    west = [
        dataclasses.replace(far, name=f"n{k}", zone=f"z{k}", address=f"198.18.7.{9 + k}")
        for k in (3, 4)
    ]
    return [*ring[:2], *west]


def test_every_node_is_a_seed_with_a_token_of_its_own(ring):
    files = [yaml.safe_load(conf.cassandra_yaml(node, ring, {})) for node in ring]
    for node, file in zip(ring, files, strict=True):
        seeds = file["seed_provider"][0]["parameters"][0]["seeds"]
        assert seeds == "198.18.7.10,198.18.7.11,198.18.7.12"
        assert file["listen_address"] == file["broadcast_rpc_address"] == node.address
        assert file["auto_bootstrap"] is False
        assert file["commitlog_sync"] == "periodic"
        assert file["commitlog_sync_period"] == "10000ms"
    tokens = [file["initial_token"] for file in files]
    assert tokens == [-(2**63), -(2**63) + 2**64 // 3, -(2**63) + 2 * 2**64 // 3]


def test_settings_reach_the_node(ring):
    given = {
        "commitlog_sync": "batch",
        "write_request_timeout": "750ms",
        "hinted_handoff_enabled": False,
        "max_hint_window": "30m",
        "paxos_variant": "v2",
        "heap": "300m",
    }
    file = yaml.safe_load(conf.cassandra_yaml(ring[0], ring, given))
    assert file["commitlog_sync"] == "batch"
    assert "commitlog_sync_period" not in file
    assert file["write_request_timeout"] == "750ms"
    assert file["hinted_handoff_enabled"] is False
    assert file["max_hint_window"] == "1800000ms"
    assert file["paxos_variant"] == "v2"
    spec = conf.container(ring[0], ring, given)
    assert "-Xmx300m" in spec.command
    assert spec.files[conf.PLACE] == "dc=us-east\nrack=z1\n"


def test_a_node_without_its_data_replaces_itself(ring):
    spec = conf.container(ring[1], ring, {}, replaces=True)
    assert "-Dcassandra.replace_address_first_boot=198.18.7.11" in spec.command
    file = yaml.safe_load(spec.files[conf.CONF])
    assert file["auto_bootstrap"] is True
    assert "initial_token" not in file
    assert file["seed_provider"][0]["parameters"][0]["seeds"] == "198.18.7.10,198.18.7.12"


def test_a_repair_begins_when_all_replicas_are_there(ring):
    done = []
    cluster = SimpleNamespace(
        nodes=ring,
        wait=lambda what, *_: done.append(what),
        execute=lambda node, words, **_: done.append((node, *words[-3:])),
    )
    admin.STEPS["repair"].run(cluster, "n3")
    assert done == ["all nodes see n3", ("n3", "repair", "--full", "aftershock")]


def test_each_region_has_its_copies(ring, four):
    assert conf.replication(ring, {}) == {"us-east": 3}
    assert conf.replication(four, {}) == {"us-east": 2, "us-west": 2}
    assert conf.replication(four, {"replication": 1}) == {"us-east": 1, "us-west": 1}
    made = admin.schema(SimpleNamespace(nodes=four, settings={"read_repair": "NONE"}))
    assert all("IF NOT EXISTS" in statement for statement in made)
    assert sum("'us-east': 2, 'us-west': 2" in statement for statement in made) == 2
    assert sum("read_repair = 'NONE'" in statement for statement in made) == len(client.TABLES)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"replication": 4}, r"replication: expected at most .* got 4 for the 3 of us-east"),
        ({"commitlog_sync": "batch", "commitlog_sync_period": "1s"}, "means nothing without"),
        ({"read_repair": "sometimes"}, "read_repair: expected a value matching"),
        ({"heap": "1g"}, "heap: expected"),
    ],
)
def test_what_cannot_be_meant_is_said(ring, settings, complaint):
    (said,) = SYSTEM.check(ring, settings)
    assert re.search(complaint, said)


def test_all_nodes_are_alike(ring):
    assert list(SYSTEM.check(ring, {})) == []
    (said,) = SYSTEM.check([dataclasses.replace(ring[0], role="primary"), *ring[1:]], {})
    assert "nodes.n1.role" in said


@pytest.mark.parametrize(
    ("workload", "options", "complaint"),
    [
        ("register", {"read-consistency": "SOME"}, "client.read-consistency"),
        ("register", {"write-consistency": "SERIAL"}, "client.write-consistency"),
        ("register", {"writes": "lwt", "timestamps": "client"}, "from its ballot"),
        ("register", {"writes": "lwt", "write-consistency": "ANY"}, "cannot be committed at ANY"),
        ("counter", {"read-consistency": "SERIAL"}, "know no lightweight transactions"),
        ("counter", {"writes": "lwt"}, "means nothing to the workload counter"),
        ("register", {"elements": "rows"}, "means nothing to the workload register"),
    ],
)
def test_options_that_cannot_be_meant_are_said(workload, options, complaint):
    (said,) = SYSTEM.check_options(options, workload)
    assert complaint in said


def test_levels_are_the_drivers():
    for name in ("read-consistency", "write-consistency", "serial-consistency"):
        pattern = OPTIONS[name].values
        assert set(pattern.split("|")) <= set(LEVELS)


def test_peers_are_dialled_through_the_clients_own_links():
    links = Links({"198.18.7.11": ("127.0.0.1", 4711)})
    row = {"native_address": "198.18.7.11", "native_port": 9042}
    assert links.create(row) == DefaultEndPoint("127.0.0.1", 4711)
    row = {"native_address": "198.18.7.99", "native_port": 9042}
    assert links.create(row) == DefaultEndPoint("198.18.7.99", 9042)


def answered(code: int, info: bytes) -> Exception:
    """What the driver raises for an ERROR frame of the protocol's version 5."""
    body = struct.pack(">iH2s", code, 2, b"no") + info
    raised = ErrorMessage.recv_body(io.BytesIO(body), 5).to_exception()
    assert isinstance(raised, Exception)
    return raised


def text(word: str) -> bytes:
    return struct.pack(">H", len(word)) + word.encode()


UNAVAILABLE = struct.pack(">Hii", QUORUM, 2, 1)


def timed_out(kind: str, level: int = QUORUM) -> bytes:
    return struct.pack(">Hii", level, 1, 2) + text(kind)


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (answered(0x1000, UNAVAILABLE), True, "unavailable"),
        (answered(0x1000, struct.pack(">Hii", EACH_QUORUM, 2, 0)), True, "unavailable"),
        (answered(0x1100, timed_out("SIMPLE", EACH_QUORUM)), False, "write-timeout"),
        (answered(0x1100, timed_out("SIMPLE")), False, "write-timeout"),
        (answered(0x1100, timed_out("COUNTER")), False, "write-timeout"),
        (answered(0x1100, timed_out("CAS")), False, "lwt-timeout"),
        (answered(0x1200, struct.pack(">Hii?", QUORUM, 1, 2, False)), True, "read-timeout"),
        (answered(0x1300, struct.pack(">Hiii?", QUORUM, 1, 2, 0, False)), True, "read-failure"),
        (
            answered(0x1500, struct.pack(">Hiii", QUORUM, 1, 2, 0) + text("SIMPLE")),
            False,
            "write-failure",
        ),
        (answered(0x1001, b""), False, "overloaded"),
        (answered(0x1002, b""), True, "bootstrapping"),
        (answered(0x0000, b""), False, "server-error"),
        (answered(0x2200, b""), True, "invalid"),
        (answered(0x2000, b""), True, "syntax"),
        (answered(0x1700, struct.pack(">Hii", SERIAL, 1, 2)), False, "lwt-unknown"),
        (answered(0x1234, b""), False, "unknown"),
        (NoHostAvailable("Unable to complete the operation", {}), True, "no-host"),
        (OperationTimedOut(), False, "timeout"),
        (ConnectionShutdown("closed"), False, "connection-lost"),
        (ConnectionResetError("reset"), False, "network"),
    ],
)
def test_errors_as_the_driver_reads_them_off_the_wire(error, definite, code):
    judged, why = classify(error, SYSTEM.errors)
    assert (judged, why.split(":")[0]) == (definite, code)


class Answers:
    """A session that answers with rows, or raises, and keeps what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def ask(self, *asked):
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        pass


def client_with(answer, workload="register", **options):
    spec = ClientSpec(zone="z1", home="n1", endpoints={}, settings={}, options=options, timeout_s=1)
    made = SYSTEM.client(spec, workload)
    made._session = Answers(answer)
    return made


CAS = Invocation("cas", "k0", 2, 1)


def test_a_cas_is_decided_by_its_answer():
    assert client_with([(True,)]).invoke(CAS).value == 2
    with pytest.raises(Definite, match="cas-mismatch"):
        client_with([(False, 7)]).invoke(CAS)
    with pytest.raises(Definite, match="cas-mismatch"):
        client_with([(False,)]).invoke(CAS)


@pytest.mark.parametrize(
    ("error", "definite"),
    [
        (answered(0x1000, struct.pack(">Hii", SERIAL, 2, 1)), True),  # of the first round
        (answered(0x1000, UNAVAILABLE), False),  # of the commit: it was decided already
        (answered(0x1200, struct.pack(">Hii?", SERIAL, 1, 2, False)), False),
        (answered(0x1100, timed_out("CAS")), False),
    ],
)
def test_what_an_lwt_that_failed_may_have_done(error, definite):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client_with(error).invoke(CAS)
    assert classify(raised.value, SYSTEM.errors)[0] is definite
    write = client_with(error, writes="lwt")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        write.invoke(Invocation("write", "k0", 2))
    assert classify(raised.value, SYSTEM.errors)[0] is definite


def test_levels_and_statements_follow_the_options():
    plain = client_with([])
    plain.invoke(Invocation("write", "k0", 2))
    assert plain._session.asked == [(client.WRITE, (2, "k0"), QUORUM)]
    far = client_with([], **{"write-consistency": "EACH_QUORUM"})
    far.invoke(Invocation("write", "k0", 2))
    assert far._session.asked == [(client.WRITE, (2, "k0"), EACH_QUORUM)]
    lwt = client_with([(True,)], **{"writes": "lwt", "write-consistency": "LOCAL_QUORUM"})
    lwt.invoke(Invocation("write", "k0", 2))
    lwt.invoke(Invocation("read", "k0"))
    (write, read) = lwt._session.asked
    assert write == (client.WRITE_LWT, (2, "k0"), ConsistencyLevel.LOCAL_QUORUM, SERIAL)
    assert read == (client.READ, ("k0",), SERIAL)


@pytest.mark.parametrize("elements", ["rows", "collection"])
def test_a_set_is_rows_or_a_collection(elements):
    rows = [(1,), (3,)] if elements == "rows" else [({3, 1},)]
    assert client_with(rows, "set", elements=elements).invoke(Invocation("read")).payload == "[1,3]"
    assert client_with([], "set", elements=elements).invoke(Invocation("read")).payload == "[]"


def beat(node, heartbeat):
    return (node, 1, heartbeat, "schema")


def test_a_node_says_whom_it_has_not_heard_of(ring):
    seen = Observer(SimpleNamespace(nodes=ring), "n1", 1.0)
    own = beat("198.18.7.10", 5)
    first = seen.seen([own, beat("198.18.7.11", 7)], [], 100.0)
    assert (first.role, first.lag_ms, first.note) == ("member", 0.0, "has not heard of n3")
    both = [own, beat("198.18.7.11", 7), beat("198.18.7.12", 1)]
    assert seen.seen(both, [], 101.0).note is None
    later = [own, beat("198.18.7.11", 7), beat("198.18.7.12", 9)]
    late = seen.seen(later, [("198.18.7.11", 2)], 110.0)
    assert late.lag_ms == 10_000.0
    assert late.note == "not heard of n2 for 10 s; keeps 2 files of hints for n2"
    split = [own, beat("198.18.7.11", 8), (*beat("198.18.7.12", 10)[:3], str(uuid.uuid4()))]
    assert seen.seen(split, [], 111.0).note == "2 schemas"


@pytest.mark.parametrize(
    ("behaviour", "role"), [("refuses", "down"), ("silent", "unknown"), ("closes", "down")]
)
def test_nobody_there_is_down_and_nobody_who_speaks_is_unknown(ring, listening, behaviour, role):
    port = listening(behaviour)
    cluster = SimpleNamespace(nodes=ring, address=lambda *_: ("127.0.0.1", port))
    assert Observer(cluster, "n1", 0.3).observe().role == role


def test_a_time_without_a_zone_is_utc():
    assert unix_ns(datetime(2026, 11, 30, 12, 0, 0, 123000)) == 1796040000123 * 1_000_000


@pytest.mark.parametrize(("ask", "answer"), [(0, 2_000), (300_000, 640), (5, 60_000)])
def test_requests_of_a_given_size_are_whole_frames(ask, answer):
    rest, sizes = SYSTEM.bulk("db", ask, answer), []
    assert len(rest) >= ask
    while rest:
        version, _, stream, opcode, size = struct.unpack_from(">BBhBi", rest)
        assert (version, stream, opcode) == (4, 0, frames.OPTIONS)
        sizes.append(size)
        rest = rest[9 + size :]
    assert sum(sizes) == ask
    assert sizes.count(0) * frames.ANSWER_BYTES >= answer
    assert sizes == sorted(sizes, key=lambda size: size == 0), "the short ones come last"
