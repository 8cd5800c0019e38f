"""The code that tells a shifted time, in x86-64 machine language. Standard library only.

A process asks its vDSO for the time: `__vdso_clock_gettime`, `__vdso_gettimeofday`, `__vdso_time`.
While a clock is shifted these begin with a jump into this code, which makes the real system call
and adds the shift to CLOCK_REALTIME (0), CLOCK_REALTIME_COARSE (5), CLOCK_REALTIME_ALARM (8) and
CLOCK_TAI (11). Every other clock, the monotonic ones above all, is answered by the kernel alone.

The shift is a sum that depends on nothing but the true time `t` (UTC, ns) and one of two blocks:

    block:  i64 constant · u64 how many slots · SLOTS_MAX slots
    slot:   i64 start · u64 period (0: none) · i64 length · i64 rate · i64 full

    x = t - start;  nothing if x <= 0;  x %= period if there is one
    full if x >= length, else (x * rate) >> RATE_BITS, in 128 bits

So all processes of a pod agree without being rewritten, and since the shift depends on the one
reading that it is added to, a slow clock never runs backwards. Bit 0 of `generation` says which
block holds; whoever writes fills the other one and then counts up, and a reader that sees
`generation` change begins again: no reader ever waits, and none adds up half of one block and half
of another. No input can divide by zero or overflow a quotient, which would end the process.

Registers: only those a called function may change. Stack: 40 bytes at most, and never an address of
the stub itself: nothing is called. So whoever looks at a stopped thread's stack finds such an
address only where a signal has interrupted the stub, and knows that it will be returned to.
"""

from __future__ import annotations

import struct

SLOTS_MAX = 6
RATE_BITS = 40
FOR_EVER_NS = 2**63 - 1

# Machine code, and what it says in Intel's notation (GNU as, `.intel_syntax noprefix`).
LISTING = """
clock_gettime:
    83ff0b               cmp edi, 11
    770f                 ja real
    b921090000           mov ecx, 0x921
    0fa3f9               bt ecx, edi
    7305                 jnc real
    56                   push rsi
    6a00                 push 0
    eb2f                 jmp now
real:
    b8e4000000           mov eax, 228
    0f05                 syscall
    c3                   ret
gettimeofday:
    4885f6               test rsi, rsi
    740b                 jz zoned
    57                   push rdi
    31ff                 xor edi, edi
    b860000000           mov eax, 96
    0f05                 syscall
    5f                   pop rdi
zoned:
    31c0                 xor eax, eax
    4885ff               test rdi, rdi
    7407                 jz unasked
    57                   push rdi
    6a01                 push 1
    31ff                 xor edi, edi
    eb09                 jmp now
unasked:
    c3                   ret
time:
    57                   push rdi
    6a02                 push 2
    bf05000000           mov edi, 5
now:
    4883ec18             sub rsp, 24
    4889e6               mov rsi, rsp
    b8e4000000           mov eax, 228
    0f05                 syscall
    85c0                 test eax, eax
    0f85d1000000         jnz failed
    4c69042400ca9a3b     imul r8, [rsp], 1000000000
    4c03442408           add r8, [rsp+8]
    31f6                 xor esi, esi
    83ff0b               cmp edi, 11
    480f4435c5000000     cmove rsi, [rip+tai]
    4929f0               sub r8, rsi
again:
    448b0db3000000       mov r9d, [rip+generation]
    4c8d15bc000000       lea r10, [rip+blocks]
    41f6c101             test r9b, 1
    7407                 jz chosen
    4981c200010000       add r10, 256
chosen:
    4d8b1a               mov r11, [r10]
    418b7a08             mov edi, [r10+8]
    4983c210             add r10, 16
slot:
    ffcf                 dec edi
    7837                 js summed
    4c89c0               mov rax, r8
    492b02               sub rax, [r10]
    7e29                 jle skip
    498b4a08             mov rcx, [r10+8]
    4885c9               test rcx, rcx
    7408                 jz once
    31d2                 xor edx, edx
    48f7f1               div rcx
    4889d0               mov rax, rdx
once:
    493b4210             cmp rax, [r10+16]
    7d0e                 jge full
    49f76a18             imul qword ptr [r10+24]
    480facd028           shrd rax, rdx, 40
    4901c3               add r11, rax
    eb04                 jmp skip
full:
    4d035a20             add r11, [r10+32]
skip:
    4983c228             add r10, 40
    ebc5                 jmp slot
summed:
    443b0d52000000       cmp r9d, [rip+generation]
    7596                 jne again
    4b8d0418             lea rax, [r8+r11]
    4801f0               add rax, rsi
    31d2                 xor edx, edx
    b900ca9a3b           mov ecx, 1000000000
    48f7f1               div rcx
told:
    4883c418             add rsp, 24
    59                   pop rcx
    5e                   pop rsi
    ffc9                 dec ecx
    7411                 jz told_day
    7924                 jns told_time
    4885d2               test rdx, rdx
    7809                 js refused
    488906               mov [rsi], rax
    48895608             mov [rsi+8], rdx
    31c0                 xor eax, eax
refused:
    c3                   ret
told_day:
    488906               mov [rsi], rax
    89d0                 mov eax, edx
    31d2                 xor edx, edx
    b9e8030000           mov ecx, 1000
    f7f1                 div ecx
    48894608             mov [rsi+8], rax
    31c0                 xor eax, eax
    c3                   ret
told_time:
    4885f6               test rsi, rsi
    7403                 jz unstored
    488906               mov [rsi], rax
unstored:
    c3                   ret
failed:
    4883caff             or rdx, -1
    ebc1                 jmp told
"""

_LINES = [line.split(maxsplit=1) for line in LISTING.strip().splitlines()]
CODE = bytes.fromhex("".join(words[0] for words in _LINES if not words[0].endswith(":")))

# What follows the code: generation (u32), the TAI offset in ns (i64), the two blocks.
GENERATION = (len(CODE) + 7) // 8 * 8
TAI = GENERATION + 8
BLOCKS = TAI + 8
BLOCK_BYTES = 256
STUB_BYTES = BLOCKS + 2 * BLOCK_BYTES

_HEAD = struct.Struct("<qQ")
_SLOT = struct.Struct("<qQqqq")

Slot = tuple[int, int, int, int, int]  # start, period, length, rate, full


def entry(name: str) -> int:
    """Where in CODE the function `name` of the listing begins."""
    at = 0
    for words in _LINES:
        if words[0] == name + ":":
            return at
        if not words[0].endswith(":"):
            at += len(words[0]) // 2
    raise ValueError(f"the listing has no `{name}`")


def block(constant_ns: int, slots: list[Slot]) -> bytes:
    """A block, as the code reads it. ValueError when they do not fit."""
    if len(slots) > SLOTS_MAX:
        raise ValueError(f"at most {SLOTS_MAX} moving clock faults at a time on one node")
    try:
        data = _HEAD.pack(constant_ns, len(slots)) + b"".join(_SLOT.pack(*s) for s in slots)
    except struct.error:
        raise ValueError("a clock fault goes too far, or too fast, for 64 bits") from None
    return data.ljust(BLOCK_BYTES, b"\0")


def stub(first: bytes, tai_ns: int) -> bytes:
    """Code and data, `first` being the block that holds; `tai_ns` is TAI minus UTC."""
    data = struct.pack("<Qq", 0, tai_ns) + first + bytes(BLOCK_BYTES)
    return CODE.ljust(GENERATION, b"\0") + data
