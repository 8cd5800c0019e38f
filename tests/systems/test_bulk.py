"""Requests of a given size: as long as asked for, whole, and of the protocol."""

from __future__ import annotations

import struct

import pytest
from pika import frame, spec

from chaos.registry import SYSTEMS
from chaos.systems.base import HasBulk

SIZES = [(0, 2_000), (300_000, 640), (5, 5)]


def bulk(system: str, port: str, request_bytes: int, answer_bytes: int) -> bytes:
    made = SYSTEMS.get(system)
    assert isinstance(made, HasBulk)
    send = made.bulk(port, request_bytes, answer_bytes)
    assert send is not None
    assert len(send) >= request_bytes
    return send


@pytest.mark.parametrize(("ask", "answer"), SIZES)
@pytest.mark.parametrize("port", ["db", "sentinel"])
def test_redis(port: str, ask: int, answer: int) -> None:
    rest, verbs = bulk("redis", port, ask, answer), []
    while rest:
        parts = []
        head, rest = rest.split(b"\r\n", 1)
        assert head == b"*2"
        for _ in range(2):
            size, rest = rest.split(b"\r\n", 1)
            assert size[:1] == b"$"
            length = int(size[1:])
            parts.append(rest[:length])
            assert rest[length : length + 2] == b"\r\n"
            rest = rest[length + 2 :]
        verbs.append((parts[0], len(parts[1])))
    assert verbs == [x for x in ((b"EXISTS", ask), (b"PING", answer)) if x[1]]


@pytest.mark.parametrize(("ask", "answer"), SIZES)
def test_postgres(ask: int, answer: int) -> None:
    send = bulk("postgres", "db", ask, answer)
    (login,) = struct.unpack_from("!I", send)
    assert send[login : login + 1] == b"Q"
    assert struct.unpack_from("!I", send, login + 1)[0] == len(send) - login - 1
    assert send[login + 5 :].startswith(f"SELECT repeat('x', {answer})".encode())
    assert send.endswith(b"*/\0")


@pytest.mark.parametrize(("ask", "answer"), SIZES)
def test_etcd(ask: int, answer: int) -> None:
    send = bulk("etcd", "db", ask, answer)
    head, _, rest = send.partition(b"\r\n\r\n")
    if ask:
        length = int(head.rpartition(b"Content-Length: ")[2])
        assert rest[length:].startswith(b"GET /metrics")
    else:
        assert head.startswith(b"GET /metrics")
    etcd = SYSTEMS.get("etcd")
    assert isinstance(etcd, HasBulk)
    assert etcd.bulk("peer", ask, answer) is None


@pytest.mark.parametrize(("ask", "answer"), [*SIZES, (0, 3_000_000)])
def test_nats(ask: int, answer: int) -> None:
    """What is sent to ourselves comes once for each time that we have subscribed to it."""
    rest, sizes = bulk("nats", "db", ask, answer), {"aftershock.bulk": 0, "aftershock.back": 0}
    head, _, rest = rest.partition(b"\r\n")
    assert head == b"CONNECT {}"
    sids: list[str] = []
    while rest.startswith(b"SUB "):
        head, _, rest = rest.partition(b"\r\n")
        sids.append(head.decode().removeprefix("SUB aftershock.back "))
    assert len(set(sids)) == len(sids)
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        verb, subject, size = head.decode().split(" ")
        assert verb == "PUB"
        assert int(size) <= 1 << (10 if subject.endswith("back") else 20)
        sizes[subject] += int(size)
        assert rest[int(size) :].startswith(b"\r\n")
        rest = rest[int(size) + 2 :]
    assert sizes["aftershock.bulk"] == ask
    assert answer <= sizes["aftershock.back"] * len(sids) < answer + 50
    assert sizes["aftershock.back"] <= max(1000, answer / 50)


@pytest.mark.parametrize(("ask", "answer"), [*SIZES, (0, 300_000)])
def test_rabbitmq(ask: int, answer: int) -> None:
    rest, sizes, bodies = bulk("rabbitmq", "db", ask, answer), {False: 0, True: 0}, []
    assert rest.startswith(b"AMQP\x00\x00\x09\x01")
    rest, methods = rest[8:], []
    while rest:
        read, one = frame.decode_frame(rest)
        assert read <= 128 << 10
        rest = rest[read:]
        if isinstance(one, frame.Method):
            methods.append(type(one.method))
            if isinstance(one.method, spec.Basic.Publish):
                bodies.append(bool(one.method.mandatory))
        elif isinstance(one, frame.Body):
            sizes[bodies[-1]] += len(one.fragment)
    login = [spec.Connection.StartOk, spec.Connection.TuneOk, spec.Connection.Open]
    assert methods[:4] == [*login, spec.Channel.Open]
    assert sizes == {False: ask, True: answer}
    assert bodies == sorted(bodies), "what comes back is sent after what does not"
    rabbitmq = SYSTEMS.get("rabbitmq")
    assert isinstance(rabbitmq, HasBulk)
    assert rabbitmq.bulk("management", ask, answer) is None
