"""`python -m tests.truth --json` in processes of its own, all of which end with the test.

They give way to everything else, so that real databases can be tested meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WITHIN_S = 1780.0


def judged(
    root: Path, histories: int, names: Iterable[str], seed: str = "1"
) -> tuple[dict[str, Any], str]:
    """(what came of each property by name, what was said of wrong verdicts)."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.truth", "--json", "--idle", "--jobs", "2"),
            *("--seed", seed, "--histories", str(histories), "--proved", "4"),
            *("--property", *names),
        ],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=WITHIN_S)
    finally:  # of a test that took too long, the workers would judge on
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert stdout, stderr
    return {row["property"]: row for row in json.loads(stdout)["properties"]}, stderr
