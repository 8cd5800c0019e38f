"""Limits on a container's disk, as the two versions of control groups want them written."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.agent.loops import LO_FLAGS_AUTOCLEAR, configuration
from chaos.agent.throttle import V1, Throttle, write_limit


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for names in V1.values():
        for name in names:
            (tmp_path / f"blkio.throttle.{name}").touch()
    return tmp_path


def written(group: Path) -> dict[str, str]:
    return {p.name.removeprefix("blkio.throttle."): p.read_text() for p in group.iterdir()}


def test_version_1(v1: Path) -> None:
    write_limit({"group": str(v1), "device": "7:8", "iops": 20, "bytes_per_s": None})
    assert written(v1) == {
        "read_iops_device": "7:8 20",
        "write_iops_device": "7:8 20",
        "read_bps_device": "7:8 0",
        "write_bps_device": "7:8 0",
    }


def test_version_2(tmp_path: Path) -> None:
    (tmp_path / "io.max").touch()
    write_limit({"group": str(tmp_path), "device": "7:8", "iops": None, "bytes_per_s": 1000})
    assert (tmp_path / "io.max").read_text() == "7:8 riops=max wiops=max rbps=1000 wbps=1000"


def test_the_end_of_input_ends_limits_of_groups_that_are_still_there(v1: Path) -> None:
    throttle = Throttle()
    limit = {"group": str(v1), "device": "7:8", "iops": 20, "bytes_per_s": 10**6}
    throttle.do_limit({"limits": [limit]})
    assert written(v1)["write_bps_device"] == "7:8 1000000"
    for path in v1.iterdir():
        path.write_text("")  # a real one takes each line by itself
    throttle._limits.insert(0, {**limit, "group": str(v1 / "gone")})
    throttle.heal()
    assert set(written(v1).values()) == {"7:8 0"}


def test_the_kernel_is_told_to_free_the_device_by_itself() -> None:
    data = configuration(5)
    assert len(data) == 304  # struct loop_config of linux/loop.h
    assert int.from_bytes(data[:4], "little") == 5
    assert int.from_bytes(data[60:64], "little") == LO_FLAGS_AUTOCLEAR
