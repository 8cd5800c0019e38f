"""What may be installed on this host, and how: Debian packages, said step by step.

Standard library only: it also runs where none of our dependencies is installed yet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.errors import EngineError

NO_INSTALL = "AFTERSHOCK_NO_INSTALL"
OS_RELEASE = Path("/etc/os-release")
Say = Callable[[str], None]


def refusal() -> str | None:
    """Why nothing may be installed on this host; None if it may be."""
    if os.environ.get(NO_INSTALL, "") not in ("", "0"):
        return f"{NO_INSTALL}={os.environ[NO_INSTALL]} forbids installing anything"
    if not is_debian():
        return "this system is not of the Debian family, so its packages are not known here"
    if why := not_root():
        return why
    if shutil.which("apt-get") is None:
        return "apt-get is not on the PATH"
    return None


def not_root() -> str | None:
    """Why root's work cannot be done by this process; None if it can."""
    return None if os.geteuid() == 0 else "that needs root"


def is_debian() -> bool:
    """Whether /etc/os-release says Debian or something derived from it."""
    try:
        lines = OS_RELEASE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    words = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "").split()
    return "debian" in words


def packages(names: Sequence[str], say: Say) -> None:
    """Install Debian packages; EngineError with apt's last lines if that fails."""
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",  # maintainer scripts must not start services: we do, with our flags
    }
    say(f"installing {' '.join(names)}: apt-get update")
    updated = _apt(["update"], environment)
    say(f"installing {' '.join(names)}: apt-get install")
    installed = _apt(["install", "-y", "--no-install-recommends", *names], environment)
    if installed.returncode == 0:
        return
    text = "" if updated.returncode == 0 else updated.stdout
    raise EngineError(
        f"expected apt-get to install {' '.join(names)}, it ended with {installed.returncode}",
        fix=f"install {' '.join(names)} by hand, then try again",
        detail="\n".join((text + installed.stdout).splitlines()[-20:]),
    )


def _apt(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments]
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=900,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(
            f"apt-get {arguments[0]} did not end well: {error}",
            fix="look at the network and at other package tools that may hold apt's lock",
        ) from None
