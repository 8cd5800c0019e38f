"""Where the client of Redis goes, told by servers that answer from a script, as real ones would."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from redis.exceptions import MovedError

from chaos.record.op import Invocation
from chaos.systems.base import ClientSpec, NotConnected, classify
from chaos.systems.redis.client import NotReplicated, RegisterClient
from chaos.systems.redis.session import SessionClient
from chaos.systems.redis.system import SYSTEM

ADDRESSES = {"n1": "198.18.7.10", "n2": "198.18.7.11"}
Answers = Callable[[str, list[str]], bytes | None]  # of a node, to a command; None: hang up
WRITE = Invocation("write", "k0", 5)


class Servers:
    """A server for each node, and what each was asked."""

    def __init__(self, answers: Answers, stack: ExitStack) -> None:
        self.asked: list[tuple[str, str]] = []
        self.ports = {name: self._serve(name, answers, stack) for name in ADDRESSES}

    def _serve(self, name: str, answers: Answers, stack: ExitStack) -> int:
        asked = self.asked

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while line := self.rfile.readline():
                    words = [self._word() for _ in range(int(line[1:]))]
                    asked.append((name, " ".join(words)))
                    answer = answers(name, words)
                    if answer is None:
                        return
                    self.wfile.write(answer)

            def _word(self) -> str:
                size = int(self.rfile.readline()[1:])
                return self.rfile.read(size + 2)[:-2].decode()

        server = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        stack.callback(server.shutdown)
        return int(server.server_address[1])

    def spec(self, mode: str, **options: Any) -> ClientSpec:
        return ClientSpec(
            zone="z",
            home="n1",
            endpoints={
                name: dict.fromkeys(SYSTEM.ports, ("127.0.0.1", port))
                for name, port in self.ports.items()
            },
            settings={"mode": mode, "_addresses": ADDRESSES},
            options=options,
            timeout_s=1.0,
        )

    def commands(self, node: str) -> list[str]:
        """What `node` was asked, without what connections begin with."""
        return [what for name, what in self.asked if name == node and what not in ("PING", "ROLE")]


@pytest.fixture
def serving() -> Iterator[Callable[[Answers], Servers]]:
    with ExitStack() as stack:
        yield lambda answers: Servers(answers, stack)


def bulk(text: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text.encode())


def slots(*owners: str) -> bytes:
    """CLUSTER NODES: all slots in one range, which these have, the primary first."""
    leader = owners[0]
    return bulk(
        "".join(
            f"{o} {ADDRESSES[o]}:6379@16379 "
            + ("master - 0 0 1 connected 0-16383" if o == leader else
               f"slave {leader} 0 0 1 connected")
            + "\n"
            for o in owners
        )
    )  # fmt: skip


OK = b"+OK\r\n"
MAP = ["CLUSTER", "NODES"]


def test_moved_is_followed_once_and_the_map_asked_for_anew(serving):
    def answers(node, words):
        if words == MAP:
            return slots("n1", "n2")
        moved = b"-MOVED 7629 198.18.7.11:6379\r\n"
        return moved if node == "n1" and words[0] == "SET" else OK

    servers = serving(answers)
    with closing(RegisterClient(servers.spec("cluster"))) as client:
        client.open()
        assert client.invoke(WRITE).node == "n2"
        assert servers.commands("n1") == ["CLUSTER NODES", "SET k0 5"]
        assert servers.commands("n2") == ["SET k0 5"]
        client.invoke(WRITE)
        assert servers.commands("n1")[2:] == ["CLUSTER NODES", "SET k0 5"]


def test_a_second_moved_is_a_definite_failure(serving):
    def answers(node, words):
        if words == MAP:
            return slots("n1")
        other = ADDRESSES["n2" if node == "n1" else "n1"]
        return f"-MOVED 7629 {other}:6379\r\n".encode() if words[0] == "SET" else OK

    servers = serving(answers)
    with closing(RegisterClient(servers.spec("cluster"))) as client:
        with pytest.raises(MovedError) as raised:
            client.invoke(WRITE)
        assert classify(raised.value, SYSTEM.errors)[0] is True
        assert [servers.commands(node).count("SET k0 5") for node in ADDRESSES] == [1, 1]


def test_where_a_slot_moves_the_other_node_is_told_that_it_was_asked(serving):
    def answers(node, words):
        if words == MAP:
            return slots("n1")
        ask = b"-ASK 7629 198.18.7.11:6379\r\n"
        return ask if node == "n1" and words[0] == "SET" else OK

    servers = serving(answers)
    with closing(RegisterClient(servers.spec("cluster"))) as client:
        client.invoke(WRITE)
        client.invoke(WRITE)
    assert servers.commands("n2") == ["ASKING", "SET k0 5"] * 2
    assert servers.commands("n1").count("CLUSTER NODES") == 1, "the slot has not moved yet"


def test_reads_of_replicas_say_so_on_connections_of_their_own(serving):
    servers = serving(lambda _, words: slots("n1", "n2") if words == MAP else _value(words))
    with closing(SessionClient(servers.spec("cluster", reads="any"))) as client:
        read = [client.invoke(Invocation("read", "k0", at=at)) for at in (0, 1)]
        client.invoke(WRITE)
    assert [(r.node, r.value) for r in read] == [("n1", 7), ("n2", 7)]
    assert servers.commands("n2") == ["READONLY", "GET k0"]
    assert servers.commands("n1") == ["CLUSTER NODES", "READONLY", "GET k0", "SET k0 5"]


def _value(words: list[str]) -> bytes:
    return bulk("7") if words[0] == "GET" else OK


@pytest.mark.parametrize(
    "told",
    [
        b":0\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-LOADING Redis is loading\r\n",
        b"-ERR WAIT cannot be used with replica instances.\r\n",
        None,
    ],
)
def test_after_a_write_whatever_wait_says_the_write_has_been_done(serving, told):
    def answers(_, words):
        if words[0] == "ROLE":
            return b"*3\r\n" + bulk("master") + b":0\r\n*0\r\n"
        return told if words[0] == "WAIT" else OK

    servers = serving(answers)
    with closing(RegisterClient(servers.spec("replication", wait=1))) as client:
        with pytest.raises(NotReplicated) as raised:
            client.invoke(WRITE)
        definite, why = classify(raised.value, SYSTEM.errors)
        assert not definite
        assert why.startswith("not-replicated: ")
    assert servers.commands("n1") == ["SET k0 5", "WAIT 1 500"]


def test_enough_replicas_is_a_success(serving):
    role = b"*3\r\n" + bulk("master") + b":0\r\n*0\r\n"
    replies = {"ROLE": role, "WAIT": b":2\r\n"}
    servers = serving(lambda _, words: replies.get(words[0], OK))
    with closing(RegisterClient(servers.spec("replication", wait=1))) as client:
        assert client.invoke(WRITE).node == "n1"


@pytest.mark.parametrize("mode", ["replication", "sentinel", "cluster"])
def test_a_proxy_that_accepts_and_hangs_up_is_no_connection(serving, mode):
    """Toxiproxy accepts for a server that is not there: of the operation nothing was sent."""
    servers = serving(lambda _, words: slots("n1") if words == MAP else None)
    with closing(RegisterClient(servers.spec(mode))) as client:
        with pytest.raises(NotConnected) as raised:
            client.invoke(WRITE)
        assert classify(raised.value, SYSTEM.errors)[0] is True
    assert "SET k0 5" not in servers.commands("n1") + servers.commands("n2")


def test_without_sentinels_the_first_node_that_says_it_is_primary_is_believed(serving):
    def answers(node, words):
        if words[0] != "ROLE":
            return OK
        return b"*1\r\n" + bulk("slave" if node == "n1" else "master")

    servers = serving(answers)
    with closing(RegisterClient(servers.spec("replication"))) as client:
        client.open()
        assert client.node == "n2"
        assert client.invoke(WRITE).node == "n2"
