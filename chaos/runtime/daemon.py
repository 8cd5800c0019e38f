"""Install and start Docker's daemon where we may, or say what stands in the way.

Its networks are put into 198.18.0.0/15, the range set aside for benchmarking (RFC 2544), so that
they collide with nobody's. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.errors import EngineError
from chaos.runtime import install
from chaos.runtime.install import Say

PACKAGES = ("docker.io", "iptables")
STARTED_WITHIN_S = 60.0
SYSTEMD = Path("/run/systemd/system")  # there when systemd is process 1, see sd_booted(3)
WITHOUT = "Recorded runs, `aftershock show`, `check` and the dashboard work without an engine."
CONFIGURATION = Path("/etc/docker/daemon.json")
OPTIONS = {
    "bip": ("--bip", "198.18.0.1/24"),
    "default-address-pools": ("--default-address-pool", "base=198.19.0.0/16,size=24"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """How to start one daemon, and the files it leaves behind."""

    command: Sequence[str]
    log: Path
    pid_files: Sequence[tuple[Path, str]] = field(
        default=(
            (Path("/var/run/docker.pid"), "dockerd"),
            (Path("/var/run/docker/containerd/containerd.pid"), "containerd"),
        )
    )


children: list[subprocess.Popen[bytes]] = []  # started here; they outlive this process


def start(say: Say, *, answers: Callable[[], bool]) -> None:
    """Install Docker if it is not there, start it, wait until `answers()`.

    EngineError if we may not, or if it does not come up; then with its last log lines.
    """
    _check_allowed()
    if shutil.which("dockerd") is None:
        install.packages(PACKAGES, say)
    if SYSTEMD.is_dir():
        _start_with_systemd(say, answers)
    else:
        launch(system_daemon(), say, answers)


def system_daemon() -> Daemon:
    """The machine's own daemon; options its configuration file sets are left to that file."""
    folder = Path("/var/log")
    if not os.access(folder, os.W_OK):
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return Daemon(
        command=["dockerd", *options(CONFIGURATION)], log=folder / "aftershock-dockerd.log"
    )


def options(configuration: Path) -> list[str]:
    """Our options, without those in the file: dockerd refuses one that is said in both places."""
    try:
        found = json.loads(configuration.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    said = found if isinstance(found, dict) else {}
    return [word for key, pair in OPTIONS.items() if key not in said for word in pair]


def launch(
    daemon: Daemon,
    say: Say,
    answers: Callable[[], bool],
    deadline_s: float = STARTED_WITHIN_S,
) -> None:
    """Start `daemon` in a session of its own and wait; EngineError with its last log lines."""
    running = False
    for path, program in daemon.pid_files:
        if alive(path, program):
            running = running or program == "dockerd"
        elif path.exists():
            say(f"removing {path}: the {program} that wrote it is gone")
            path.unlink(missing_ok=True)
    child = None
    if running:
        say("a dockerd is running already: waiting for its answer")
    else:
        say(f"starting {' '.join(daemon.command)} (log: {daemon.log})")
        daemon.log.parent.mkdir(parents=True, exist_ok=True)
        with daemon.log.open("ab") as log:
            child = subprocess.Popen(
                daemon.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        children.append(child)
    started = time.monotonic()
    while not answers():
        ended = child is not None and child.poll() is not None
        if ended or time.monotonic() - started > deadline_s:
            what = (
                f"dockerd ended with {child.returncode}"
                if child and ended
                else (f"dockerd did not answer within {deadline_s:.0f} s")
            )
            raise EngineError(
                f"{what} instead of answering",
                detail=_tail(daemon.log),
                fix=f"the lines above are the end of {daemon.log}. {WITHOUT}",
            )
        time.sleep(0.1)
    say(f"dockerd answers after {time.monotonic() - started:.1f} s")


def _check_allowed() -> None:
    """No engine answers: EngineError if starting one here is not for us to do."""
    installed = shutil.which("dockerd") is not None
    forbidden = os.environ.get(install.NO_INSTALL, "") not in ("", "0")
    refusal = install.refusal() if forbidden or not installed else install.not_root()
    if refusal is None:
        return
    if installed:
        raise EngineError(
            f"no container engine answers; Docker is installed but not started, and {refusal}",
            fix=f"start it: `sudo systemctl start docker`, or `sudo dockerd &`. {WITHOUT}",
        )
    how = "`sudo apt-get install docker.io`" if install.is_debian() else "from your distribution"
    raise EngineError(
        f"no container engine answers, and none may be installed here: {refusal}",
        fix=f"install and start Docker Engine 20.10 or newer ({how}), or set DOCKER_HOST to one. "
        f"{WITHOUT}",
    )


def _start_with_systemd(say: Say, answers: Callable[[], bool]) -> None:
    say("starting the docker service: systemctl start docker")
    done = subprocess.run(
        ["systemctl", "start", "docker"], capture_output=True, text=True, check=False
    )
    started = time.monotonic()
    while done.returncode == 0 and time.monotonic() - started < STARTED_WITHIN_S:
        if answers():
            return
        time.sleep(0.2)
    journal = subprocess.run(
        ["journalctl", "-u", "docker", "-n", "20", "--no-pager"],
        capture_output=True,
        text=True,
        check=False,
    )
    raise EngineError(
        f"`systemctl start docker` ended with {done.returncode} and no engine answers",
        detail=(done.stderr + journal.stdout).strip(),
        fix=f"`systemctl status docker` says more. {WITHOUT}",
    )


def alive(pid_file: Path, program: str) -> bool:
    """Whether the process that `pid_file` names is a living `program`.

    A number may be taken by another process, or by a defunct one that nobody waits for; dockerd
    itself refuses to start in both cases.
    """
    try:
        pid = int(pid_file.read_text())
        status = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    name = status[status.index("(") + 1 : status.rindex(")")]
    state = status[status.rindex(")") + 2]
    return name.startswith(program) and state not in "ZX"


def _tail(path: Path, lines: int = 20) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(text.splitlines()[-lines:])
