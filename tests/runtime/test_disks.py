"""What the engine and the agents are told of a node's disks."""

from __future__ import annotations

from chaos.runtime.disks import Disk, data_places, group_folder, volume_options
from chaos.systems.base import ContainerSpec

EXT4 = Disk(device="/dev/loop12", filesystem="ext4")


def test_a_volume_of_a_disk() -> None:
    assert volume_options(None) == {}
    assert volume_options(EXT4) == {
        "type": "ext4", "device": "/dev/loop12", "o": "errors=remount-ro",
    }  # fmt: skip
    xfs = Disk(device="/dev/loop3", filesystem="xfs")
    assert volume_options(xfs) == {"type": "xfs", "device": "/dev/loop3"}


def test_where_the_data_is() -> None:
    specs = [
        ContainerSpec(name="db", image="db", command=[], data_dir="/data"),
        ContainerSpec(name="side", image="db", command=[], data_dir="/side"),
        ContainerSpec(name="none", image="db", command=[]),
    ]
    assert data_places(specs, {"db": EXT4}) == [
        {"folder": "/data", "device": "/dev/loop12", "filesystem": "ext4"},
        {"folder": "/side", "device": None, "filesystem": None},
    ]


def test_control_groups_of_every_kind_of_engine() -> None:
    def folder(version: str, driver: str) -> str:
        return group_folder({"CgroupVersion": version, "CgroupDriver": driver}, "abc")

    assert folder("1", "cgroupfs") == "/sys/fs/cgroup/blkio/docker/abc"
    assert folder("1", "systemd") == "/sys/fs/cgroup/blkio/system.slice/docker-abc.scope"
    assert folder("2", "cgroupfs") == "/sys/fs/cgroup/docker/abc"
    assert folder("2", "systemd") == "/sys/fs/cgroup/system.slice/docker-abc.scope"
