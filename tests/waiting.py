"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_until(what: str, done: Callable[[], Any], deadline_s: float = 60.0) -> Any:
    """What `done` gives once that is true; AssertionError naming `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := done():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {deadline_s} s")
