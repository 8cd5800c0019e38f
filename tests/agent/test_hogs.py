"""Burners beside real processes: who is confined to which core, and what is left at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.agent import hogs as hogs_module
from chaos.agent.hogs import Hogs
from tests.agent.children import Pod

CORES = os.sched_getaffinity(0)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    made = Pod(tmp_path, ("alpha", "beta"))
    monkeypatch.setattr(hogs_module, "each", made.each)
    monkeypatch.setattr(hogs_module, "called", made.called)
    yield made
    made.end()


@pytest.fixture
def hogs(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hogs]:
    started: list[int] = []
    start = hogs_module._start

    def remembered(share: float, core: int, for_s: float) -> int:
        started.append(start(share, core, for_s))
        return started[-1]

    monkeypatch.setattr(hogs_module, "_start", remembered)
    made = Hogs()
    yield made
    made.heal()
    for pid in started:  # they are dead, or this waits for ever
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def cores(pod: Pod) -> list[set[int]]:
    return [os.sched_getaffinity(process.pid) for process in pod.processes]


def burn(hogs: Hogs, fault: str, share: float, core: int = 0) -> int:
    asked = {"fault": fault, "share": share, "core": core, "for_s": 20.0}
    return int(hogs.do_burn(asked)["core"])


def test_the_database_is_confined_until_the_last_burner_ends(pod: Pod, hogs: Hogs) -> None:
    core = burn(hogs, "f1", 0.2, core=len(CORES) + 1)
    assert core == sorted(CORES)[(len(CORES) + 1) % len(CORES)]
    assert cores(pod) == [{core}, {core}]
    assert burn(hogs, "f2", 0.1, core=core + 1) == core  # the same as the first
    assert hogs.do_spare({"fault": "f1"}) == {"still": ["f2"]}
    assert cores(pod) == [{core}, {core}]
    assert hogs.do_spare({"fault": "f2"}) == {"still": []}
    assert hogs.do_spare({"fault": "f2"}) == {"still": []}
    assert cores(pod) == [CORES, CORES]
    assert hogs.do_burning({})["burned_s"] == 0


def test_the_largest_share_burns(hogs: Hogs) -> None:
    burn(hogs, "f1", 0.3)
    burn(hogs, "f2", 0.2)
    running = {fault: pid > 0 for fault, (pid, _, _) in hogs._burners.items()}
    assert running == {"f1": True, "f2": False}
    hogs.spare("f1")
    assert {fault: pid > 0 for fault, (pid, _, _) in hogs._burners.items()} == {"f2": True}


def test_it_burns_and_it_ends(hogs: Hogs) -> None:
    burn(hogs, "f1", 0.5)
    end = time.monotonic() + 5
    while hogs.do_burning({})["burned_s"] < 0.05 and time.monotonic() < end:
        time.sleep(0.02)
    seen = hogs.do_burning({})
    assert seen["burned_s"] >= 0.05
    assert len(seen["cores"]) == 1
    assert seen["idle_s"] >= 0
    [(pid, _, _)] = hogs._burners.values()
    hogs.heal()
    hogs.heal()
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_what_is_born_later_is_confined_and_freed_too(pod: Pod, hogs: Hogs, tmp_path: Path) -> None:
    core = burn(hogs, "f1", 0.1)
    pod.add(tmp_path / "alpha")
    hogs.tick()
    assert cores(pod)[-1] == {core}
    hogs.heal()
    assert cores(pod) == [CORES, CORES, CORES]
