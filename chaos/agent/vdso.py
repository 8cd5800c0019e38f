"""A process's vDSO, and the change in it that shifts its clock. Standard library only.

The vDSO is the page of code that the kernel puts into every process; libraries, Go's runtime and
static programs call it to read the time. Writing into one process's page makes that page the
process's own: no other process sees it (the kernel copies on write), and a program that it executes
later starts with the kernel's page again.

The original bytes are in our own page, so that nothing has to be kept in order to restore them.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from dataclasses import dataclass

from chaos.agent.threads import Stopped, Threads
from chaos.agent.vdso_stub import (
    BLOCK_BYTES,
    BLOCKS,
    CODE,
    GENERATION,
    STUB_BYTES,
    entry,
    stub,
)

MACHINE = "x86_64"
FUNCTIONS = ("clock_gettime", "gettimeofday", "time")
JUMP_BYTES = 5
STACK_BYTES = 65536  # how far up a stack is looked for somebody who will return into changed code
TRIES = 10
WAIT_S = 0.0005  # between two tries, so that a thread gets out of the way
CLOCK_TAI = 11  # linux/time.h; Python's `time` names it only since 3.9, and not everywhere

_USER_CODE = b"\x33\0"  # CS of 64-bit programs; RIP, EFLAGS, CS in a signal's sigcontext
_AT_SYSINFO_EHDR = 33
_PT_DYNAMIC = 2
_DT_STRTAB, _DT_SYMTAB = 5, 6


class Unsupported(Exception):
    """Clocks cannot be shifted here, and why."""


class Busy(Exception):
    """A thread stayed inside the code that is to be changed."""


def auxv(pid: int) -> bytes:
    """What the kernel gave a program when it began: another one after each exec. b"" for none."""
    with open(f"/proc/{pid}/auxv", "rb") as file:
        return file.read()


def base_of(vector: bytes) -> int:
    """Where a 64-bit program's vDSO is; 0 when the vector does not say."""
    for at in range(0, len(vector) - 15, 16):
        key, value = struct.unpack_from("<QQ", vector, at)
        if key == _AT_SYSINFO_EHDR:
            return int(value)
    return 0


def symbols(image: bytes) -> dict[str, tuple[int, int]]:
    """{name: (offset, size)} of an ELF image's functions. The vDSO is linked at address 0."""
    if image[:6] != b"\x7fELF\x02\x01":
        raise Unsupported("the vDSO is no 64-bit ELF image")
    (headers,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    tables: dict[int, int] = {}
    for k in range(count):
        kind, _, _, at, _, bytes_, _, _ = struct.unpack_from("<IIQQQQQQ", image, headers + k * size)
        if kind == _PT_DYNAMIC:
            pairs = (struct.unpack_from("<QQ", image, at + 16 * n) for n in range(bytes_ // 16))
            tables.update(pairs)
    names, first = tables[_DT_STRTAB], tables[_DT_SYMTAB]
    found = {}
    for at in range(first, names, 24):  # linkers put the names right behind the symbols
        name, _, _, _, value, length = struct.unpack_from("<IBBHQQ", image, at)
        found[image[names + name : image.index(b"\0", names + name)].decode()] = (value, length)
    return found


@dataclass(frozen=True, slots=True)
class Vdso:
    """The kernel's vDSO, and what is to be written where: the same offsets in every process."""

    image: bytes
    room: int  # offset of the stub
    jumps: dict[int, bytes]  # offset of an entry point → the jump that goes there

    @property
    def changed(self) -> list[tuple[int, int]]:
        """(offset, length) of everything that differs while a clock is shifted."""
        return [(self.room, STUB_BYTES), *((at, JUMP_BYTES) for at in self.jumps)]

    @staticmethod
    def own(padding: bool = True) -> Vdso:
        """From our own process. Unsupported when this machine or kernel will not do.

        The stub goes behind the image, into the rest of its last page, or (also with
        `padding=False`) over the rest of clock_gettime's own body, which nobody runs any more.
        """
        if platform.machine() != MACHINE:
            raise Unsupported(f"no stub for {platform.machine()} yet, only for {MACHINE}")
        image = _own_image()
        known = symbols(image)
        missing = [name for name in FUNCTIONS if f"__vdso_{name}" not in known]
        if missing:
            raise Unsupported(f"the vDSO has no {', '.join(missing)}")
        at, size = known["__vdso_clock_gettime"]
        rest = len(image.rstrip(b"\0"))
        for begins, ends in ((rest, len(image) if padding else 0), (at + JUMP_BYTES, at + size)):
            room = (begins + 15) // 16 * 16
            if room + STUB_BYTES <= ends:
                break
        else:
            raise Unsupported(f"the vDSO has no room for {STUB_BYTES} bytes")
        jumps = {}
        for name in FUNCTIONS:
            offset = known[f"__vdso_{name}"][0]
            way = room + entry(name) - (offset + JUMP_BYTES)
            jumps[offset] = b"\xe9" + struct.pack("<i", way)
        return Vdso(image, room, jumps)


def _own_image() -> bytes:
    base = base_of(auxv(os.getpid()))
    if not base:
        raise Unsupported("the kernel gives processes no vDSO")
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            start, _, end = line.split()[0].partition("-")
            if int(start, 16) == base:
                break
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(base)
        image = memory.read(int(end, 16) - base)
    if len(image) != int(end, 16) - base:
        raise Unsupported("our own vDSO cannot be read")
    return image


class Target:
    """One process whose clock may be shifted.

    `poke`: write with ptrace instead of through /proc/PID/mem.
    """

    def __init__(self, pid: int, vdso: Vdso, threads: Threads, *, poke: bool = False) -> None:
        """OSError when it has ended or may not be touched; Unsupported when it has no such vDSO."""
        self.pid = pid
        self.since = time.monotonic()
        self._vector = auxv(pid)
        self._vdso = vdso
        self._threads = threads
        self._poke = poke
        self._base = base_of(self._vector)
        if not self._base:
            raise Unsupported("it has no 64-bit vDSO")
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY if poke else os.O_RDWR)

    def close(self) -> None:
        """Forget it."""
        if self._memory >= 0:
            os.close(self._memory)
        self._memory = -1

    def gone(self) -> bool:
        """Whether it has ended, or executes another program now: its memory is no more."""
        try:
            return not os.pread(self._memory, 1, self._base)
        except OSError:
            return True

    def same_program(self) -> bool:
        """Whether it executes what it did when first seen; also tells a child of vfork's exec."""
        try:
            return auxv(self.pid) == self._vector
        except OSError:
            return False

    def image(self) -> bytes:
        """Its whole vDSO as it is."""
        return self._read(0, len(self._vdso.image))

    def is_true(self) -> bool:
        """Whether its vDSO is the kernel's, byte for byte."""
        return self.image() == self._vdso.image

    def is_shifted(self) -> bool:
        """Whether it tells the time through our stub."""
        jumps = self._vdso.jumps.items()
        return (
            all(self._read(at, JUMP_BYTES) == jump for at, jump in jumps)
            and self._read(self._vdso.room, len(CODE)) == CODE
        )

    def install(self, first: bytes) -> None:
        """Put the stub in, `first` being what holds. Busy when a thread is in the way too long."""
        tai_ns = round(time.clock_gettime(CLOCK_TAI) - time.time()) * 10**9
        # Whoever has begun one of the three functions must not find a jump's second half.
        unsafe = [(at + 1, at + JUMP_BYTES) for at in self._vdso.jumps]
        if self._in_body():
            unsafe.append((self._vdso.room, self._vdso.room + STUB_BYTES))
        writes = {self._vdso.room: stub(first, tai_ns), **self._vdso.jumps}
        self._change(writes, unsafe, calls=self._in_body())
        if not self.is_shifted():
            raise Unsupported("what was written into its vDSO is not there")

    def update(self, block: bytes) -> None:
        """Let `block` hold from now on; nobody is stopped (but with `poke`)."""
        generation_at = self._vdso.room + GENERATION
        (generation,) = struct.unpack("<I", self._read(generation_at, 4))
        after = (generation + 1) % 2**32
        block_at = self._vdso.room + BLOCKS + (after & 1) * BLOCK_BYTES
        writes = {block_at: block, generation_at: struct.pack("<I", after)}
        if self._poke:
            self._change(writes, [])
        else:
            for at, data in writes.items():
                self._write(at, data, None)

    def remove(self) -> None:
        """Write the kernel's bytes back.

        All at once, or if a thread is inside the stub, or may have to return there: the entry
        points first, so that its clock is right, then the stub; Busy when that thread stays too
        long, and the stub is still there. A stub over the kernel's own code goes with the jumps
        around it, or not at all.
        """
        jumps = [(at, JUMP_BYTES) for at in self._vdso.jumps]
        stub_place = (self._vdso.room, STUB_BYTES)
        try:
            self._restore([*jumps, stub_place])
        except Busy:
            if self._in_body():
                raise
            self._restore(jumps)
            self._restore([stub_place])
        if not self.is_true():
            raise Unsupported("its vDSO is not the kernel's, and not for what we wrote")

    def _restore(self, places: list[tuple[int, int]]) -> None:
        kernels = {at: self._vdso.image[at : at + length] for at, length in places}
        # At its first byte a jump is about to be executed, and whatever is there will do.
        inside = [(at + (at in self._vdso.jumps), at + length) for at, length in places]
        if any(self._read(at, len(data)) != data for at, data in kernels.items()):
            self._change(kernels, inside)

    def _in_body(self) -> bool:
        return any(self._vdso.image[self._vdso.room : self._vdso.room + STUB_BYTES])

    def _change(
        self, writes: dict[int, bytes], unsafe: list[tuple[int, int]], calls: bool = False
    ) -> None:
        """Write while no thread is in `unsafe`; `calls`: the code there calls other code."""
        for _ in range(TRIES):
            with self._threads.stopped(self.pid) as stopped:
                if not any(self._is_in(thread.instruction, thread.stack, unsafe, calls)
                           for thread in stopped.threads):  # fmt: skip
                    for at, data in writes.items():
                        self._write(at, data, stopped)
                    return
            time.sleep(WAIT_S)
        raise Busy("a thread stayed inside its vDSO's code")

    def _is_in(
        self, instruction: int, stack: int, unsafe: list[tuple[int, int]], calls: bool
    ) -> bool:
        """Whether a thread executes code of `unsafe`, or will return there.

        A signal that interrupted such code has left its address on the stack, two words before the
        code segment. Where the code calls, any word with such an address counts.
        """
        ranges = [(self._base + start, self._base + end) for start, end in unsafe]
        if any(start <= instruction < end for start, end in ranges):
            return True
        if not ranges:
            return False
        try:
            held = os.pread(self._memory, STACK_BYTES, stack)
        except OSError:
            return False  # no stack there: nothing to return from
        found = -1
        marks = {struct.pack("<Q", start >> 16)[:6] for start, _ in ranges}
        for mark in marks:  # the six upper bytes, which all of one 64 KiB share
            while (found := held.find(mark, found + 1)) >= 0:
                if found < 2 or (stack + found - 2) % 8:
                    continue
                (address,) = struct.unpack("<Q", held[found - 2 : found + 6])
                saved = calls or held[found + 14 : found + 16] == _USER_CODE
                if saved and any(start <= address < end for start, end in ranges):
                    return True
        return False

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._memory, length, self._base + offset)
        if len(data) != length:
            raise ProcessLookupError(f"process {self.pid} has ended")
        return data

    def _write(self, offset: int, data: bytes, stopped: Stopped | None) -> None:
        if self._poke and stopped is not None:
            stopped.poke(self._base + offset, data)
        elif os.pwrite(self._memory, data, self._base + offset) != len(data):
            raise ProcessLookupError(f"process {self.pid} has ended")
