"""`aftershock heal` where there is nothing it could do: clear words and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")


def say(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder`, on a machine without an engine."""
    dead = {"DOCKER_HOST": f"unix://{folder}/no-engine.sock"}
    done = subprocess.run(
        [AFTERSHOCK, "heal", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **dead},
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_a_run_and_all_of_them_cannot_be_meant_at_once(tmp_path: Path) -> None:
    done = say(tmp_path, "runs/x", "--all")
    assert done.returncode == 2
    assert "expected a run or --all, got both" in done.stderr


def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    done = say(tmp_path)
    assert done.returncode == 70
    assert "no-engine.sock" in done.stderr
    assert "→" in done.stderr
