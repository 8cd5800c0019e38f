"""How the dashboard is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from chaos.errors import AftershockError
from dashboard import launch


def test_loopback_only_and_no_statistics() -> None:
    words = launch.command(8600, ["runs"])
    options = dict(zip(words[5::2], words[6::2], strict=False))
    assert options["--server.address"] == "127.0.0.1"
    assert options["--server.headless"] == "true"
    assert options["--browser.gatherUsageStats"] == "false"
    assert words[-3:] == ["--", "--runs", str(Path("runs").resolve())]
    assert Path(words[4]).is_file()


def test_our_packages_come_first() -> None:
    root = str(Path(launch.__file__).parents[1])
    assert launch.environment({"PYTHONPATH": "x"})["PYTHONPATH"].split(":") == [root, "x"]


def test_a_taken_port_is_passed_over_and_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other, said = launch.free_port(port)
    assert other > port
    assert said == f"port {port} is taken; using {other}"
    with pytest.raises(AftershockError, match="free port"):
        launch.free_port(65_536)
