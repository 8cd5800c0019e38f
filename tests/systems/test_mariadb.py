"""MariaDB: its files, what its clients say and hear, and its errors as the driver raises them."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from pymysql.err import MySQLError, raise_mysql_exception

from chaos.systems._common import resolve
from chaos.systems.base import ClientSpec, Node, NotConnected, classify
from chaos.systems.mariadb.base import LOGIN, SERVED, packet
from chaos.systems.mariadb.client import Access
from chaos.systems.mariadb.conf import SETTINGS, container, my_cnf
from chaos.systems.mariadb.observer import replica
from chaos.systems.mariadb.system import SYSTEM
from chaos.systems.mariadb.wire import NoAnswer, Session

SEMI_SYNC = {"replication": "semi-sync"}


def lines(conf: str) -> set[str]:
    return set(conf.splitlines())


def test_every_server_has_a_number_of_its_own(nodes: Sequence[Node]) -> None:
    numbers = [line for n in nodes for line in lines(my_cnf(n, nodes, {})) if "server_id" in line]
    assert numbers == ["server_id = 1", "server_id = 2", "server_id = 3"]


def test_settings_reach_the_file(nodes: Sequence[Node]) -> None:
    given = {"innodb_flush_log_at_trx_commit": 2, "innodb_snapshot_isolation": False}
    conf = lines(my_cnf(nodes[0], nodes, given))
    assert {"innodb_flush_log_at_trx_commit = 2", "innodb_snapshot_isolation = off"} <= conf
    assert "sync_binlog = 1" in conf
    assert not any("replication" in line or "semi_sync" in line for line in conf)


def test_semi_sync_is_said_to_every_node_and_waited_for_by_the_primary(
    nodes: Sequence[Node],
) -> None:
    for node in nodes:
        conf = lines(my_cnf(node, nodes, {**SEMI_SYNC, "rpl_semi_sync_master_timeout": 5000}))
        assert "rpl_semi_sync_slave_enabled = ON" in conf
        assert "rpl_semi_sync_master_wait_point = AFTER_SYNC" in conf
        assert "rpl_semi_sync_master_timeout = 5000" in conf
    spec = container(nodes[0], nodes, SEMI_SYNC)
    assert spec.env["PRIMARY_FLAGS"] == "--rpl-semi-sync-master-enabled=ON"
    assert container(nodes[0], nodes, {}).env["PRIMARY_FLAGS"] == ""


def test_an_empty_node_follows_from_the_beginning_or_copies(nodes: Sequence[Node]) -> None:
    first = [container(node, nodes, {}).env for node in nodes]
    assert [env["FOLLOW"] for env in first] == ["", nodes[0].address, nodes[0].address]
    assert {env["COPY"] for env in first} == {""}
    later = container(nodes[0], nodes, {}, nodes[2].address).env
    assert later["FOLLOW"] == nodes[2].address
    assert later["COPY"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"replication": "sync"}, "settings.replication: expected"),
        ({"innodb_flush_log_at_trx_commit": 3}, "settings.innodb_flush_log_at_trx_commit"),
        ({"max_connections": "300\nskip_grant_tables"}, "settings.max_connections: expected"),
        ({"rpl_semi_sync_master_timeout": 1000}, "means nothing with `replication: async`"),
        ({"transaction_isolation": "SNAPSHOT"}, "settings.transaction_isolation: expected"),
    ],
)
def test_settings_that_cannot_be_meant(
    nodes: Sequence[Node], settings: dict[str, object], said: str
) -> None:
    assert list(SYSTEM.check(nodes, {})) == []
    found = list(SYSTEM.check(nodes, settings))
    assert any(said in problem for problem in found), found
    assert any("nothing can be waited for" in p for p in SYSTEM.check(nodes[:1], SEMI_SYNC))


def test_what_is_promised_is_on_disk_unless_told_otherwise() -> None:
    values = resolve({}, SETTINGS)
    assert (values["innodb_flush_log_at_trx_commit"], values["sync_binlog"]) == ("1", "1")


def raised(code: int, text: str = "as the server says it") -> MySQLError:
    """What pymysql makes of the server's error packet."""
    with pytest.raises(MySQLError) as caught:
        raise_mysql_exception(b"\xff" + struct.pack("<H", code) + b"#HY000" + text.encode())
    return caught.value


@pytest.mark.parametrize(
    ("error", "definite", "code"),
    [
        (raised(1290), True, "read-only"),
        (raised(1213), True, "deadlock"),
        (raised(1205), True, "lock-wait-timeout"),
        (raised(1020), True, "record-changed"),
        (raised(1062), True, "duplicate-key"),
        (raised(1114), True, "table-full"),
        (raised(1026), False, "commit-failed"),
        (raised(1180), False, "commit-failed"),
        (raised(1053), False, "killed"),
        (raised(1317), False, "killed"),
        (raised(1927), False, "killed"),
        (raised(2013), False, "connection-lost"),
        (raised(2006), False, "connection-lost"),
        (raised(1969), False, "unknown"),
        (raised(4711, "1213, says a text"), False, "unknown"),
        (NoAnswer("no answer in time"), False, "timeout"),
        (NotConnected("(1040, 'Too many connections')"), True, "too-many-connections"),
        (NotConnected('(2003, "Can\'t connect … (timed out)")'), True, "connect-timeout"),
        (NotConnected("no primary: n1 is a replica"), True, "no-primary"),
    ],
)
def test_errors(error: Exception, definite: bool, code: str) -> None:
    judged, text = classify(error, SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


GREETING = packet(0, b"\x0a11.8.9\0" + bytes(4) + b"12345678\0" + struct.pack("<HBHHB", 0xA2FF, 45,
                  2, 0, 21) + bytes(10) + b"123456789012\0mysql_native_password\0")  # fmt: skip
OK = b"\0\0\0\2\0\0\0"


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A listener that greets, takes a login and a request, and then does what it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            line.sendall(GREETING)
            line.recv(4096)
            line.sendall(packet(2, OK))
            line.recv(4096)
            try:
                talk(line)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield ("127.0.0.1", listener.getsockname()[1])


def test_an_answer_that_trickles_ends_at_the_deadline() -> None:
    def trickle(line: socket.socket) -> None:
        for byte in packet(1, b"\xff" + bytes(200)):
            line.sendall(bytes([byte]))
            time.sleep(0.05)

    with server(trickle) as address:
        session = Session(address, 0.4)
        begun = time.monotonic()
        with pytest.raises(NoAnswer):
            session.run("DO 1")
        assert 0.35 < time.monotonic() - begun < 2
        assert session.broken
        session.close()


def test_a_connection_that_ends_before_the_answer_is_indefinite() -> None:
    with server(lambda line: line.close()) as address:
        session = Session(address, 2.0)
        with pytest.raises(MySQLError) as caught:
            session.run("INSERT INTO elements (value) VALUES (%s)", 5)
        assert classify(caught.value, SYSTEM.errors)[1].startswith("connection-lost")
        assert session.broken


def test_values_are_quoted() -> None:
    heard = []

    def listen(line: socket.socket) -> None:
        line.sendall(packet(1, OK))
        heard.append(line.recv(4096))
        line.sendall(packet(1, OK))

    with server(listen) as address:
        session = Session(address, 2.0)
        session.run("DO 1")
        session.run("SELECT %s, %s", "a'b\\", None)
        assert heard[0][5:] == b"SELECT 'a\\'b\\\\', NULL"
        session.close()


def test_a_login_is_whole_and_a_greeting_is_told_from_a_refusal() -> None:
    assert int.from_bytes(LOGIN[:3], "little") == len(LOGIN) - 4
    assert LOGIN[3] == 1
    refusal = packet(0, b"\xff" + struct.pack("<H", 1040) + b"Too many connections")
    assert GREETING.startswith(SERVED, 3)
    assert not refusal.startswith(SERVED, 3)


@pytest.mark.parametrize(("ask", "answer"), [(0, 2_000), (300_000, 640), (17 << 20, 5)])
def test_bulk(ask: int, answer: int) -> None:
    send = SYSTEM.bulk("db", ask, answer)
    assert send is not None
    assert send.startswith(LOGIN)
    rest, said, numbers = send[len(LOGIN) :], b"", []
    while rest:
        length = int.from_bytes(rest[:3], "little")
        numbers.append(rest[3])
        said, rest = said + rest[4 : 4 + length], rest[4 + length :]
    assert numbers == list(range(len(numbers)))
    assert said.startswith(b"\x03SELECT REPEAT('x', %d)" % answer)
    assert len(said) >= ask


def test_a_client_says_why_no_node_would_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Replicas(Access):
        def session(self, spec: ClientSpec, node: str) -> Session:
            if node == "n2":
                raise NotConnected("(2003, 'connection refused')")
            return Session(spec.endpoints[node]["db"], 2.0)

        def refusal(self, session: Session) -> str:
            return "is a replica"

    with server(lambda line: None) as address:
        spec = ClientSpec(
            zone="z", home="n1", endpoints={"n1": {"db": address}, "n2": {"db": address}},
            settings={}, options={}, timeout_s=1.0,
        )  # fmt: skip
        with pytest.raises(NotConnected, match=r"^no primary: n1 is a replica; .*refused"):
            Replicas().found(spec)


@pytest.mark.parametrize(
    ("said", "applied", "lag_ms", "note"),
    [
        (("Yes", "Yes", 3, "0-1-9"), "0-1-5", 3000.0, None),
        (("Yes", "Yes", 3, "0-1-9"), "0-1-9", 0.0, None),
        (("Connecting", "Yes", None, "0-1-9"), "0-1-9", None, "receives: Connecting"),
        ((None, None, None, None), "", None, "it follows nobody"),
    ],
)
def test_what_a_replica_says(
    said: tuple[object, ...], applied: str, lag_ms: float | None, note: str | None
) -> None:
    names = ("Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "Gtid_IO_Pos")
    seen = replica(dict(zip(names, said, strict=True)), applied)
    assert (seen.role, seen.lag_ms) == ("replica", lag_ms)
    assert (note or "") in (seen.note or "")
