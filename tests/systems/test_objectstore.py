"""The object store: what nodes are started with, what is asked over boto3, and what errors mean."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)

from chaos.record.op import Invocation, Result
from chaos.systems._transactions import NotCommitted
from chaos.systems.base import ClientSpec, NotConnected, classify
from chaos.systems.objectstore.client import readers, writers
from chaos.systems.objectstore.conf import container
from chaos.systems.objectstore.observer import observation, whole
from chaos.systems.objectstore.steps import takes_writes
from chaos.systems.objectstore.system import SYSTEM
from chaos.systems.objectstore.wire import LIVE, etag_of, knock

TWO_SITES = {"replicate-to": "west"}


@pytest.fixture
def six(nodes):
    """Six nodes in two regions."""
    return [
        dataclasses.replace(
            nodes[0], name=f"n{i}", role=None, region=region, address=f"198.18.7.{9 + i}"
        )
        for i, region in enumerate(["east"] * 3 + ["west"] * 3, 1)
    ]


def test_a_site_is_a_cluster_of_its_own(six):
    drive = "/var/lib/minio/drive"
    first, second = container(six[1], six, TWO_SITES), container(six[4], six, TWO_SITES)
    assert first.command[-3:] == [f"http://198.18.7.{n}:9000{drive}" for n in (10, 11, 12)]
    assert second.command[-3:] == [f"http://198.18.7.{n}:9000{drive}" for n in (13, 14, 15)]
    assert first.data_dir == "/var/lib/minio"
    assert len(container(six[0], six, {}).command) == 4 + 6


def test_settings_reach_the_server(six):
    env = container(six[0], six, {"parity": 1, "conn-user-timeout": "2s"}).env
    assert env["MINIO_STORAGE_CLASS_STANDARD"] == "EC:1"
    assert env["MINIO_CONN_USER_TIMEOUT"] == "2000ms"
    assert "MINIO_STORAGE_CLASS_STANDARD" not in container(six[0], six, {}).env


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"parity": 4}, "settings.parity: at most half of the 6 nodes"),
        ({"parity": 9}, "settings.parity: expected"),
        ({"replicate-to": "north"}, "expected 2 to 16 nodes in north, got 0"),
        ({"replication": "sync"}, "settings.replication: means nothing without"),
        ({**TWO_SITES, "versioning": False}, "settings.versioning: replicate-to needs it"),
        ({"conn-user-timeout": "soon"}, "settings.conn-user-timeout: "),
    ],
)
def test_what_cannot_be_is_refused(six, settings, said):
    [problem] = SYSTEM.check(six, settings)
    assert said in problem


def test_what_ships_can_run(six):
    assert list(SYSTEM.check(six, TWO_SITES)) == []
    assert list(SYSTEM.check(six[:4], {"versioning": True, "parity": 2})) == []
    [problem] = SYSTEM.check([dataclasses.replace(six[0], role="primary"), six[1]], {})
    assert "nodes.n1.role" in problem
    assert list(SYSTEM.check_options({"elements": "together", "if-match": False}, "set")) == []
    [problem] = SYSTEM.check_options({"if-match": "no"}, "set")
    assert "expected" in problem
    [problem] = SYSTEM.check_options({"elements": "apart"}, "register")
    assert "means nothing to the workload register" in problem


def spec_of(home: str, port: int = 1, **options: Any) -> ClientSpec:
    regions = {f"n{i}": "east" if i < 4 else "west" for i in range(1, 7)}
    return ClientSpec(
        zone="z",
        home=home,
        endpoints={name: {"db": ("127.0.0.1", port)} for name in regions},
        settings={**TWO_SITES, "_regions": regions},
        options=options,
        timeout_s=0.5,
    )


def test_writes_go_to_the_first_site_and_reads_where_they_are_told():
    assert writers(spec_of("n2")) == ["n2", "n3", "n1"]
    assert [writers(spec_of(home))[0] for home in ("n4", "n5", "n6")] == ["n1", "n2", "n3"]
    assert readers(spec_of("n5")) == writers(spec_of("n5"))
    assert readers(spec_of("n5", reads="nearest"))[0] == "n5"


class Answers(BaseHTTPRequestHandler):
    """Gives prepared answers, one a request, and takes down what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        server: Any = self.server
        if self.path == LIVE:
            status, text, headers = 200, b"", {"x-amz-request-id": "187CB1F0A3"}
        else:
            server.asked.append((self.command, self.path, dict(self.headers), body))
            status, text, headers = server.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.daemon_threads = True
    made.asked, made.answers = [], []
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


Do = Callable[..., Result]


@pytest.fixture
def do(server: Any) -> Do:
    """`do(kind, invocation, *answers, **options)`: its result, with the store answering so."""

    def invoke(kind: str, invocation: Invocation, *answers: Any, **options: Any) -> Result:
        server.answers[:], server.asked[:] = answers, []
        client = SYSTEM.client(spec_of("n1", server.server_address[1], **options), kind)
        client.open()
        try:
            return client.invoke(invocation)
        finally:
            client.close()
            assert not server.answers, "fewer requests than expected"

    return invoke


def holds(body: str) -> tuple[int, bytes, dict[str, str]]:
    return 200, body.encode(), {"ETag": etag_of(body.encode())}


def error(status: int, code: str) -> tuple[int, bytes, dict[str, str]]:
    text = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>"
    return status, text.encode(), {"Content-Type": "application/xml"}


STORED = (200, b"", {"ETag": '"0"'})
NOTHING = error(404, "NoSuchKey")
CHANGED = error(412, "PreconditionFailed")


def judged(do: Do, *arguments: Any, **options: Any) -> tuple[bool, str]:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        do(*arguments, **options)
    definite, why = classify(raised.value, SYSTEM.errors)
    return definite, why.split(":")[0]


def test_payloads_carry_their_checksums(do, server):
    do("register", Invocation("write", "k0", 7), STORED)
    [(verb, path, headers, body)] = server.asked
    assert (verb, path, body) == ("PUT", "/aftershock/register/k0", b"7")
    assert headers["X-Amz-Content-SHA256"] == hashlib.sha256(b"7").hexdigest()
    crc32 = base64.b64encode(zlib.crc32(b"7").to_bytes(4, "big")).decode()
    assert headers["x-amz-checksum-crc32"] == crc32
    assert "x-amz-content-sha256" in headers["Authorization"]
    assert "Expect" not in headers


@pytest.mark.parametrize(
    ("answer", "definite", "code"),
    [
        (error(503, "SlowDownWrite"), False, "no-write-quorum"),
        (error(503, "SlowDownRead"), True, "no-read-quorum"),
        (error(429, "TooManyRequests"), True, "too-many-requests"),
        (error(503, "XMinioServerNotInitialized"), True, "not-initialized"),
        (error(503, "RequestTimeout"), False, "lock-timeout"),
        (error(403, "RequestTimeTooSkewed"), True, "clock-skew"),
        (error(403, "SignatureDoesNotMatch"), True, "not-allowed"),
        (error(400, "XAmzContentSHA256Mismatch"), True, "changed-on-the-way"),
        (error(507, "XMinioStorageFull"), False, "no-space"),
        (error(500, "InternalError"), False, "internal-error"),
        (error(409, "OperationAborted"), False, "unknown"),
        (error(404, "NoSuchBucket"), False, "unknown"),
    ],
)
def test_a_write_is_sent_once_whatever_is_answered(do, server, answer, definite, code):
    assert judged(do, "register", Invocation("write", "k0", 7), answer) == (definite, code)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("raised", "definite", "code"),
    [
        (EndpointConnectionError(endpoint_url="http://n1", error="refused"), True, "no-connection"),
        (ConnectTimeoutError(endpoint_url="http://n1"), True, "no-connection-in-time"),
        (ReadTimeoutError(endpoint_url="http://n1"), False, "timeout"),
        (ConnectionClosedError(endpoint_url="http://n1"), False, "connection-lost"),
        (HTTPClientError(error="broken pipe"), False, "broken-connection"),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), False, "incomplete-answer"),
        (NotConnected("connecting to n1: ConnectionRefusedError: refused"), True,
         "connection-refused"),
        (NotCommitted("ReadTimeoutError"), True, "not-committed"),
        (ClientError({"Error": {"Code": "Strange"}}, "PutObject"), False, "unknown"),
    ],
)  # fmt: skip
def test_errors_of_the_driver(raised, definite, code):
    judged, text = classify(raised, SYSTEM.errors)
    assert (judged, text.split(":")[0]) == (definite, code)


def test_a_cas_is_one_request_for_the_etag_tells_the_value(do, server):
    do("register", Invocation("cas", "k0", 3, 2), STORED)
    [(_, _, headers, body)] = server.asked
    assert (headers["If-Match"], body) == (etag_of(b"2"), b"3")
    do("register", Invocation("cas", "k0", 1, None), STORED)
    assert server.asked[0][2]["If-None-Match"] == "*"
    for answer in (CHANGED, NOTHING):
        mismatch = judged(do, "register", Invocation("cas", "k0", 3, 2), answer)
        assert mismatch == (True, "cas-mismatch")


def test_what_is_read_and_changed_is_written_back_only_over_what_was_read(do, server):
    add = Invocation("add", value=3)
    options = {"elements": "together"}
    do("set", add, holds("[1,2]"), STORED, **options)
    assert server.asked[1][2]["If-Match"] == etag_of(b"[1,2]")
    assert server.asked[1][3] == b"[1,2,3]"
    do("set", add, NOTHING, STORED, **options)
    assert server.asked[1][2]["If-None-Match"] == "*"
    assert judged(do, "set", add, holds("[1]"), CHANGED, **options) == (True, "conflict")
    slow, unable = error(503, "SlowDownRead"), error(503, "SlowDownWrite")
    assert judged(do, "set", add, slow, **options) == (True, "not-committed")
    assert judged(do, "set", add, holds("[1]"), unable, **options) == (False, "no-write-quorum")
    do("set", add, holds("[1,2]"), STORED, **options, **{"if-match": "false"})
    assert not re.search("If-(None-)?Match", str(server.asked[1][2]))


def test_a_counter_is_read_raised_and_written_back(do, server):
    do("counter", Invocation("add", "k0", 2), holds("5"), STORED)
    assert (server.asked[1][3], server.asked[1][2]["If-Match"]) == (b"7", etag_of(b"5"))
    assert do("counter", Invocation("read", "k0"), NOTHING).value == 0


def test_a_lock_passes_on_with_a_higher_token(do, server):
    acquire = Invocation("acquire", "l0")
    assert do("lock", acquire, NOTHING, STORED).value == 1
    assert server.asked[1][2]["If-None-Match"] == "*"
    over = holds('{"token":4,"until":0}')
    assert do("lock", acquire, over, STORED, lease="2s").value == 5
    assert server.asked[1][2]["If-Match"] == over[2]["ETag"]
    assert judged(do, "lock", acquire, over, CHANGED) == (True, "held")
    taken = holds('{"token":4,"until":99999999999}')
    assert judged(do, "lock", acquire, taken) == (True, "held")
    do("lock", Invocation("release", "l0", 4), taken, STORED)
    assert json.loads(server.asked[1][3]) == {"token": 4, "until": 0}
    assert judged(do, "lock", Invocation("release", "l0", 3), taken) == (True, "not-held")
    assert judged(do, "lock", Invocation("release", "l0", 4), over) == (True, "not-held")


def test_a_document_keeps_the_highest_token_in_its_content(do, server):
    there = holds('{"token":7,"list":"[1]"}')
    assert do("document", Invocation("load", "d0", 8), there, STORED).payload == "[1]"
    assert json.loads(server.asked[1][3]) == {"token": 8, "list": "[1]"}
    for f in ("load", "store"):
        old = judged(do, "document", Invocation(f, "d0", 6, payload="[2]"), there)
        assert old == (True, "stale-token")
    do("document", Invocation("store", "d0", payload="[1,2]"), there, STORED)
    assert json.loads(server.asked[1][3]) == {"token": 7, "list": "[1,2]"}


def test_environment_and_profile_of_the_user_change_nothing(do, server, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    assert judged(do, "register", Invocation("write", "k0", 1), error(500, "InternalError"))[1] == (
        "internal-error"
    )
    assert len(server.asked) == 1


def test_a_request_is_called_by_its_time(server):
    assert int(knock(server.server_address, 1.0), 16) == 0x187CB1F0A3


def drives(*states: str, healing: int = 0) -> dict[str, Any]:
    disks = [{"state": state, "healing": i < healing} for i, state in enumerate(states)]
    return {"Disks": disks, "Backend": {"StandardSCData": [2], "StandardSCParity": 2}}


def test_a_node_without_a_write_quorum_is_a_candidate():
    seen = observation(drives("ok", "ok", "ok", "offline"), "")
    assert (seen.role, seen.note) == ("member", "3 of 4 drives online, a write needs 3")
    assert observation(drives("ok", "ok", "offline", "offline"), "").role == "candidate"
    assert whole(drives(*["ok"] * 4))
    assert not whole(drives(*["ok"] * 4, healing=1))
    assert not whole(drives("ok", "ok", "ok", "offline"))


def test_whether_a_node_takes_writes_shows_in_a_write(server):
    cluster: Any = SimpleNamespace(address=lambda *_: server.server_address)
    server.answers[:] = [STORED, error(503, "SlowDownWrite")]
    assert takes_writes(cluster, "n1")
    assert server.asked[0][:2] == ("PUT", "/aftershock/probe")
    with pytest.raises(ClientError, match="SlowDownWrite"):
        takes_writes(cluster, "n1")


@pytest.mark.parametrize(("ask", "answer"), [(0, 50_000), (450_000, 640), (5, 5), (300_000, 0)])
def test_bulk_is_whole_requests(ask, answer):
    rest, bodies, metrics = SYSTEM.bulk("db", ask, answer), 0, 0
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length: ")[2])
        assert length < 256 << 10, "Go's server hangs up on who sends more than it reads"
        bodies, metrics = bodies + length, metrics + (b"/metrics/" in head)
        rest = rest[length:]
    assert bodies == ask, "through a link that is slowed down more would take its time"
    assert (metrics > 0) is (answer > 0)
    assert SYSTEM.bulk("peer", ask, answer) is None
