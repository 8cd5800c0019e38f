"""Finding and starting an engine: each thing that can stand in the way has its own sentence."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import EngineError
from chaos.runtime import daemon, engine, install

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine is named, none is at the usual sockets, nothing may be started by accident."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("AFTERSHOCK_NO_INSTALL", "1")
    usual = [engine.Place(url=f"unix://{tmp_path}/none.sock", source="the usual sockets")]
    real = engine.places
    monkeypatch.setattr(engine, "places", lambda: [p for p in real() if p.named] or usual)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], str]]:
    """A Unix socket that answers every GET with this JSON."""
    servers: list[socketserver.BaseServer] = []

    def start(answer: dict[str, Any]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        path = tmp_path / f"{len(servers)}.sock"
        server = socketserver.UnixStreamServer(str(path), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"unix://{path}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(say: Callable[[str], None] = print) -> EngineError:
    with pytest.raises(EngineError) as caught:
        engine.ensure(say)
    assert "dashboard work without an engine" in caught.value.fix
    return caught.value


def test_an_engine_named_by_docker_host_is_found(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve({"Version": "28.1.0", "ApiVersion": "1.49"})
    monkeypatch.setenv("DOCKER_HOST", url)
    found = engine.Engine(url=url, source="DOCKER_HOST", version="28.1.0", api="1.49")
    assert engine.find() == found
    assert engine.ensure(pytest.fail) == found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///nowhere/docker.sock", "no such socket"),
        ("tcp://127.0.0.1:9", "Connection refused"),
        ("tcp://127.0.0.1:notaport", "DOCKER_HOST"),
        ("ssh://me@there", "over SSH"),
        ("gopher://x", "`gopher://` is not spoken here"),
    ],
)
def test_a_docker_host_that_is_dead_is_said_and_nothing_installed(
    url: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.delenv("AFTERSHOCK_NO_INSTALL")
    monkeypatch.setattr(daemon, "start", lambda *_a, **_k: pytest.fail("started behind its back"))
    assert engine.find() is None
    error = refusal()
    assert expected in error.what
    assert "DOCKER_HOST" in error.what


def test_a_docker_host_that_never_answers_costs_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "PING_DEADLINE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert "timed out" in refusal().what


@pytest.mark.parametrize(
    "answer",
    [{}, {"Version": "1"}, {"Version": "1", "ApiVersion": "new"}, {"Version": 1, "ApiVersion": []}],
)
def test_an_answer_that_is_no_engine_is_refused(
    answer: dict[str, Any], serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", serve(answer))
    assert "no container engine answers" in refusal().what


def test_an_old_engine_is_named_with_what_is_needed(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", serve({"Version": "19.03.1", "ApiVersion": "1.40"}))
    error = refusal()
    assert "API 1.41 or newer" in error.what
    assert "19.03.1" in error.what
    assert "20.10" in error.fix


def test_a_socket_without_permission_says_which_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: engine.Place) -> engine.Engine:
        raise engine.Refused("denied", "permission denied")

    monkeypatch.setattr(engine, "_ask", denied)
    error = refusal()
    assert "may not use its socket" in error.what
    assert "usermod -aG docker" in error.fix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_permission_denied_is_told_from_dead(tmp_path: Path) -> None:
    path = tmp_path / "closed.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0o600)
        folder = path.parent
        while folder != Path("/tmp"):
            folder.chmod(0o755)
            folder = folder.parent
        code = (
            f"import os; os.setuid(65534)\nfrom chaos.runtime import engine\n"
            f"place = engine.Place(url='unix://{path}', source='x')\n"
            "try: engine._ask(place)\nexcept engine.Refused as error: print(error.kind)"
        )
        done = subprocess.run(
            ["/usr/bin/env", sys.executable, "-c", "import chaos.runtime.engine\n" + code],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert done.stdout.strip() == "denied", done.stderr


def test_the_current_docker_context_is_used(
    serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve({"Version": "28.1.0", "ApiVersion": "1.49"})
    folder = tmp_path / "config"
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"desk").hexdigest()
    meta.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"currentContext": "desk"}))
    assert "`desk` is set, but no such context" in refusal().what
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": url}}}))
    found = engine.find()
    assert found is not None
    assert (found.url, found.source) == (url, "the docker context `desk`")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert engine.find() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": 3}'])
def test_a_broken_docker_configuration_is_no_context(text: str, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text(text)
    assert engine._context() is None


def test_why_nothing_may_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.shutil, "which", lambda name: None if name == "dockerd" else name)
    assert "AFTERSHOCK_NO_INSTALL=1 forbids" in refusal().what

    monkeypatch.delenv("AFTERSHOCK_NO_INSTALL")
    release = tmp_path / "os-release"
    monkeypatch.setattr(install, "OS_RELEASE", release)
    release.write_text("ID=fedora\n")
    error = refusal()
    assert "not of the Debian family" in error.what
    assert "apt-get" not in error.fix

    release.write_text('ID=ubuntu\nID_LIKE="debian"\n')
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    error = refusal()
    assert "needs root" in error.what
    assert "sudo apt-get install docker.io" in error.fix


def test_docker_that_is_installed_but_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.shutil, "which", lambda name: name)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    error = refusal()
    assert "installed but not started" in error.what
    assert "systemctl start docker" in error.fix


def test_where_allowed_docker_is_installed_then_started_and_each_step_said(
    serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt-get and dockerd are programs of ours on a PATH of ours: the real ones change the host."""
    programs = tmp_path / "bin"
    programs.mkdir()
    url = serve({"Version": "28.1.0", "ApiVersion": "1.49"})
    mark = tmp_path / "started"
    script(
        programs / "apt-get",
        f'echo "$@" >> {tmp_path}/apt\n'
        f'case "$*" in *install*) printf "#!/bin/sh\\necho \\"\\$@\\" > {mark}\\nsleep 5\\n"'
        f" > {programs}/dockerd; /bin/chmod 755 {programs}/dockerd;; esac\n",
    )
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    monkeypatch.setattr(daemon.shutil, "which", lambda n: next(map(str, programs.glob(n)), None))
    monkeypatch.delenv("AFTERSHOCK_NO_INSTALL")
    monkeypatch.setattr(install, "OS_RELEASE", tmp_path / "os-release")
    (tmp_path / "os-release").write_text("ID=debian\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(daemon, "SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(
        daemon,
        "system_daemon",
        lambda: daemon.Daemon(
            command=["dockerd", *daemon.OPTIONS["bip"]], log=tmp_path / "log", pid_files=()
        ),
    )
    monkeypatch.setattr(
        engine,
        "places",
        lambda: [
            engine.Place(
                url=url if mark.exists() else "unix:///none", source="", named=mark.exists()
            )
        ],
    )
    monkeypatch.setattr(engine, "_answers", lambda _: mark.exists() and mark.read_text() != "")
    said: list[str] = []
    try:
        assert engine.ensure(said.append).url == url
    finally:
        for child in daemon.children:
            child.kill()
            child.wait()
        daemon.children.clear()
    calls = (tmp_path / "apt").read_text().splitlines()
    assert calls[0].endswith("update")
    assert calls[1].endswith("install -y --no-install-recommends docker.io iptables")
    assert mark.read_text().split() == ["--bip", "198.18.0.1/24"]
    assert [step.split(":")[0].split(" (")[0] for step in said[:2]] == [
        "installing docker.io iptables",
        "installing docker.io iptables",
    ]
    assert said[2].startswith("starting dockerd")
    assert said[3].startswith("dockerd answers after")


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)


def test_an_installation_that_fails_shows_apts_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "apt-get", 'for n in $(seq 50); do echo "line $n"; done; exit 100\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(EngineError, match="ended with 100") as caught:
        install.packages(["docker.io"], lambda _: None)
    assert caught.value.detail.splitlines()[-1] == "line 50"
    assert len(caught.value.detail.splitlines()) == 20


@pytest.mark.parametrize(
    ("body", "expected"),
    [("echo no room; exit 3\n", "dockerd ended with 3"), ("echo no room; sleep 30\n", "within")],
)
def test_a_daemon_that_does_not_come_up_shows_its_log(
    body: str, expected: str, tmp_path: Path
) -> None:
    program = tmp_path / "dockerd"
    script(program, body)
    one = daemon.Daemon(command=[str(program)], log=tmp_path / "log", pid_files=())
    try:
        with pytest.raises(EngineError, match=expected) as caught:
            daemon.launch(one, lambda _: None, lambda: False, deadline_s=1.0)
    finally:
        child = daemon.children.pop()
        child.kill()
        child.wait()
    assert "no room" in caught.value.detail


@pytest.mark.parametrize("text", ["", "not a number", "999999999", "our own"])
def test_a_stale_pid_file_is_removed(text: str, tmp_path: Path) -> None:
    stale = tmp_path / "docker.pid"
    stale.write_text(str(os.getpid()) if text == "our own" else text)
    said: list[str] = []
    one = daemon.Daemon(
        command=["/bin/true"], log=tmp_path / "log", pid_files=((stale, "dockerd"),)
    )
    daemon.launch(one, said.append, lambda: True)
    daemon.children.pop().wait()
    assert not stale.exists()
    assert str(stale) in said[0]


def test_the_pid_file_of_a_defunct_dockerd_is_removed(tmp_path: Path) -> None:
    program = tmp_path / "dockerd"
    script(program, "exit 0\n")
    gone = subprocess.Popen([program])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # ended, and not collected: defunct
    stale = tmp_path / "docker.pid"
    stale.write_text(str(gone.pid))
    assert not daemon.alive(stale, "dockerd")
    gone.wait()


def test_a_living_dockerd_is_waited_for_and_not_started_twice(tmp_path: Path) -> None:
    program = tmp_path / "dockerd"
    script(program, "sleep 30\n")
    running = subprocess.Popen([program])
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(str(running.pid))
    one = daemon.Daemon(
        command=["/nowhere/dockerd"], log=tmp_path / "log", pid_files=((pid_file, "dockerd"),)
    )
    said: list[str] = []
    answers = iter([False, False, True])
    try:
        daemon.launch(one, said.append, lambda: next(answers))
    finally:
        running.kill()
        running.wait()
    assert said[0].startswith("a dockerd is running already")
    assert pid_file.exists()


def test_options_that_the_configuration_file_sets_are_left_to_it(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    assert daemon.options(file) == [
        *("--bip", "198.18.0.1/24"),
        *("--default-address-pool", "base=198.19.0.0/16,size=24"),
    ]
    file.write_text('{"bip": "198.18.9.1/24"}')
    assert daemon.options(file) == ["--default-address-pool", "base=198.19.0.0/16,size=24"]
    file.write_text("[")
    assert len(daemon.options(file)) == 4


def test_preparing_a_machine_needs_the_standard_library_only(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c",
         f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
         "from chaos.runtime import engine; sys.exit(engine.main())"],
        env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 70
    assert "no container engine answers at DOCKER_HOST" in done.stderr
    assert "Traceback" not in done.stderr
