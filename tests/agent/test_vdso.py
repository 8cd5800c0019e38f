"""The stub in a real process: every way to ask for the time, every shift, and nothing left."""

from __future__ import annotations

import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.agent import vdso_stub
from chaos.agent.shifts import SECOND_NS, Shift, as_block, drift_rate, total, utc_offset_ns
from chaos.agent.threads import Threads
from chaos.agent.vdso import Busy, Target, Unsupported, Vdso
from tests.agent.clock_children import Teller

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the stub is for x86-64")

NEAR_NS = 20_000_000
COARSE_NS = 30_000_000  # how old the kernel's coarse clock may be, and then some
WAYS = [(True, False), (True, True), (False, False), (False, True)]  # in padding?, with ptrace?


@pytest.fixture
def teller() -> Iterator[Teller]:
    made = Teller()
    yield made
    made.end()


def near(got: int, wanted: int, within: int = NEAR_NS) -> bool:
    return abs(got - wanted) <= within


def step(by_ns: int) -> bytes:
    return as_block([Shift(kind="step", start_ns=0, by_ns=by_ns)], 0)


@pytest.mark.parametrize(("padding", "poke"), WAYS)
def test_every_way_to_ask_is_shifted_and_given_back(
    teller: Teller, padding: bool, poke: bool
) -> None:
    target = Target(teller.pid, Vdso.own(padding), Threads(), poke=poke)
    hour = 3600 * SECOND_NS
    target.install(as_block([], 0))
    assert near(teller.wrong_ns(), 0)
    for by_ns in (hour, -hour, 1):
        target.update(step(by_ns))
        told = teller.tell()
        for name in ("python", "gettimeofday", "tai"):
            assert near(told[name] - told["raw"], by_ns), name
        assert near(told["coarse"] - told["raw"], by_ns, COARSE_NS)
        late = told["raw"] + by_ns - told["time"]
        assert -NEAR_NS < late < SECOND_NS + COARSE_NS
        assert near(told["monotonic"], told["steady"])
    assert target.is_shifted()
    target.remove()
    assert target.is_true()
    assert near(teller.wrong_ns(), 0)
    target.close()


def test_the_stub_adds_what_the_shifts_say(teller: Teller) -> None:
    target = Target(teller.pid, Vdso.own(), Threads())
    target.install(as_block([], 0))
    chosen = random.Random(7)
    for _ in range(40):
        now = time.monotonic_ns()

        def start(now: int = now) -> int:
            return now - chosen.randrange(3 * SECOND_NS)

        def by() -> int:
            return chosen.randrange(-(10**13), 10**13)

        kinds = [
            Shift(kind="step", start_ns=start(), by_ns=by()),
            Shift(
                kind="skew", start_ns=start(), by_ns=by(), over_ns=chosen.randrange(10**7, 10**13)
            ),
            Shift(kind="drift", start_ns=now - 10**14, rate=drift_rate(chosen.uniform(-5e5, 5e5))),
            Shift(kind="strobe", start_ns=start(), by_ns=by(), every_ns=5 * SECOND_NS),
            Shift(kind="leap", start_ns=start()),
        ]
        shifts = [shift for shift in kinds if chosen.random() < 0.6]
        target.update(as_block(shifts, utc_offset_ns()))
        told = teller.tell()
        expected = total(shifts, told["steady"])
        assert near(told["python"] - told["raw"], expected), shifts
    target.remove()
    assert target.is_true()
    target.close()


def test_a_slow_clock_never_runs_backwards(teller: Teller) -> None:
    target = Target(teller.pid, Vdso.own(), Threads())
    now = time.monotonic_ns()
    slow = [
        Shift(kind="drift", start_ns=now, rate=drift_rate(-400_000)),
        Shift(kind="skew", start_ns=now, by_ns=-SECOND_NS, over_ns=2 * SECOND_NS),
    ]
    target.install(as_block(slow, utc_offset_ns()))
    assert teller.say("backwards(100_000)") >= -1  # a nanosecond is lost to rounding
    target.close()


def test_an_update_is_seen_whole_or_not_at_all(teller: Teller) -> None:
    """Blocks whose mixture would be far from both are exchanged under a process that reads."""
    target = Target(teller.pid, Vdso.own(), Threads())
    now = time.monotonic_ns() - SECOND_NS
    one = [Shift(kind="skew", start_ns=now, by_ns=10**12, over_ns=10**6) for _ in range(6)]
    other = [Shift(kind="skew", start_ns=now, by_ns=-(10**12), over_ns=10**6) for _ in range(6)]
    blocks = [as_block(one, utc_offset_ns()), as_block(other, utc_offset_ns())]
    target.install(blocks[0])
    teller.begin("shifts(0.5)")
    end, updates = time.monotonic() + 0.5, 0
    while time.monotonic() < end:
        updates += 1
        target.update(blocks[updates % 2])
    seen = teller.answer()
    assert updates > 100
    assert len(seen) > 1000
    allowed = (6 * 10**12, -6 * 10**12)
    assert [s for s in seen if not any(s[0] <= a <= s[1] for a in allowed)] == []
    assert {min(allowed, key=lambda a: abs(s[0] - a)) for s in seen} == set(allowed)
    target.close()


def test_code_is_exchanged_under_threads_that_run_it_and_signals_that_interrupt_it() -> None:
    hammer = (
        "import signal, threading, time\n"
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        "def run():\n    while True: time.time_ns(), time.clock_gettime_ns(5)\n"
        "threading.Thread(target=run, daemon=True).start()\nprint('up', flush=True)\nrun()\n"
    )
    process = subprocess.Popen([sys.executable, "-S", "-c", hammer], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    target = Target(process.pid, Vdso.own(), Threads())
    for _ in range(30):
        target.install(step(SECOND_NS))
        for _ in range(50):  # a thread may be inside at each of a few tries in a row
            try:
                target.remove()
                break
            except Busy:
                time.sleep(0.01)
        assert target.is_true()
    assert process.poll() is None
    target.close()
    process.kill()
    process.wait()
    process.stdout.close()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_stopped_process_is_shifted_and_stays_stopped(teller: Teller) -> None:
    os.kill(teller.pid, signal.SIGSTOP)
    os.waitpid(teller.pid, os.WUNTRACED)
    threads = Threads()
    target = Target(teller.pid, Vdso.own(), threads)
    target.install(step(100 * SECOND_NS))
    assert threads.let_go() == 0
    end = time.monotonic() + 1
    while state(teller.pid) != "T" and time.monotonic() < end:
        time.sleep(0.001)
    assert state(teller.pid) == "T"
    os.kill(teller.pid, signal.SIGCONT)
    assert near(teller.wrong_ns(), 100 * SECOND_NS)
    target.close()


def test_a_child_inherits_and_an_executed_program_does_not(teller: Teller) -> None:
    vdso, threads = Vdso.own(), Threads()
    target = Target(teller.pid, vdso, threads)
    target.install(step(SECOND_NS))
    child = Target(teller.say("fork()"), vdso, threads)
    assert child.is_shifted()
    assert not target.gone()
    teller.begin(f"os.execv({sys.executable!r}, ['python', '-S', '-c', 'input()'])")
    end = time.monotonic() + 5
    while not target.gone() and time.monotonic() < end:
        time.sleep(0.001)
    assert target.gone()
    assert not target.same_program()
    after = Target(teller.pid, vdso, threads)
    assert after.is_true()
    for each in (target, child, after):
        each.close()


def test_what_cannot_be_touched_says_so() -> None:
    with pytest.raises(OSError, match="No such"):
        Target(2**22 - 1, Vdso.own(), Threads())
    with pytest.raises(ValueError, match="at most 6"):
        as_block([Shift(kind="leap", start_ns=k) for k in range(7)], 0)
    with pytest.raises(ValueError, match="too fast"):
        as_block([Shift(kind="skew", start_ns=0, by_ns=10**15, over_ns=1)], 0)
    with pytest.raises(ValueError, match="expected one of"):
        Shift(kind="jump", start_ns=0)


def test_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Unsupported, match="no stub for aarch64 yet"):
        Vdso.own()


@pytest.mark.skipif(shutil.which("as") is None, reason="no assembler here")
def test_the_bytes_are_what_the_listing_says(tmp_path: Path) -> None:
    lines = [".intel_syntax noprefix"]
    for line in vdso_stub.LISTING.strip().splitlines():
        lines.append(line if line.endswith(":") else line.split(maxsplit=1)[1])
    lines += [".balign 8, 0", "generation: .quad 0", "tai: .quad 0", "blocks: .space 512", ""]
    (tmp_path / "stub.s").write_text("\n".join(lines))
    made, flat = tmp_path / "stub.o", tmp_path / "stub.bin"
    subprocess.run(["as", tmp_path / "stub.s", "-o", made], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, flat], check=True)
    assert flat.read_bytes() == vdso_stub.stub(bytes(vdso_stub.BLOCK_BYTES), 0)
