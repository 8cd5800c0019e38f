"""Running the command as a user would, and looking at what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.record.reader import RunData, open_run
from chaos.runtime import docker as engine_api

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")


@dataclass(frozen=True)
class Ran:
    """One finished `aftershock run`."""

    code: int
    path: Path
    results: dict[str, Any]
    run: RunData
    stderr: str


class Command:
    """`aftershock run … --json`, in its own process group as in a terminal."""

    program = AFTERSHOCK

    @staticmethod
    def start(out: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a run."""
        return subprocess.Popen(
            [AFTERSHOCK, "run", *arguments, "--json", "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> Ran:
        """Wait for it; what it said and what it left."""
        stdout, stderr = process.communicate(timeout=240)
        assert stdout.strip(), f"exit code {process.returncode}\n{stderr}"
        results = json.loads(stdout)
        path = Path(results["path"])
        return Ran(process.returncode, path, results, open_run(path), stderr)

    @staticmethod
    def say(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Any other command, to its end."""
        return subprocess.run(
            [AFTERSHOCK, *arguments], capture_output=True, text=True, timeout=120, **options
        )


@pytest.fixture(scope="session")
def command() -> type[Command]:
    """The command line."""
    return Command


@pytest.fixture
def nothing_left(engine_client: Any) -> Callable[[], None]:
    """Call it to assert that no container, network or volume of an ended controller is left."""

    def check() -> None:
        assert engine_api.leftovers(engine_client) == {}

    return check
