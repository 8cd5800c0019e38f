"""Signals to a pod's processes: who holds which, and what is born meanwhile."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.agent import processes as processes_module
from chaos.agent.proc import each, look, thread_states
from chaos.agent.processes import Processes
from tests.agent.children import Pod, Timers

NAMES = ("alpha", "beta", "alpha")
FAULTS = ("f1", "f2", "f3")


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    made = Pod(tmp_path_factory.mktemp("pod"), NAMES)
    yield made
    made.end()


@pytest.fixture(autouse=True)
def only_children(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes_module, "each", pod.each)
    monkeypatch.setattr(processes_module, "look", pod.look)
    monkeypatch.setattr(processes_module, "called", pod.called)


def settled(state: Callable[[], str], wanted: bool) -> bool:
    """Whether the process gets to be stopped (or not) within a second."""
    end = time.monotonic() + 1.0
    while (state() in "Tt") != wanted and time.monotonic() < end:
        time.sleep(0.001)
    return (state() in "Tt") == wanted


def test_no_process_of_this_machine_is_a_database() -> None:
    assert look(os.getpid()) is None
    assert os.getppid() not in [p.pid for p in each()]


def test_a_name_is_the_kernels_or_the_programs(pod: Pod) -> None:
    alpha = next(p for p in pod.each() if p.is_called("alpha"))
    assert alpha.program() == "alpha"
    assert alpha.is_called(alpha.name)
    assert not alpha.is_called("beta")
    assert not alpha.is_called("")


def test_halted_processes_run_no_thread(pod: Pod) -> None:
    processes = Processes(Timers())
    try:
        assert processes.halt()
        assert {thread_states(p.pid) for p in pod.each()} == {"T"}
        assert processes.halt(), "again, and nothing has changed"
    finally:
        processes.heal()
    assert settled(lambda: next(pod.each()).state, False)


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    st.lists(
        st.tuples(st.sampled_from(FAULTS), st.sampled_from([None, "alpha", "beta", "over"])),
        max_size=8,
    )
)
def test_a_process_is_stopped_while_any_fault_holds_it(
    pod: Pod, orders: list[tuple[str, str | None]]
) -> None:
    part = Processes(Timers())
    held: dict[str, str | None] = {}
    for fault, name in orders:
        if name == "over":
            still = part.resume(fault)
            mine = held.pop(fault, "nobody")
            touched = [n for n in NAMES if mine is None or n == mine]
            holders = {f for f, n in held.items() if any(n is None or n == t for t in touched)}
            assert set(still) == holders
        else:
            if fault in held:
                part.resume(fault)
            part.stop(fault, name)
            held[fault] = name
        for index, called in enumerate(NAMES):
            wanted = any(n is None or n == called for n in held.values())
            assert settled(lambda index=index: pod.state(index), wanted), (orders, index)
    part.heal()
    assert all(settled(lambda k=k: pod.state(k), False) for k in range(len(NAMES)))


def test_what_is_born_into_a_stopped_node_is_stopped(pod: Pod, tmp_path: Path) -> None:
    timers = Timers()
    part = Processes(timers)
    part.stop("f1", "gamma")  # none there yet
    program = tmp_path / "gamma"
    program.symlink_to(sys.executable)
    pod.add(program)
    assert pod.state(-1) not in "Tt"
    timers.ring()
    assert settled(lambda: pod.state(-1), True)
    assert pod.state(0) not in "Tt"
    part.resume("f1")
    assert settled(lambda: pod.state(-1), False)
    timers.ring()
    assert timers.waiting == []  # nobody looks when nothing is held


def test_a_kill_by_name_spares_the_others(pod: Pod, tmp_path: Path) -> None:
    program = tmp_path / "delta"
    program.symlink_to(sys.executable)
    victim = pod.add(program)
    assert Processes.kill("delta") == [victim.pid]
    assert victim.wait(2) == -9
    assert all(pod.state(k) in "SR" for k in range(len(NAMES)))
    assert Processes.kill("delta") == []
