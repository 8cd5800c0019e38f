"""Processes that tell the time in every way a program can, for tests that shift their clocks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

# Answers a line of JSON for each line: {"python", "gettimeofday", "time", "coarse", "tai",
# "monotonic", "raw"} in ns; "raw" is the system call itself, which nothing fools.
TELLER = """
import ctypes, json, os, sys, time
libc = ctypes.CDLL(None)
libc.time.restype = ctypes.c_long
class Pair(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("rest", ctypes.c_long)]
def raw(clock=0):
    pair = Pair()
    libc.syscall(228, clock, ctypes.byref(pair))
    return pair.seconds * 10**9 + pair.rest
def day():
    pair = Pair()
    libc.gettimeofday(ctypes.byref(pair), None)
    return pair.seconds * 10**9 + pair.rest * 1000
def tell():
    return {
        "steady": raw(1), "python": time.time_ns(), "raw": raw(), "gettimeofday": day(),
        "time": libc.time(None) * 10**9, "coarse": time.clock_gettime_ns(5),
        "tai": time.clock_gettime_ns(11) - tai, "monotonic": time.monotonic_ns(),
    }
def shifts(seconds):
    seen, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        before = raw(); shown = time.time_ns(); after = raw()
        seen.append((shown - after, shown - before))
    return seen
def backwards(count):
    last, worst = time.time_ns(), 0
    for _ in range(count):
        now = time.time_ns(); worst = min(worst, now - last); last = now
    return worst
def fork():
    child = os.fork()
    if child == 0:
        while True: time.sleep(1)
    return child
tai = time.clock_gettime_ns(11) - raw() + 500_000_000
tai -= tai % 10**9
print("up", flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""


class Teller:
    """A child of the test in a session of its own; its children are of that session, too."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", TELLER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.pid = self.process.pid
        assert self._line() == "up\n"

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def say(self, expression: str) -> Any:
        """What the child finds the expression to be."""
        self.begin(expression)
        return self.answer()

    def begin(self, expression: str) -> None:
        """Ask and do not wait."""
        assert self.process.stdin
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """What was asked for."""
        line = self._line()
        assert line, f"the process has ended: {self.process.wait()}"
        return json.loads(line)

    def tell(self) -> dict[str, int]:
        """The time, in every way, ns."""
        told: dict[str, int] = self.say("tell()")
        return told

    def wrong_ns(self) -> int:
        """How far its clock is from the kernel's."""
        told = self.tell()
        return told["python"] - told["raw"]

    def mine(self, pid: int) -> bool:
        """Whether a process is this one, or descends from it."""
        try:
            return os.getsid(pid) == self.pid
        except OSError:
            return False

    def end(self) -> None:
        """Kill it and its children."""
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
