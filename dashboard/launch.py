"""How to start the dashboard: the command, its environment, and a port that is free.

The only address served is 127.0.0.1. Streamlit is told so: left alone it binds every interface
and asks a server on the internet for its own address.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.errors import AftershockError

ADDRESS = "127.0.0.1"
PORT = 8501
TRIES = 50

_HERE = Path(__file__).resolve().parent


def command(port: int, runs: Sequence[Path | str]) -> list[str]:
    """The command line that serves the folders `runs` (or single runs) on `port`."""
    options = {
        "server.address": ADDRESS,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": ADDRESS,
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": "#2F6FDE",  # not theme.primaryColor: that forces light mode
        "theme.dark.primaryColor": "#6DB6FE",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    folders = [str(Path(run).resolve()) for run in runs]
    program = [sys.executable, "-m", "streamlit", "run", str(_HERE / "app.py"), *flags]
    return [*program, "--", "--runs", *folders]


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """`base` (or ours) with the folder of our packages first on the path of imports."""
    env = dict(os.environ if base is None else base)
    path = [str(_HERE.parent), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(part for part in path if part)
    return env


def free_port(wanted: int = PORT) -> tuple[int, str]:
    """`wanted` or the next free port, and a sentence when it is another; "" when it is not."""
    for port in range(wanted, min(wanted + TRIES, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            said = "" if port == wanted else f"port {wanted} is taken; using {port}"
            return port, said
    raise AftershockError(
        f"expected a free port from {wanted} on, found none of {TRIES}", fix="name one: --port"
    )


def url(port: int) -> str:
    """Where the dashboard is then."""
    return f"http://{ADDRESS}:{port}"
