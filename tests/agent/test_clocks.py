"""The agent's part for clocks: faults add up, newcomers are found, everything is given back."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.agent.clocks import Clocks
from chaos.agent.shifts import SECOND_NS, Shift, drift_rate
from chaos.agent.threads import Threads
from chaos.agent.vdso import Target, Unsupported, Vdso
from tests.agent.children import Timers
from tests.agent.clock_children import Teller

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the stub is for x86-64")

NEAR_NS = 20_000_000


class Pod:
    """One process with its descendants, and the agent's part that may touch no other."""

    def __init__(self) -> None:
        self.teller = Teller()
        self.timers = Timers()
        self.clocks = Clocks(self.timers, self.teller.mine)

    def begin(self, fault: str, kind: str = "step", **shift: int) -> dict[str, Any]:
        plain = Shift(kind=kind, start_ns=time.monotonic_ns(), **shift).plain()
        return self.clocks.do_clock({"fault": fault, "shift": plain})

    def end(self, fault: str) -> dict[str, Any]:
        return self.clocks.do_clock_end({"fault": fault})

    def is_true(self, pid: int | None = None) -> bool:
        try:
            target = Target(pid or self.teller.pid, Vdso.own(), Threads())
        except Unsupported:
            return True  # in the middle of an exec
        try:
            return target.is_true()
        finally:
            target.close()

    def until(self, done: Callable[[], bool], deadline_s: float = 5.0) -> bool:
        """Let the agent's timers ring until it is so."""
        end = time.monotonic() + deadline_s
        while not (so := done()) and time.monotonic() < end:
            self.timers.ring()
            time.sleep(0.002)
        return so


@pytest.fixture
def pod() -> Iterator[Pod]:
    made = Pod()
    yield made
    made.clocks.heal()
    made.teller.end()


def near(got: int, wanted: int) -> bool:
    return abs(got - wanted) <= NEAR_NS


def test_faults_add_up_and_end_by_themselves(pod: Pod) -> None:
    assert pod.begin("f1", by_ns=3600 * SECOND_NS)["shifted"] == 1
    pod.begin("f2", by_ns=-60 * SECOND_NS)
    pod.begin("f3", "drift", rate=drift_rate(100_000))
    began = time.monotonic_ns()
    time.sleep(0.5)
    drift = (time.monotonic_ns() - began) // 10
    assert near(pod.teller.wrong_ns(), 3540 * SECOND_NS + drift)
    pod.end("f1")
    assert abs(pod.teller.wrong_ns() + 60 * SECOND_NS) < SECOND_NS
    pod.end("f3")
    assert near(pod.teller.wrong_ns(), -60 * SECOND_NS)
    assert not pod.is_true()
    assert pod.end("f2") == {"shifted": 0, "failed": []}
    assert pod.is_true()
    assert pod.end("f2") == {"shifted": 0, "failed": []}, "ending twice is as good as once"


def test_a_strobe_and_a_leap_are_told_by_the_process_alone(pod: Pod) -> None:
    leap = Shift(**pod.begin("f1", "leap")["shift"])
    ahead = leap.start_ns - time.monotonic_ns()
    assert 0 < ahead < 1.01 * SECOND_NS
    assert near(pod.teller.wrong_ns(), 0)
    time.sleep(max(0, leap.start_ns - time.monotonic_ns()) / 1e9 + 0.01)
    told = pod.teller.tell()
    assert near(told["python"] - told["raw"], -SECOND_NS)
    assert told["python"] % SECOND_NS < 500_000_000, "it leapt at a whole second"
    pod.begin("f2", "strobe", by_ns=7 * SECOND_NS, every_ns=100_000_000)
    seen = set()
    for _ in range(60):
        seen.add(round((pod.teller.wrong_ns() + SECOND_NS) / SECOND_NS))
        time.sleep(0.005)
    assert seen == {0, 7}


def test_children_and_new_programs_are_found(pod: Pod) -> None:
    pod.begin("f1", by_ns=50 * SECOND_NS)
    child = pod.teller.say("fork()")
    found = {"f1": pod.clocks.do_clocks({})["shifted"]}
    assert pod.until(lambda: pod.clocks.do_clocks({})["shifted"] == 2), found
    pod.teller.begin(f"os.execv({sys.executable!r}, ['python', '-S', '-c', 'input()'])")
    program = Path(f"/proc/{pod.teller.pid}/cmdline")
    assert pod.until(lambda: b"input()" in program.read_bytes()), "the old one still runs"
    assert pod.until(lambda: not pod.is_true(pod.teller.pid)), "the new program has the true time"
    pod.end("f1")
    assert pod.is_true(child)
    assert pod.is_true()


def test_a_child_that_nobody_has_seen_is_given_back_too(pod: Pod) -> None:
    pod.begin("f1", by_ns=50 * SECOND_NS)
    child = pod.teller.say("fork()")
    assert not pod.is_true(child)
    pod.clocks.heal()
    assert pod.is_true(child)
    assert pod.is_true()
    pod.clocks.heal()


def test_others_are_never_touched(pod: Pod) -> None:
    bystander = Teller()
    pod.begin("f1", by_ns=3600 * SECOND_NS)
    pod.clocks.tick()
    assert near(bystander.wrong_ns(), 0)
    assert pod.is_true(bystander.pid)
    assert abs(time.time_ns() - pod.teller.tell()["raw"]) < SECOND_NS
    bystander.end()


def test_a_stub_without_its_fault_goes_again(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.agent.clocks.READY_S", 0.1)
    assert pod.clocks.do_clock_ready({"fault": "f1"})["shifted"] == 1
    assert not pod.is_true()
    assert near(pod.teller.wrong_ns(), 0)
    assert pod.until(pod.is_true)
    pod.timers.ring()
    assert pod.timers.waiting == [], "the agent rests when there is nothing to look after"


def test_what_cannot_be_added_leaves_the_others_as_they_were(pod: Pod) -> None:
    for number in range(6):
        pod.begin(f"f{number}", "strobe", by_ns=SECOND_NS, every_ns=3600 * SECOND_NS)
    with pytest.raises(ValueError, match="at most 6 moving clock faults"):
        pod.begin("f7", "drift", rate=1)
    with pytest.raises(ValueError, match="before 1970"):
        pod.begin("f8", by_ns=-100 * 365 * 86400 * SECOND_NS)
    assert near(pod.teller.wrong_ns(), 6 * SECOND_NS)
    assert sorted(pod.clocks.do_clocks({})["shifts"]) == [f"f{n}" for n in range(6)]


def test_it_says_which_way_it_takes_and_why_not(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pod.clocks.able() == {
        "ladders": {"clock": {"rung": "proc-mem", "tried": [{"rung": "proc-mem", "why": ""}]}}
    }
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    elsewhere = Clocks(Timers())
    found = elsewhere.able()["ladders"]["clock"]
    assert found["rung"] is None
    assert all("no stub for aarch64 yet" in way["why"] for way in found["tried"])
    with pytest.raises(RuntimeError, match="cannot be shifted here: no stub for aarch64"):
        elsewhere.do_clock_ready({"fault": "f1"})
