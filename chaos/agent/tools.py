"""Running other programs from process 1 of the pod. Standard library only."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

DEADLINE_S = 10.0


def run(command: Sequence[str], text: str = "") -> str:
    """Run a program with `text` as its input; what it wrote. RuntimeError with its last line.

    The agent buries every orphan of the pod as soon as one dies, and would bury this child too,
    with its exit code: so that signal waits until the child has been asked.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=DEADLINE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{command[0]}: {error}") from None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no word why"]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {said[-1].strip()}")
    return done.stdout
