"""Stops the threads of a process for a moment, as a debugger does. Standard library only.

Code may only be changed under a process whose threads cannot be inside it. Signals would show
(SIGSTOP tells the parent, SIGCONT wakes what somebody else has stopped); ptrace's SEIZE and
INTERRUPT do not: system calls go on where they were, and a process that was stopped stays so.

A thread in an uninterruptible wait (a slow disk, the parent of a vfork) does not stop until that is
over. It need not: it is in the kernel, and the stop that waits for it comes before its next
instruction. It is let go when it gets there (`let_go`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

_PTRACE_PEEKDATA = 2
_PTRACE_POKEDATA = 5
_PTRACE_GETREGS = 12
_PTRACE_DETACH = 17
_PTRACE_GETSIGINFO = 0x4202
_PTRACE_SEIZE = 0x4206
_PTRACE_INTERRUPT = 0x4207
_EVENT_STOP = 128
_RIP, _RSP = 16 * 8, 19 * 8  # in struct user_regs_struct of x86-64
_REGISTERS_BYTES = 27 * 8

LOOK_EVERY_S = 0.00005
PATIENCE_S = 0.003  # what has not stopped by then may be in an uninterruptible wait
DEADLINE_S = 1.0  # a thread has to be scheduled once, also on a busy machine

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@dataclass(frozen=True, slots=True)
class Thread:
    """A stopped thread: the addresses of its next instruction and of the top of its stack."""

    tid: int
    instruction: int
    stack: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A process whose threads are all stopped."""

    pid: int
    threads: tuple[Thread, ...]

    def poke(self, address: int, data: bytes) -> None:
        """Write into its memory a word at a time: the way that needs no /proc/PID/mem."""
        start = address - address % 8
        for thread in self.threads:
            try:
                words = bytearray(_peek(thread.tid, start, (address + len(data) - start + 7) // 8))
            except ProcessLookupError:
                continue  # it waits in the kernel, and only a stopped thread can be used
            words[address - start : address - start + len(data)] = data
            for at in range(0, len(words), 8):
                (word,) = struct.unpack_from("<Q", words, at)
                _ptrace(_PTRACE_POKEDATA, thread.tid, start + at, word)
            return
        raise TimeoutError(f"all threads of process {self.pid} wait in the kernel")


class Threads:
    """Stops processes' threads one process at a time, and forgets none that it has seized."""

    def __init__(self) -> None:
        self._late: set[int] = set()  # seized, and not yet let go

    @contextlib.contextmanager
    def stopped(self, pid: int, deadline_s: float = DEADLINE_S) -> Iterator[Stopped]:
        """Stop every thread of `pid`, and let all go at the end.

        ProcessLookupError when it is gone; PermissionError when it cannot be traced (somebody else
        does it, or the kernel forbids it); TimeoutError when a thread does not stop.
        """
        seized: dict[int, Thread | None] = {}
        try:
            self._seize(pid, seized, deadline_s)
            threads = tuple(thread for thread in seized.values() if thread)
            if not threads:
                raise ProcessLookupError(errno.ESRCH, "it has ended")
            yield Stopped(pid, threads)
        finally:
            self._late.update(seized)
            self.let_go()

    def let_go(self) -> int:
        """Detach from what has stopped since; how many threads are still seized."""
        for tid in list(self._late):
            if _detached(tid):
                self._late.discard(tid)
        return len(self._late)

    def _seize(self, pid: int, seized: dict[int, Thread | None], deadline_s: float) -> None:
        """Until every thread is stopped or waits in the kernel, and no new one was born."""
        began = time.monotonic()
        while True:
            new = [tid for tid in _tasks(pid) if tid not in seized]
            for tid in new:
                if self._interrupt(pid, tid):
                    seized[tid] = None
            waited_s = time.monotonic() - began
            moving = [tid for tid, thread in seized.items() if thread is None]
            for tid in moving:
                seized[tid] = _registers(tid)
                if seized[tid] is None and waited_s > PATIENCE_S:
                    seized[tid] = _in_kernel(pid, tid)
                if seized[tid] is None and not os.path.exists(f"/proc/{pid}/task/{tid}"):
                    del seized[tid]
            if not new and all(seized.values()):
                return
            if waited_s > deadline_s:
                raise TimeoutError(f"a thread of process {pid} did not stop in {deadline_s:g} s")
            time.sleep(LOOK_EVERY_S)

    def _interrupt(self, pid: int, tid: int) -> bool:
        """Seize a thread and ask it to stop; False when it has ended."""
        try:
            if tid not in self._late:
                _ptrace(_PTRACE_SEIZE, tid)
            _ptrace(_PTRACE_INTERRUPT, tid)
        except ProcessLookupError:
            return False
        except PermissionError:
            if _state(pid, tid) in "ZX":
                return False
            raise
        return True


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> int:
    ctypes.set_errno(0)
    answer = int(_libc.ptrace(request, tid, address, data))
    if answer == -1 and (number := ctypes.get_errno()):
        raise OSError(number, os.strerror(number))
    return answer


def _peek(tid: int, address: int, words: int) -> bytes:
    """Memory of a stopped thread, 8 bytes a word."""
    return b"".join(
        struct.pack("<q", _ptrace(_PTRACE_PEEKDATA, tid, address + 8 * k)) for k in range(words)
    )


def _registers(tid: int) -> Thread | None:
    """Where a thread is; None while it is not stopped."""
    buffer = ctypes.create_string_buffer(_REGISTERS_BYTES)
    try:
        _ptrace(_PTRACE_GETREGS, tid, 0, ctypes.addressof(buffer))
    except ProcessLookupError:
        return None
    (instruction,) = struct.unpack_from("<Q", buffer, _RIP)
    (stack,) = struct.unpack_from("<Q", buffer, _RSP)
    return Thread(tid, instruction, stack)


def _in_kernel(pid: int, tid: int) -> Thread | None:
    """Where a thread that waits in the kernel will go on; None when it runs."""
    try:
        with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
            words = file.read().split()
    except OSError:
        return None
    if len(words) < 3:  # "running"
        return None
    return Thread(tid, int(words[-1], 16), int(words[-2], 16))


def _detached(tid: int) -> bool:
    """Let a thread go; False while it has not stopped. A signal it stopped for is delivered."""
    info = ctypes.create_string_buffer(128)
    signal_number = 0
    try:
        _ptrace(_PTRACE_GETSIGINFO, tid, 0, ctypes.addressof(info))
        number, _, code = struct.unpack_from("<iii", info)
        if code >> 8 != _EVENT_STOP:
            signal_number = number
    except OSError as error:  # EINVAL: stopped together with its group, for no signal of its own
        if error.errno == errno.ESRCH:
            return not _traced(tid)
    try:
        _ptrace(_PTRACE_DETACH, tid, 0, signal_number)
    except ProcessLookupError:
        return not _traced(tid)
    return True


def _traced(tid: int) -> bool:
    """Whether we still trace it; a thread that is gone is not."""
    try:
        with open(f"/proc/{tid}/status", encoding="ascii", errors="replace") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return False
    return (
        int(status.get("TracerPid", "0")) == os.getpid() and status["State"].split()[0] not in "ZX"
    )


def _tasks(pid: int) -> list[int]:
    try:
        return [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, "it has ended") from None


def _state(pid: int, tid: int) -> str:
    """The kernel's letter for a thread; X when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
