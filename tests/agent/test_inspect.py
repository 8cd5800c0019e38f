"""What the look into a pod sees, tried on processes of this host."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from chaos.agent import inspect


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_stopped_process_is_seen_until_it_goes_on(sleeper: subprocess.Popen[bytes]) -> None:
    name = f"{sleeper.pid} sleep"
    assert name not in inspect.stopped()
    sleeper.send_signal(signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    assert name in inspect.stopped()
    sleeper.send_signal(signal.SIGCONT)
    os.waitpid(sleeper.pid, os.WCONTINUED)
    assert name not in inspect.stopped()


def test_a_confined_process_is_seen(sleeper: subprocess.Popen[bytes]) -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core: nobody can be confined to fewer")
    name = f"{sleeper.pid} sleep"
    assert name not in inspect.confined()
    os.sched_setaffinity(sleeper.pid, {min(cores)})
    assert name in inspect.confined()


def test_no_process_of_this_host_lives_in_another_time(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert inspect._vdso(sleeper.pid) == inspect._vdso(os.getpid())
    assert f"{sleeper.pid} sleep" not in inspect.clocks()


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("198.19.3.12", "198.19.3.12"),
        ({"elem": {"val": "198.19.3.12", "timeout": 3}}, "198.19.3.12"),
        ({"concat": ["198.19.3.12", "198.19.3.10"]}, "198.19.3.12 . 198.19.3.10"),
        (
            {"elem": {"val": {"concat": ["198.19.3.12", "tcp", 5432]}, "expires": 2}},
            "198.19.3.12 . tcp . 5432",
        ),
    ],
)
def test_elements_of_a_set_as_text(element: object, text: str) -> None:
    assert inspect._text(element) == text


def test_what_cannot_be_read_is_not_passed_over() -> None:
    """It is said in the kind's own list, which then is not empty."""
    code = (
        "from chaos.agent import inspect\n"
        "def broken(): raise OSError('no such thing')\n"
        "inspect.KINDS = {'drops': broken, 'stopped': list}\n"
        "inspect.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.pop("t_ns") <= time.monotonic_ns()
    assert found == {"drops": ["cannot be read: no such thing"], "stopped": []}


def test_connections_are_the_first_process_s_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            try:
                assert f"127.0.0.1:{port}" not in inspect.connections()
            except PermissionError:
                pytest.skip("only root may look at process 1")
