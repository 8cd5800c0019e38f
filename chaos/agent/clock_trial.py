"""Whether clocks can be shifted here, tried on a child of our own. Standard library only."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import time

from chaos.agent.shifts import SECOND_NS, Shift, as_block
from chaos.agent.threads import Threads
from chaos.agent.vdso import Busy, Target, Unsupported, Vdso

BY_NS = 1000 * SECOND_NS
NEAR_NS = 5 * SECOND_NS
ANSWER_S = 2.0

_TIMES = struct.Struct("<qq")  # CLOCK_REALTIME, CLOCK_MONOTONIC


def trial(vdso: Vdso, threads: Threads, *, poke: bool) -> str:
    """Shift a child's clock there and back; "" when it did, else why not. Some milliseconds."""
    asks, asked = os.pipe()
    tells, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(asked)
        _tell_time(asks, told)
    try:
        return _there_and_back(child, vdso, threads, asked, tells, poke)
    except (OSError, Unsupported, Busy, TimeoutError) as error:
        return str(error)
    finally:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(child, 0)  # unless whoever buries orphans was faster
        for end in (asks, asked, tells, told):
            os.close(end)


def _tell_time(asks: int, told: int) -> None:
    """The child: a time for each byte, for ever."""
    try:
        while os.read(asks, 1):
            os.write(told, _TIMES.pack(time.time_ns(), time.monotonic_ns()))
    finally:
        os._exit(0)


def _there_and_back(
    child: int, vdso: Vdso, threads: Threads, asked: int, tells: int, poke: bool
) -> str:
    def wrong_by() -> int:
        os.write(asked, b"?")
        if not select.select([tells], [], [], ANSWER_S)[0]:
            raise TimeoutError("a process whose clock was shifted does not answer")
        shown, steady = _TIMES.unpack(os.read(tells, _TIMES.size))
        return int((shown - time.time_ns()) - (steady - time.monotonic_ns()))

    target = Target(child, vdso, threads, poke=poke)
    try:
        target.install(as_block([], 0))
        target.update(as_block([Shift(kind="step", start_ns=0, by_ns=BY_NS)], 0))
        if abs(wrong_by() - BY_NS) > NEAR_NS:
            return "a process whose clock was shifted did not show it"
        target.remove()
        if abs(wrong_by()) > NEAR_NS:
            return "a process whose clock was given back did not show it"
    finally:
        target.close()
    return ""
