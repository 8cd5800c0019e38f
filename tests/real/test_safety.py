"""Nothing of this host is touched: it is the same after a run with every fault in it as before."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.record.reader import open_run
from chaos.runtime import docker as engine_api

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

GAP_MS, LENGTH_MS = 300, 1200
LONGER_MS = {"clock-leap": 3000}
# What the engine makes and removes for any container, ours or not.
ENGINES = re.compile(r"br-[0-9a-f]{12}|veth|docker0|198\.1[89]\.|/docker/|aftershock-")
COUNTERS = re.compile(r"packets \d+ bytes \d+|\[\d+:\d+\]|^#.*$", re.MULTILINE)
LISTINGS = {
    "nftables": ["nft", "list", "ruleset"],
    "iptables": ["iptables-nft-save"],
    "qdiscs": ["tc", "qdisc", "show"],
    "classes and filters": ["sh", "-c", "for d in $(ls /sys/class/net); do "
                            "tc class show dev $d; tc filter show dev $d; done"],
    "addresses": ["ip", "-o", "address"],
    "links": ["ip", "-o", "link"],
    "routes": ["ip", "route", "show", "table", "all"],
}  # fmt: skip
SYSCTLS = ("net/ipv4", "net/ipv6", "net/core", "net/netfilter", "vm", "kernel", "fs")
MOVING = re.compile(  # they change by themselves
    r"ns_last_pid|random/|/dentry|inode|file-nr|aio-nr|route/flush|compact_memory|_count$|"
    r"/conf/|/neigh/|dirty_|stat_refresh|perf_event_max_sample_rate|perf_cpu_time"
)


@pytest.fixture(scope="module")
def look(engine_client: Any) -> Iterator[Callable[[], dict[str, set[str]]]]:
    """A function that says what this host is like: kind → lines.

    The tools are those of our agent's image, in a container that has the host's network.
    """
    image = engine_client.images.list(name="aftershock/agent")[0]
    tools = engine_client.containers.run(
        image.id, ["sleep", "600"], detach=True, network_mode="host", cap_add=["NET_ADMIN"],
        init=True,
    )  # fmt: skip

    def look() -> dict[str, set[str]]:
        found = {}
        for kind, listing in LISTINGS.items():
            code, output = tools.exec_run(listing, stderr=False)
            assert code == 0, f"{listing}: {output.decode()}"
            found[kind] = lines(COUNTERS.sub("", output.decode()))
        found["mounts"] = lines(Path("/proc/self/mountinfo").read_text())
        found["loop devices"] = lines("\n".join(loop_devices()))
        found["sysctls"] = set(sysctls())
        return found

    yield look
    tools.remove(force=True)


def lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip() and not ENGINES.search(line)}


def loop_devices() -> list[str]:
    """`device file` of each that is in use."""
    return [
        f"{path.parts[3]} {path.read_text().strip()}"
        for path in sorted(Path("/sys/block").glob("loop*/loop/backing_file"))
    ]


def sysctls() -> Iterator[str]:
    """`name value` of every setting that can be written."""
    for part in SYSCTLS:
        for path in sorted(Path("/proc/sys", part).rglob("*")):
            name = str(path)
            if MOVING.search(name) or ENGINES.search(name) or not path.is_file():
                continue
            if path.stat().st_mode & 0o200:
                try:
                    yield f"{name} {path.read_text().strip()}"
                except (OSError, UnicodeDecodeError):
                    continue


class Clock:
    """Watches the host's clock all along: how far it moved against the time since the start."""

    def __init__(self) -> None:
        self.off_ms = 0.0
        self._start = self._offset_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    @staticmethod
    def _offset_ns() -> int:
        """Between two readings of the monotonic clock that are close together."""
        while True:
            before = time.monotonic_ns()
            real = time.time_ns()
            after = time.monotonic_ns()
            if after - before < 50_000:
                return real - (before + after) // 2

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.off_ms = max(self.off_ms, abs(self._offset_ns() - self._start) / 1e6)

    def stop(self) -> float:
        """Milliseconds it was off at most."""
        self._stop.set()
        self._thread.join()
        return self.off_ms


def traces(run_id: str, ids: set[str]) -> list[str]:
    """What a run that is over must not have left anywhere on this host."""
    name = f"aftershock-{run_id}"
    found = [f"loop device {line}" for line in loop_devices() if name in line]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line}" for line in mounts if name in line or any(i in line for i in ids)]
    found += [
        f"cgroup {folder}"
        for pattern in ("*/docker", "*/*/docker", "docker", "system.slice")
        for parent in Path("/sys/fs/cgroup").glob(pattern)
        for folder in parent.iterdir()
        if any(i in folder.name for i in ids)
    ]
    return found


def test_the_host_is_as_it_was(
    look: Callable[[], dict[str, set[str]]],
    schedules: Any,
    command: Any,
    engine_client: Any,
    tmp_path: Path,
) -> None:
    names = list(schedules.entries)
    entries = [
        schedules.entry(
            fault, schedules.entries[fault][-1], 300 + k * GAP_MS, LONGER_MS.get(fault, LENGTH_MS)
        )
        for k, fault in enumerate(names)
    ]
    seconds = (300 + len(names) * GAP_MS + LENGTH_MS) // 1000 + 3
    file = schedules.write(tmp_path / "everything.yaml", entries, duration_s=seconds)
    before, clock = look(), Clock()
    process = command.start(tmp_path / "runs", str(file))
    try:
        run_id = phase(tmp_path / "runs", process, "load")
        where = {"label": f"{engine_api.LABEL_RUN}={run_id}"}
        ids = {c.id for c in engine_client.containers.list(all=True, filters=where)}
        phase(tmp_path / "runs", process, "settle")
        process.send_signal(signal.SIGINT)  # what the databases have kept is not the question here
        _, stderr = process.communicate(timeout=100)
    finally:
        process.kill()
        off_ms = clock.stop()
    assert "Traceback" not in stderr
    assert process.returncode == 130, stderr
    run = open_run(next(tmp_path.glob("runs/everything/*")))
    faults = run.faults.to_pylist()
    injected = [f["fault"] for f in faults if f["outcome"] in ("confirmed", "inconclusive")]
    assert len(injected) > len(names) / 2, [(f["fault"], f["outcome"], f["why"]) for f in faults]
    after = look()
    gone = {kind: sorted(before[kind] - after[kind]) for kind in before}
    new = {kind: sorted(after[kind] - before[kind]) for kind in before}
    assert {kind: x for kind, x in gone.items() if x} == {}
    assert {kind: x for kind, x in new.items() if x} == {}
    assert off_ms < 1.0
    assert run.meta["run_id"] not in engine_api.runs(engine_client)
    assert traces(run.meta["run_id"], ids) == []


def phase(out: Path, process: Any, name: str) -> str:
    """Wait until the run is in this phase, or past it; its id."""
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        for file in out.glob("*/*/run.json"):
            meta = json.loads(file.read_text())
            if name in [phase["name"] for phase in meta["phases"]]:
                return str(meta["run_id"])
        time.sleep(0.05)
    said = process.communicate()[1] if process.poll() is not None else "it is still on its way"
    raise AssertionError(f"the run did not get to its phase {name}: {said}")
