"""The kernel's counters of a container, both versions of them, from files as kernels write them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.agent import cgroups
from chaos.agent.cgroups import version_1, version_2

MIB = 1 << 20


def write(root: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_version_1(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "cpu/cpu.cfs_quota_us": "20000\n",
        "cpu/cpu.cfs_period_us": "100000\n",
        "cpu/cpu.stat": "nr_periods 9\nnr_throttled 7\nthrottled_time 361300000\n",
        "cpuacct/cpuacct.usage": "1500000000\n",
        "memory/memory.limit_in_bytes": f"{64 * MIB}\n",
        "memory/memory.usage_in_bytes": f"{40 * MIB}\n",
        "memory/memory.failcnt": "3\n",
        "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "memory/memory.stat": f"cache 0\ntotal_cache {25 * MIB}\ntotal_shmem {10 * MIB}\n",
        "freezer/freezer.state": "FROZEN\n",
    })  # fmt: skip
    assert version_1(root) == {
        "cpus": 0.2, "cpu_s": 1.5, "throttled": 7, "throttled_s": 0.3613,
        "limit_bytes": 64 * MIB, "used_bytes": 40 * MIB, "held_bytes": 25 * MIB,
        "refused": 3, "oom_kills": 2, "frozen": True,
    }  # fmt: skip


def test_version_1_without_limits(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "cpu/cpu.cfs_quota_us": "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "freezer/freezer.state": "THAWED\n",
    })  # fmt: skip
    found = version_1(root)
    assert (found["cpus"], found["limit_bytes"], found["frozen"]) == (None, None, False)
    assert (found["used_bytes"], found["held_bytes"], found["cpu_s"]) == (None, None, None)


def test_a_limit_larger_than_any_machine_is_none(tmp_path: Path) -> None:
    root = write(tmp_path, {"memory/memory.limit_in_bytes": f"{1 << 62}\n"})
    assert version_1(root)["limit_bytes"] is None


def test_version_2(tmp_path: Path) -> None:
    root = write(tmp_path, {
        "cpu.max": "50000 100000\n",
        "cpu.stat": "usage_usec 1500000\nnr_throttled 4\nthrottled_usec 250000\n",
        "memory.max": f"{64 * MIB}\n",
        "memory.current": f"{40 * MIB}\n",
        "memory.stat": f"anon {15 * MIB}\nfile {25 * MIB}\nshmem {10 * MIB}\n",
        "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n",
        "cgroup.events": "populated 1\nfrozen 1\n",
    })  # fmt: skip
    assert version_2(root) == {
        "cpus": 0.5, "cpu_s": 1.5, "throttled": 4, "throttled_s": 0.25,
        "limit_bytes": 64 * MIB, "used_bytes": 40 * MIB, "held_bytes": 25 * MIB,
        "refused": 3, "oom_kills": 2, "frozen": True,
    }  # fmt: skip


def test_version_2_without_limits(tmp_path: Path) -> None:
    root = write(tmp_path, {"cpu.max": "max 100000\n", "memory.max": "max\n",
                            "cgroup.events": "populated 1\nfrozen 0\n"})  # fmt: skip
    found = version_2(root)
    assert (found["cpus"], found["limit_bytes"], found["frozen"]) == (None, None, False)


def test_a_process_that_ends_while_it_is_read_says_nothing_of_its_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read may be the half of it; another process tells."""
    child = subprocess.Popen(["sleep", "60"])
    dying = subprocess.Popen(["sleep", "60"])

    def counters(pid: int) -> dict[str, object]:
        if pid == dying.pid:
            dying.kill()
            dying.wait()
        return {"pid": pid}

    found = [SimpleNamespace(pid=p.pid, name="sleep", state="S") for p in (dying, child)]
    monkeypatch.setattr(cgroups, "each", lambda: iter(found))
    monkeypatch.setattr(cgroups, "counters", counters)
    try:
        (group,) = cgroups.Cgroups().do_counters({})["groups"]
        assert (group["pid"], group["names"]) == (child.pid, ["sleep"])
    finally:
        child.kill()
        child.wait()
