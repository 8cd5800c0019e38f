"""Ctrl-C, SIGKILL, a vanished engine, a full disk: faults end, what was recorded stays readable."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.record.reader import open_run
from chaos.runtime import docker as engine_api
from chaos.runtime.attached import attach
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
LEASE_S = 3.0
EXPERIMENT = """\
name: interrupted
topology: redis-sentinel
workload: {name: set, rate: 200/s}
duration: 60s
schedule:
  - {at: 1s, for: 50s, fault: partition, isolate: n1, clients: by-zone}
  - {at: 1s, for: 50s, fault: pause, target: n3}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    path = tmp_path / "interrupted.yaml"
    path.write_text(EXPERIMENT)
    return str(path)


def the_run(out: Path) -> Path | None:
    return next(iter(out.glob("interrupted/*")), None)


def both_injected(out: Path) -> bool:
    run = the_run(out)
    journal = run / "journal.jsonl" if run else None
    if journal is None or not journal.exists():
        return False
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    return sum(e["event"] == "injected" for e in events) == 2


def containers(client: Any) -> list[Any]:
    return client.containers.list(all=True, filters={"label": engine_api.LABEL_RUN})


def of(out: Path, client: Any) -> Any:
    """The cluster of the run in `out`, found by its nodes' addresses."""
    run = the_run(out)
    assert run is not None
    addresses = {n["address"] for n in json.loads((run / "run.json").read_text())["nodes"]}
    return next(c for c in attach(client) if {n.address for n in c.nodes} == addresses)


def pings(cluster: Any, from_node: str, to_node: str) -> bool:
    """Whether `to_node` answers `from_node` across the test network."""
    address = next(n.address for n in cluster.nodes if n.name == to_node)
    command = ["timeout", "0.5", "redis-cli", "-h", address, "ping"]
    return b"PONG" in cluster.containers(from_node)[0].exec_run(command).output


def test_ctrl_c_heals_and_keeps_the_run(
    command: Any, experiment: str, tmp_path: Path, engine_client: Any
) -> None:
    process = command.start(tmp_path / "runs", experiment)
    wait_until("both faults", lambda: both_injected(tmp_path / "runs"))
    run_id = of(tmp_path / "runs", engine_client).run
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    run = open_run(the_run(tmp_path / "runs"))
    assert run.meta["state"] == "interrupted"
    assert run.history.num_rows > 100
    assert {f["heal_outcome"] for f in run.faults.to_pylist()} == {"confirmed"}
    assert run_id not in engine_api.runs(engine_client)


def test_ctrl_c_twice_stops_at_once(
    command: Any, experiment: str, tmp_path: Path, engine_client: Any
) -> None:
    process = command.start(tmp_path / "runs", experiment)
    wait_until("both faults", lambda: both_injected(tmp_path / "runs"))
    cluster = of(tmp_path / "runs", engine_client)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 3
    assert "aftershock down --all" in stderr or "removed" in stderr
    engine_api.remove_run(engine_client, cluster.run)
    assert open_run(the_run(tmp_path / "runs")).history.num_rows > 100


@pytest.mark.parametrize("after_s", [0.05, 1.7])
def test_sigkill_of_the_controller(
    command: Any, experiment: str, tmp_path: Path, engine_client: Any, after_s: float
) -> None:
    process = command.start(tmp_path / "runs", experiment)
    wait_until("both faults", lambda: both_injected(tmp_path / "runs"))
    cluster = of(tmp_path / "runs", engine_client)
    assert not pings(cluster, "n1", "n2")
    time.sleep(after_s)
    process.kill()
    killed = time.monotonic()
    process.communicate()
    wait_until("the link to work again", lambda: pings(cluster, "n1", "n2"), LEASE_S + 2)
    wait_until("the pause to end", lambda: pings(cluster, "n2", "n3"), LEASE_S + 2)
    assert time.monotonic() - killed < LEASE_S + 2
    run = open_run(the_run(tmp_path / "runs"))
    assert any("ended early" in note for note in run.notes)
    assert run.history.num_rows > 100
    shown = command.say("show", str(run.path))
    assert shown.returncode == 0, shown.stderr
    assert "Traceback" not in shown.stderr
    assert cluster.run in engine_api.leftovers(engine_client)
    assert command.say("ps").stdout.count("leftover") >= 3
    engine_api.remove_run(engine_client, cluster.run)
    assert cluster.run not in engine_api.runs(engine_client)


@pytest.fixture
def engine_between(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The engine's socket behind another one that can be cut: (its address, cut)."""
    here = tmp_path / "engine.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(here))
    listener.listen(64)
    open_sockets: list[socket.socket] = [listener]

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect("/var/run/docker.sock")
            open_sockets.extend((near, far))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()

    def cut() -> None:
        here.unlink(missing_ok=True)
        for one in open_sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    yield f"unix://{here}", cut
    cut()


def test_engine_stops_in_mid_run(
    command: Any,
    experiment: str,
    tmp_path: Path,
    engine_client: Any,
    engine_between: tuple[str, Callable[[], None]],
) -> None:
    address, cut = engine_between
    process = command.start(
        tmp_path / "runs", experiment, env={**os.environ, "DOCKER_HOST": address}
    )
    wait_until("both faults", lambda: both_injected(tmp_path / "runs"))
    cluster = of(tmp_path / "runs", engine_client)
    cut()
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 70, stderr
    assert "engine stopped in mid-run" in stderr
    assert "Traceback" not in stderr
    run = open_run(the_run(tmp_path / "runs"))
    assert run.meta["state"] == "failed"
    assert run.history.num_rows > 100
    assert pings(cluster, "n1", "n2")
    engine_api.remove_run(engine_client, cluster.run)


def test_disk_full(command: Any, experiment: str, tmp_path: Path, nothing_left: Any) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.fail(f"a small file system cannot be mounted here: {mounted.stderr.decode()}")
    try:
        process = command.start(small, experiment, "--set", "workload.rate=5000/s")
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 70, stderr
        assert "space" in stderr.lower()
        assert "Traceback" not in stderr
        assert open_run(next(small.glob("interrupted/*"))).history.num_rows > 0
        nothing_left()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
