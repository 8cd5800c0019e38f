"""The ERRORS tables, read as data, and judged on what the real drivers raise."""

from __future__ import annotations

import http.client
import re
import time

import psycopg
import pytest
from psycopg import errors as pg
from redis._parsers.base import BaseParser

from chaos.record.op import Invocation
from chaos.registry import SYSTEMS as REGISTRY
from chaos.systems._common import errors_table
from chaos.systems.base import Definite, NotConnected, classify
from chaos.systems.etcd.client import EtcdError
from chaos.systems.etcd.system import SYSTEM as ETCD
from chaos.systems.postgres.client import NoAnswer, NotReplicated
from chaos.systems.postgres.system import SYSTEM as POSTGRES
from chaos.systems.redis.system import SYSTEM as REDIS

REAL = [REGISTRY.get(name) for name in REGISTRY.builtin if name != "fake"]
SYSTEMS = pytest.mark.parametrize("system", REAL, ids=lambda s: s.name)


@SYSTEMS
def test_every_rule_is_complete(system):
    codes = [rule.code for rule in system.errors]
    assert len(set(codes)) == len(codes)
    for rule in system.errors:
        assert re.fullmatch(r"[a-z][a-z-]+", rule.code)
        assert len(rule.reason) > 20, rule.code
        re.compile(rule.pattern)


@SYSTEMS
def test_no_rule_hides_behind_a_wider_one(system):
    for position, rule in enumerate(system.errors):
        for earlier in system.errors[:position]:
            hidden = not earlier.pattern and issubclass(rule.kind, earlier.kind)
            assert not hidden, f"{rule.code} can never win: {earlier.code} comes first"


@SYSTEMS
def test_the_documentation_has_the_table(system, root):
    document = (root / "docs" / "systems" / f"{system.name}.md").read_text()
    index = (root / "docs" / "systems.md").read_text()
    assert f"| [{system.name}](systems/{system.name}.md) | {system.about} |" in index
    assert errors_table(system.errors) in document
    for name, about in {**system.settings, **system.client_options}.items():
        assert f"| `{name}` | {about} |" in document, name


@pytest.mark.parametrize(
    ("answer", "definite", "code"),
    [
        ("NOREPLICAS Not enough good replicas to write.", True, "too-few-replicas"),
        (
            "NOREPLICAS Not enough good replicas to write. script: 6f, on @user_script:3.",
            True,
            "too-few-replicas",
        ),
        ("READONLY You can't write against a read only replica.", True, "read-only"),
        ("LOADING Redis is loading the dataset in memory", True, "loading"),
        ("MASTERDOWN Link with MASTER is down and …", True, "master-down"),
        ("MISCONF Errors writing to the AOF file: No space left", True, "cannot-persist"),
        ("OOM command not allowed when used memory > 'maxmemory'.", True, "out-of-memory"),
        ("BUSY Redis is busy running a script.", True, "busy-script"),
        ("UNBLOCKED force unblock from blocking operation", False, "unblocked"),
        ("ERR max number of clients reached", True, "too-many-clients"),
        ("MOVED 3999 198.18.7.12:6379", True, "moved"),
        ("ASK 3999 198.18.7.12:6379", True, "moved"),
        ("CLUSTERDOWN The cluster is down", True, "cluster-down"),
        ("CLUSTERDOWN Hash slot not served", True, "cluster-down"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", True, "try-again"),
        ("CROSSSLOT Keys in request don't hash to the same slot", True, "cross-slot"),
        ("ERR something nobody has seen", False, "unknown"),
    ],
)
def test_redis_answers(answer, definite, code):
    judged, text = classify(BaseParser.parse_error(answer), REDIS.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (pg.lookup("25006")("cannot execute INSERT"), True, "read-only"),
        (pg.lookup("57P03")("the database system is starting up"), True, "cannot-connect-now"),
        (pg.lookup("53300")("too many clients already"), True, "too-many-connections"),
        (pg.lookup("40001")("could not serialize access"), True, "serialization-failure"),
        (pg.lookup("40P01")("deadlock detected"), True, "deadlock"),
        (pg.lookup("57014")("due to statement timeout"), True, "statement-timeout"),
        (pg.lookup("23505")("duplicate key value"), True, "duplicate-key"),
        (pg.lookup("57P01")("terminating connection"), False, "admin-shutdown"),
        (pg.lookup("57P02")("crash of another"), False, "crash-shutdown"),
        (pg.lookup("08006")("connection failure"), False, "connection-lost"),
        (psycopg.OperationalError("server closed the connection"), False, "connection-lost"),
        (NotReplicated("canceling wait for synchronous replication"), False, "not-replicated"),
        (NoAnswer("no answer within 1 s"), False, "timeout"),
        (pg.lookup("XX000")("internal"), False, "unknown"),
    ],
)
def test_postgres_errors(error, definite, code):
    judged, text = classify(error, POSTGRES.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (EtcdError("etcdserver: leader changed", 14), False, "leader-changed"),
        (EtcdError("etcdserver: request timed out", 14), False, "etcd-timeout"),
        (
            EtcdError("etcdserver: request timed out, possibly due to connection lost", 14),
            False,
            "etcd-timeout",
        ),
        (EtcdError("context deadline exceeded", 4), False, "etcd-timeout"),
        (EtcdError("etcdserver: no leader", 14), True, "no-leader"),
        (EtcdError("etcdserver: too many requests", 8), True, "too-many-requests"),
        (EtcdError("etcdserver: mvcc: database space exceeded", 8), True, "no-space"),
        (EtcdError("etcdserver: server stopped", 14), False, "server-stopped"),
        (EtcdError("raft proposal dropped", 2), True, "proposal-dropped"),
        (EtcdError("something new", 13), False, "unknown"),
        (TimeoutError("timed out"), False, "timeout"),
        (ConnectionResetError("reset"), False, "connection-lost"),
        (http.client.IncompleteRead(b""), False, "broken-answer"),
    ],
)
def test_etcd_errors(error, definite, code):
    judged, text = classify(error, ETCD.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


FIRST = {  # an operation of some kinds of client, at least one of which every system has
    "register": Invocation("read", "k0"),
    "set": Invocation("read"),
    "queue": Invocation("dequeue", "k0"),
    "log": Invocation("send", "k0", 1),
}


@pytest.mark.parametrize("behaviour", ["silent", "closes", "refuses"])
@pytest.mark.parametrize(
    ("system", "workload"),
    [(system, kind) for system in REAL for kind in FIRST if kind in system.workloads],
    ids=lambda part: getattr(part, "name", part),
)
def test_a_client_that_reaches_nobody_fails_definitely_and_in_time(
    system, behaviour, workload, listening, spec_at
):
    client = system.client(spec_at(system, listening(behaviour)), workload)
    begun = time.monotonic()
    with pytest.raises(NotConnected) as raised:
        client.open()
    assert time.monotonic() - begun < 1.5
    assert classify(raised.value, system.errors)[0] is True
    with pytest.raises(NotConnected):  # so does an operation, which first connects anew
        client.invoke(FIRST[workload])
    client.close()
    client.close()


def test_a_definite_answer_is_definite_for_every_system():
    assert classify(Definite("cas-mismatch", "other"), ()) == (True, "cas-mismatch: other")
