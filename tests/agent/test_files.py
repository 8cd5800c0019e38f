"""Limits of open files of real processes: lowered to what is open, shared by faults, restored."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.agent import files as files_module
from chaos.agent.files import Files, as_user, limits_of
from tests.agent.children import Pod

NAMES = ("alpha", "beta")
FAULTS = ("f1", "f2", "f3")


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    made = Pod(tmp_path_factory.mktemp("pod"), NAMES)
    yield made
    made.end()


@pytest.fixture(autouse=True)
def only_children(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "each", pod.each)
    monkeypatch.setattr(files_module, "called", pod.called)


def soft(pod: Pod) -> list[int]:
    return [limits_of(process.pid)[0] for process in pod.processes]


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    st.lists(
        st.tuples(st.sampled_from(FAULTS), st.sampled_from([None, "alpha", "beta", "over"])),
        max_size=6,
    )
)
def test_a_limit_is_low_while_any_fault_holds_it(
    pod: Pod, orders: list[tuple[str, str | None]]
) -> None:
    before = soft(pod)
    part = Files()
    held: dict[str, set[str]] = {}
    for fault, name in orders:
        if name == "over":
            mine = held.pop(fault, set())
            holders = {other for other, names in held.items() if names & mine}
            assert part.do_feed({"fault": fault})["still"] == sorted(holders)
        else:
            part.do_starve({"fault": fault, "process": name})
            held.setdefault(fault, set()).update(NAMES if name is None else {name})
        low = set().union(*held.values())
        for process_name, was, now in zip(NAMES, before, soft(pod), strict=True):
            assert (now < was) == (process_name in low), orders
    part.heal()
    part.heal()
    assert soft(pod) == before


def test_a_starved_process_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so itself: what it tries when its input is closed is refused, and then is not."""
    tries = (
        "import os, sys\n"
        "print('up', flush=True)\n"
        "for _ in range(2):\n"
        "    sys.stdin.readline()\n"
        "    try:\n"
        "        print(len(os.listdir('/')) > 0, flush=True)\n"
        "    except OSError as error:\n"
        "        print(error.errno, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", tries],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    pod = Pod(tmp_path, [])
    pod.processes = [process]
    monkeypatch.setattr(files_module, "each", pod.each)
    monkeypatch.setattr(files_module, "called", pod.called)
    part = Files()
    try:
        process.stdout.readline()
        [[pid, _, was, now]] = part.do_starve({"fault": "f1"})["starved"]
        assert (pid, was) == (process.pid, limits_of(os.getpid())[0])
        [[_, _, low, _, free]] = part.do_file_limits({})["limits"]
        assert low == now == free
        assert part.do_file_limits({"process": "ended"}) == {"limits": []}
        process.stdin.write("\n")
        assert process.stdout.readline().strip() == "24"  # EMFILE
        part.do_feed({"fault": "f1"})
        process.stdin.write("\n")
        assert process.stdout.readline().strip() == "True"
    finally:
        process.stdin.close()
        pod.end()


def test_a_child_born_while_its_parent_starves_is_restored_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forks = (
        "import os, sys, time\n"
        "print('up', flush=True)\n"
        "sys.stdin.readline()\n"
        "child = os.fork()\n"
        "if child:\n"
        "    print(child, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", forks],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    pod = Pod(tmp_path, [])
    pod.processes = [process]
    monkeypatch.setattr(files_module, "called", pod.called)
    child = 0
    part = Files()
    try:
        process.stdout.readline()
        before = limits_of(process.pid)
        part.do_starve({"fault": "f1"})
        process.stdin.write("\n")
        child = int(process.stdout.readline())
        assert limits_of(child)[0] < before[0]
        family = {process.pid, child}
        monkeypatch.setattr(
            files_module, "each", lambda: [p for p in map(pod.see, family) if p is not None]
        )
        part.heal()
        assert limits_of(child) == limits_of(process.pid) == before
    finally:
        if child:
            os.kill(child, 9)
        process.stdin.close()
        pod.end()


def test_what_a_helper_says_comes_back() -> None:
    ids = os.getuid(), os.getgid()
    assert as_user(*ids, list) == []
    assert as_user(*ids, lambda: ["no"]) == ["no"]

    def breaks() -> list[str]:
        raise OSError("broken")

    assert "broken" in as_user(*ids, breaks)[0]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may take on other ids")
def test_a_helper_is_the_user_it_is_told_to_be() -> None:
    said = as_user(65534, 65534, lambda: [str(os.getuid()), str(os.getgid()), str(os.getgroups())])
    assert said == ["65534", "65534", "[]"]


def test_an_unlimited_process_is_read_as_such() -> None:
    assert limits_of(os.getpid()) == resource.getrlimit(resource.RLIMIT_NOFILE)
