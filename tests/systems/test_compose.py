"""Probes on servers that behave badly, and the order in which a project is started."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import ClusterError
from chaos.record.op import Invocation
from chaos.systems.base import ClientSpec, Definite
from chaos.systems.compose.forming import Forming
from chaos.systems.compose.ours import STARTS
from chaos.systems.compose.prober import ERRORS, Prober
from chaos.systems.compose.project import (
    COMPLETED,
    HEALTHY,
    PROJECT,
    Health,
    Need,
    Project,
    Service,
    told,
)
from chaos.systems.compose.system import SYSTEM

Serve = Callable[[Callable[[socket.socket], None]], int]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A loopback port where each connection is handled so, and then closed."""
    with ExitStack() as stack:

        def begin(handle: Callable[[socket.socket], None]) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                while True:
                    try:
                        line, _ = server.accept()
                    except OSError:
                        return
                    with line:
                        try:
                            handle(line)
                        except OSError:
                            pass

            threading.Thread(target=run, daemon=True).start()
            return int(server.getsockname()[1])

        yield begin


def answers(data: bytes, wait_s: float = 0.0) -> Callable[[socket.socket], None]:
    def handle(line: socket.socket) -> None:
        line.recv(65536)
        time.sleep(wait_s)
        line.sendall(data)

    return handle


def trickles(line: socket.socket) -> None:
    line.recv(65536)
    line.sendall(OK[:-5])
    for letter in b"hello":
        time.sleep(0.15)
        line.sendall(bytes([letter]))


def asked(port: int, **probe: Any) -> str:
    """What a probe of that port came to: "ok", or its error."""
    usual = {
        "kind": "http", "service": "web", "nodes": ["n1"], "port": "db", "ask": "/",
        "expect": None, "within_s": 0.4, "contains": None, "method": "GET",
        "headers": {"Host": "web"}, "body": None,
    }  # fmt: skip
    spec = ClientSpec(
        zone="z",
        home="n1",
        endpoints={"n1": {"db": ("127.0.0.1", port)}},
        settings={"_probes": {"p": {**usual, **probe}}, "_containers": probe.get("where", {})},
        options={},
        timeout_s=1.0,
    )
    client = Prober(spec)
    client.open()
    began = time.monotonic()
    try:
        assert client.invoke(Invocation("probe", "p")).node == "n1"
        said = "ok"
    except Definite as error:
        said = str(error)
    finally:
        client.close()
    assert time.monotonic() - began < 1.0
    return said


@pytest.mark.parametrize(("handle", "probe", "said"), [
    (answers(OK), {}, "ok"),
    (answers(OK), {"expect": "2xx", "contains": "ell"}, "ok"),
    (answers(OK), {"expect": "404"}, "wrong-status: n1 answered 200, not 404"),
    (answers(OK), {"contains": "x"}, "wrong-answer: n1: 'x' is not in \"hello\""),
    (answers(b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n"), {},
     "wrong-status: n1 answered 503, not 200"),
    (answers(OK, 0.6), {}, "too-slow: n1: no whole answer within 400 ms"),
    (trickles, {}, "too-slow: n1: no whole answer within 400 ms"),
    (answers(b"SSH-2.0-x\r\n"), {}, 'no-http: n1: "SSH-2.0-x"'),
    (lambda line: None, {}, "refused: n1: "),
    (answers(b"+PONG\r\n"), {"kind": "tcp", "ask": "PING\r\n", "expect": "PONG"}, "ok"),
    (answers(b"+PONG\r\n"), {"kind": "tcp", "ask": "x"}, "ok"),
    (answers(b"-ERR\r\n"), {"kind": "tcp", "ask": "x", "expect": "PONG"},
     "wrong-answer: n1: 'PONG' is not in \"-ERR\""),
    (answers(b"", 0.6), {"kind": "tcp", "ask": "x"}, "too-slow: n1"),
    (answers(b""), {"kind": "tcp", "ask": "x"}, "refused: n1 closed the connection"),
])  # fmt: skip
def test_answers(serve: Serve, handle: Any, probe: dict[str, Any], said: str) -> None:
    assert asked(serve(handle), **probe).startswith(said)


@pytest.mark.parametrize("dialect", ["postgres", "mysql"])
@pytest.mark.parametrize(("handle", "code"), [
    (lambda line: time.sleep(0.7), "too-slow"), (lambda line: None, "refused"),
])  # fmt: skip
def test_a_database_that_hangs_or_hangs_up(
    serve: Serve, dialect: str, handle: Any, code: str
) -> None:
    probe = {"dialect": dialect, "user": "u", "password": "p", "database": "d"}
    assert asked(serve(handle), kind="sql", ask="select 1", **probe).startswith(f"{code}: n1")


def test_nobody_listens_and_no_engine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    assert asked(port).startswith("refused: n1: ")
    where = {"engine": f"tcp://127.0.0.1:{port}", "certificates": "", "n1": "abc"}
    said = asked(1, kind="command", ask=["true"], where=where)
    assert said.startswith("refused: n1: ")


def test_every_failure_is_definite() -> None:
    assert all(rule.definite for rule in ERRORS)


def service(name: str, *needs: Need, **keys: Any) -> Service:
    return Service(name=name, zones=["z"], image="i:1", needs=needs, **keys)


WELL = Health(command=["well"], interval_ns=1, timeout_ns=10**9, retries=1, start_period_ns=0)

WELL_DB = Need(service="db", condition=HEALTHY)


class Cluster:
    """Remembers in which order nodes are started and found well."""

    def __init__(self, *services: Service) -> None:
        project = Project(path=Path("x"), services={s.name: s for s in services})
        self.settings = {PROJECT: project}
        self.nodes = ()
        self.done: list[str] = []
        self.codes: dict[str, list[int | None]] = {}  # node → what `ended` says, start by start
        self.sick: dict[str, int] = {}  # node → how often its healthcheck fails
        self._lock = threading.Lock()

    def start(self, node: str) -> None:
        with self._lock:
            self.done.append(f"start {node}")

    def ended(self, node: str) -> int | None:
        starts = self.done.count(f"start {node}")
        codes = self.codes.get(node, [])
        return codes[starts - 1] if 0 < starts <= len(codes) else None

    def log(self, node: str, lines: int) -> str:
        return "its last words"

    def execute(self, node: str, command: Sequence[str], **more: Any) -> str:
        with self._lock:
            if self.sick.get(node, 0) > 0:
                self.sick[node] -= 1
                raise ClusterError("sick")
            self.done.append(f"well {node}")
        return ""

    def form(self) -> list[str]:
        Forming(self).run()  # type: ignore[arg-type]
        return self.done


def test_services_are_started_when_those_they_wait_for_are_so_far() -> None:
    cluster = Cluster(
        service("web", WELL_DB, Need(service="job", condition=COMPLETED),
                Need(service="none", condition=HEALTHY, required=False)),
        service("job", WELL_DB),
        service("db", health=WELL),
    )  # fmt: skip
    cluster.codes, cluster.sick = {"job": [0]}, {"db": 2}
    assert cluster.form() == ["start db", "well db", "start job", "start web"]
    assert cluster.sick["db"] == 0


def test_one_that_restarts_is_started_again_and_another_is_an_error() -> None:
    cluster = Cluster(service("db", health=WELL, restarts=True))
    cluster.codes, cluster.sick = {"db": [3]}, {"db": 1}
    assert cluster.form()[:2] == ["start db", "start db"]
    cluster = Cluster(
        service("db", health=WELL), service("web", Need(service="db", condition=HEALTHY))
    )
    cluster.codes = {"db": [3]}
    with pytest.raises(
        ClusterError, match="db ended with exit code 3 before it had become"
    ) as caught:
        cluster.form()
    assert caught.value.detail == "its last words"
    assert cluster.done == ["start db"]


def test_ports_knocks_and_names() -> None:
    project = Project(path=Path("x"), services={
        "web": service("web", ports=[80, 6379], replicas=2),
        "db": service("db", ports=[5432]), "deaf": service("deaf"),
    })  # fmt: skip
    settings = {PROJECT: project}
    assert SYSTEM.node_ports("web-2", settings) == {"db": 80, "6379": 6379}
    assert SYSTEM.node_knock("web-1", "db", settings).startswith(b"OPTIONS * HTTP")
    assert SYSTEM.node_knock("web-1", "6379", settings) == b"PING\r\n"
    assert SYSTEM.node_knock("db", "db", settings)[4:] == bytes.fromhex("04d2162f")
    assert SYSTEM.node_ports("deaf", settings) == {}
    assert told({PROJECT: project.told()}) == told(settings)  # as another process gets it


def test_an_image_of_ours_starts_as_the_official_one(nodes: Any) -> None:
    def spec(**keys: Any) -> Any:
        one = Service(name="n1", zones=["z"], **keys)
        settings = {PROJECT: Project(path=Path("x"), services={"n1": one})}
        return SYSTEM.containers(nodes[0], nodes[:1], settings)[0]

    ours = spec(image="redis")
    assert ours.options["entrypoint"] == STARTS["redis"].entrypoint
    assert (list(ours.command), ours.user) == (["redis-server"], "0:0")
    assert list(spec(image="redis", command=["redis-server", "--save"]).command)[1:] == ["--save"]
    foreign = spec(image="redis:8", command=["x"])
    assert (foreign.options, list(foreign.command), foreign.user) == ({}, ["x"], None)
    own = spec(image="redis", entrypoint=["/bin/own"])
    assert own.options == {"entrypoint": ["/bin/own"]}
