"""A node's disks: each database container with a data directory has one, if the topology says so.

A disk is a sparse file with a filesystem, on a loop device, given to the engine as a local volume:
the engine mounts it when the container starts and unmounts it when the container has ended, so a
restart after a power loss replays the journal as a machine's start does.

Nothing has to be cleaned up: each device is set to be freed by the kernel when nobody has it open
or mounted, and those who do are the containers (the agent keeps it open over restarts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.systems.base import ContainerSpec

MOUNT_OPTIONS = {"ext4": "errors=remount-ro", "xfs": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk. `device` is the loop device's name on the engine's host, such as /dev/loop8."""

    device: str
    filesystem: str  # ext4 | xfs

    @property
    def number(self) -> str:
        """The device's number as control groups spell it: loop devices are of major 7."""
        return f"7:{self.device.removeprefix('/dev/loop')}"


def volume_options(disk: Disk | None) -> dict[str, str]:
    """What the engine's local volume driver is told; an ordinary volume needs nothing."""
    if disk is None:
        return {}
    options = {"type": disk.filesystem, "device": disk.device}
    return options | ({"o": words} if (words := MOUNT_OPTIONS[disk.filesystem]) else {})


def data_places(specs: Sequence[ContainerSpec], disks: Mapping[str, Disk]) -> list[dict[str, Any]]:
    """Where the node's data is, as its agent is told (chaos/agent/disks.py)."""
    return [
        {
            "folder": str(spec.data_dir),
            "device": disks[spec.name].device if spec.name in disks else None,
            "filesystem": disks[spec.name].filesystem if spec.name in disks else None,
        }
        for spec in specs
        if spec.data_dir
    ]


def group_folder(info: Mapping[str, Any], container: str) -> str:
    """Where the engine's host has the control group for I/O of a container (its full id).

    `info` is the engine's: version 1 keeps block I/O in a hierarchy of its own; the systemd driver
    names groups in its own way.
    """
    base = "/sys/fs/cgroup" if info.get("CgroupVersion") == "2" else "/sys/fs/cgroup/blkio"
    if info.get("CgroupDriver") == "systemd":
        return f"{base}/system.slice/docker-{container}.scope"
    return f"{base}/docker/{container}"
