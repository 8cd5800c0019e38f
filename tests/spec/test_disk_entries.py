"""Disks and their faults as written: sizes have bounds, and a fault asks for the disk it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.errors import SpecError
from chaos.spec.files import load_experiment, load_topology

Write = Callable[..., Path]

KILL = "{at: 1s, for: 2s, fault: kill, target: n1}"
NEED_DISK = ["power-loss", "disk-full", "disk-read-only", "disk-slow, iops: 10"]


def with_fault(experiment: Write, fault: str, add: str = "") -> Path:
    entry = f"{{at: 1s, for: 2s, fault: {fault}, target: n1}}"
    return experiment((KILL, entry), add=add)


@pytest.mark.parametrize("fault", NEED_DISK)
def test_a_fault_asks_for_the_disk_it_needs(experiment: Write, fault: str) -> None:
    name = fault.partition(",")[0]
    with pytest.raises(SpecError) as caught:
        load_experiment(with_fault(experiment, fault))
    assert f"`{name}` needs disks of our own, and `small` has no `disk:`" in str(caught.value)
    assert "→ write `set: {disk.size: 256MB}`" in str(caught.value)
    loaded = load_experiment(with_fault(experiment, fault, "set: {disk.size: 256MB}\n"))
    assert loaded.topology.disk is not None
    assert loaded.topology.disk.size_bytes == 256_000_000
    assert loaded.topology.disk.filesystem == "ext4"


@pytest.mark.parametrize("fault", ["bit-flip", "wipe"])
def test_damage_needs_no_disk(experiment: Write, fault: str) -> None:
    assert load_experiment(with_fault(experiment, fault)).topology.disk is None


def test_xfs_shuts_down_and_is_not_read_only(experiment: Write) -> None:
    add = "set: {disk.size: 512MB, disk.filesystem: xfs}\n"
    with pytest.raises(SpecError, match="`disk-read-only` cannot be had with xfs"):
        load_experiment(with_fault(experiment, "disk-read-only", add))
    load_experiment(with_fault(experiment, "power-loss", add))


@pytest.mark.parametrize(
    ("disk", "message"),
    [
        ("{size: 63MB}", "expected from 64MB to 64GB for ext4, got 63MB"),
        ("{size: 65GB}", "expected from 64MB to 64GB for ext4, got 65GB"),
        ("{size: 256MB, filesystem: xfs}", "expected from 300MiB to 64GB for xfs, got 256MB"),
        ("{size: 256}", "expected a size with its unit"),
        ("{size: 256MB, filesystem: btrfs}", "`btrfs`"),
        ("{filesystem: xfs}", "size"),
    ],
)
def test_a_disk_that_cannot_be(topology: Write, disk: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_topology(topology(add=f"disk: {disk}\n"))
    assert message in str(caught.value)


def test_a_slow_disk_is_slow_in_some_way(experiment: Write) -> None:
    add = "set: {disk.size: 64MB}\n"
    with pytest.raises(SpecError, match="expected `iops:` or `bandwidth:`, got neither"):
        load_experiment(with_fault(experiment, "disk-slow", add))
    loaded = load_experiment(with_fault(experiment, "disk-slow, bandwidth: 1MB/s", add))
    entry = loaded.experiment.schedule[0]
    assert (entry.bandwidth_per_s, entry.iops) == (1_000_000, None)
    assert entry.asked()["bandwidth"] == "1MB/s"


def test_a_flipped_bit_may_stay(experiment: Write) -> None:
    stays = load_experiment(experiment((KILL, "{at: 1s, fault: bit-flip, target: n1}")))
    assert stays.experiment.schedule[0].for_ns is None
    with pytest.raises(SpecError, match="expected at least 500ms, got 499ms"):
        load_experiment(experiment((KILL, "{at: 1s, for: 499ms, fault: bit-flip, target: n1}")))
