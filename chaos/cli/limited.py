"""Work that must end in time, whatever it is doing: it is done in a process of its own.

A search looks at the clock itself (`analysis.checkers.base.Meter`); a sort of ten million numbers
or the reading of a file does not, and is stopped from outside.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from chaos.errors import AftershockError

T = TypeVar("T")
GRACE = 1.06  # of the limit: the work may stop by itself first, which keeps more of what it found


class OutOfTime(Exception):
    """The work was stopped at its limit."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """`work()`, done by a child process that is killed when `seconds` have passed.

    Raises OutOfTime then, and AftershockError as `work` raised it. The result must be picklable.
    """
    end = time.monotonic() + seconds * GRACE
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _be_the_child(work, writer)
    os.close(writer)
    try:
        text = _read_until(reader, end)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # it has nothing left to do, or no time to do it
        os.waitpid(child, 0)
    if not text:
        raise AftershockError(
            "the process that checked the history ended without an answer",
            fix="was it killed because memory ran out? Check without --time-limit to see",
        )
    done, value = pickle.loads(text)  # from our own child
    if not done:
        raise value
    result: T = value
    return result


def _be_the_child(work: Callable[[], object], writer: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and kills us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        try:
            text = pickle.dumps((True, work()))
        except Exception as error:
            text = pickle.dumps((False, error))
        with os.fdopen(writer, "wb") as out:
            out.write(text)
    finally:
        os._exit(0)


def _read_until(reader: int, end: float) -> bytes:
    """Everything until end-of-file; OutOfTime when that has not come by `end` (monotonic)."""
    parts: list[bytes] = []
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            raise OutOfTime
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
