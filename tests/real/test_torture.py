"""The controller is killed at random moments with two faults active, over and over.

`make torture` does it a hundred times; AFTERSHOCK_TORTURE says how often, AFTERSHOCK_TORTURE_SEED
which draws. After each: links, pauses and clocks are as before within a lease and a second, looked
at inside the pods; the watchdog heals the rest and goes; `show` reads the run; after `down` nothing
of it is left on this host.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.healing.remains import CLIENTS, find
from chaos.record.journal import open_faults, read_journal
from chaos.runtime import docker as engine_api
from tests.waiting import wait_until

TIMES = int(os.environ.get("AFTERSHOCK_TORTURE", "10"))
SEED = int(os.environ.get("AFTERSHOCK_TORTURE_SEED", "1"))
pytestmark = [pytest.mark.real, pytest.mark.timeout(120 + 15 * TIMES)]

AT_ONCE = 3
LEASE_S = 3.0
REST_S = 45.0  # toxics, limits, stopped databases; a slow machine gets that long
LATE_S_MAX = 1.5  # how long after both injections were begun the controller is killed at most


@dataclass(frozen=True)
class Draw:
    """One round: what is in force when the controller dies, and when that is."""

    number: int
    faults: tuple[str, ...]
    entries: tuple[str, ...]
    late_s: float


@dataclass(frozen=True)
class Round:
    """What a round showed."""

    draw: Draw
    released_s: float  # links, pauses and clocks as before, after the kill, at the latest
    healed_s: float  # everything else too
    active: int  # faults that had taken effect


def draws(schedules: Any, count: int) -> list[Draw]:
    """Pairs of faults, every one drawn before any is drawn twice."""
    rng = random.Random(SEED)
    known = schedules.entries
    bag: list[str] = []
    drawn = []
    for number in range(count):
        pair: list[str] = []
        while len(pair) < 2:
            if not bag:
                bag = rng.sample(sorted(known), len(known))
            index = next((k for k, name in enumerate(bag) if name not in pair), None)
            pair.append(bag.pop(index) if index is not None else rng.choice(sorted(known)))
        entries = tuple(
            schedules.entry(name, rng.choice(known[name]), 300, 50_000) for name in pair
        )
        drawn.append(Draw(number, tuple(pair), entries, rng.uniform(0, LATE_S_MAX)))
    return drawn


def begun(run: Path) -> bool:
    """Whether both injections have begun, or one of them could not, beside the other."""
    events = read_journal(run / "journal.jsonl")
    ids = {e["id"]: e["event"] for e in events if e["event"] in ("inject", "failed")}
    return len(ids) == 2 and "inject" in ids.values()


def in_force(client: Any, run_id: str) -> tuple[float, float, dict[str, Any]]:
    """When the first and the last pod was looked into (seconds, by the clock that all share), and
    what is held in them or frozen by the engine. Toxics belong to the rest."""
    remains = find(client, run_id)
    assert set(remains.agents) == {"n1", "n2", CLIENTS}
    frozen = {f"{node} frozen": names for node, names in remains.frozen().items()}
    looks = remains.look()
    held: dict[str, Any] = {node: look.held for node, look in looks.items() if look.held}
    times_s = [look.t_ns / 1e9 for look in looks.values()]
    return min(times_s), max(times_s), held | frozen


@dataclass(frozen=True)
class Started:
    """A controller at work, with both faults begun."""

    draw: Draw
    here: Path
    process: subprocess.Popen[str]
    run: Path
    run_id: str


def start(draw: Draw, folder: Path, schedules: Any, command: Any) -> Started:
    """Begin a round; AssertionError, and nothing left, when the run does not get that far."""
    here = folder / str(draw.number)
    here.mkdir()
    file = schedules.write(here / "torture.yaml", draw.entries)
    process = command.start(here / "runs", str(file))
    try:
        found = wait_until(
            "a run directory", lambda: next(iter(here.glob("runs/*/*/run.json")), None), 30
        )
        run = found.parent
        wait_until("both injections", lambda: begun(run) or process.poll() is not None, 90)
        assert process.poll() is None, f"{draw}: {process.communicate()[1][-2000:]}"
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
        raise
    run_id = json.loads((run / "run.json").read_text())["run_id"]
    return Started(draw, here, process, run, run_id)


def end(one: Started, command: Any, client: Any) -> Round:
    """Kill the controller and look; AssertionError says what was not as it should be."""
    journal = one.run / "journal.jsonl"
    try:
        time.sleep(one.draw.late_s)
        active = sum(e["event"] == "injected" for e in read_journal(journal))
        os.killpg(one.process.pid, signal.SIGKILL)
        killed = time.monotonic()
        one.process.communicate()
        released_s = until_released(client, one.run_id, killed)
        healed = wait_until(
            "healing", lambda: not open_faults(journal) and time.monotonic() - killed, REST_S
        )
        shown = command.say("show", str(one.run))
        assert (shown.returncode, shown.stderr) == (0, "")
        downed = command.say("down", "-t", one.run_id)
        if one.run_id in engine_api.runs(client):  # else another run's start was faster
            assert downed.returncode == 0, downed.stderr
        nothing_left(client, one.run_id, one.here)
        return Round(one.draw, released_s, healed, active)
    except AssertionError as error:
        log = one.run / "logs/watchdog.log"
        said = log.read_text() if log.exists() else "(the watchdog said nothing)"
        raise AssertionError(f"round {one.draw}:\n{error}\n{said}") from None
    finally:
        one.process.kill()
        one.process.communicate()
        engine_api.remove_run(client, one.run_id)


def until_released(client: Any, run_id: str, killed: float) -> float:
    """Seconds from the kill until a look into all pods that found nothing in force; a look that
    finds something must not be later than a lease and a second."""
    while True:
        first_s, last_s, held = in_force(client, run_id)
        if not held:
            return last_s - killed
        late_s = first_s - killed
        assert late_s < LEASE_S + 1, f"{late_s:.1f} s after the kill, in force: {held}"
        time.sleep(0.05)


def nothing_left(client: Any, run_id: str, here: Path) -> None:
    """No container, network, volume, loop device, mount, cgroup or process of the run."""
    assert run_id not in engine_api.runs(client)
    of_run = f"aftershock-{run_id}"

    def left() -> list[str]:
        loops = [p.read_text() for p in Path("/sys/block").glob("loop*/loop/backing_file")]
        found = [f"loop device on {text.strip()}" for text in loops if of_run in text]
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [f"mount {line}" for line in mounts if of_run in line]
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str(here).encode() in (entry / "cmdline").read_bytes():
                    found.append(f"process {entry.name}")
            except OSError:
                continue
        return found

    end = time.monotonic() + 10  # the kernel lets go of a disk a moment after the engine
    while (found := left()) and time.monotonic() < end:
        time.sleep(0.05)
    assert found == []


def test_sigkill_at_random_moments(
    command: Any,
    engine_client: Any,
    schedules: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {"partition", "pause", "kill", "client-latency"} <= set(schedules.entries)
    drawn = draws(schedules, TIMES)
    rounds, failed = [], []
    # Some at once, but none begins while another's controller is dead: a run that starts removes
    # what dead controllers have left.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for k in range(0, TIMES, AT_ONCE):
            starting = [
                pool.submit(start, draw, tmp_path, schedules, command)
                for draw in drawn[k : k + AT_ONCE]
            ]
            failed += [str(error) for job in starting if (error := job.exception())]
            started = [job.result() for job in starting if not job.exception()]
            ending = [pool.submit(end, one, command, engine_client) for one in started]
            failed += [str(error) for job in ending if (error := job.exception())]
            rounds += [job.result() for job in ending if not job.exception()]
    with capsys.disabled():
        report(rounds, failed, schedules.missing)
    assert failed == [], f"{len(failed)} of {TIMES} rounds (seed {SEED})"
    assert sum(r.active for r in rounds) > len(rounds), "too few faults were active"


def report(rounds: list[Round], failed: list[str], undrawn: list[str]) -> None:
    """What a person who ran `make torture` wants to see."""
    print(f"\ntorture, seed {SEED}: {len(rounds)} rounds as they should be, {len(failed)} not")
    for one in rounds:
        names = " + ".join(one.draw.faults)
        print(
            f"  {one.draw.number:3d}  {names:45s} killed {one.draw.late_s:.2f} s on, released "
            f"after {one.released_s:.2f} s, all healed after {one.healed_s:.2f} s"
        )
    for words in failed:
        print(f"\n{words}")
    print(f"  not drawn: {', '.join(undrawn) or 'none'}")
