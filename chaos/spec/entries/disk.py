"""Entries of the disk family."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from chaos.spec.entries.base import SECOND_NS, FaultEntry, Lasting
from chaos.spec.fields import BytesPerS, DurationNs, SizeBytes, TargetField, Text, Whole, Wrong
from chaos.units import format_duration


class _OnDisk(Lasting):
    """A fault that only a disk of our own can have."""

    needs_disk: ClassVar[tuple[str, ...]] = ("ext4", "xfs")
    target: TargetField
    """The nodes."""


class PowerLossEntry(_OnDisk):
    """The nodes lose power: what was not synced is gone; healing starts them again."""

    fault: Literal["power-loss"]


class DiskFullEntry(_OnDisk):
    """The nodes' disks are filled up."""

    fault: Literal["disk-full"]
    leave_bytes: Annotated[SizeBytes, Field(alias="leave")] = 0
    """How much stays free."""


class DiskReadOnlyEntry(_OnDisk):
    """The filesystem stops taking writes, as after an error of the disk; healing mounts it anew."""

    needs_disk: ClassVar[tuple[str, ...]] = ("ext4",)  # xfs shuts down instead
    fault: Literal["disk-read-only"]


class DiskSlowEntry(_OnDisk):
    """The disk takes fewer requests, or fewer bytes, a second."""

    fault: Literal["disk-slow"]
    iops: Annotated[Whole | None, Field(ge=1, le=1_000_000)] = None
    """Most reads, and most writes, a second."""
    bandwidth_per_s: Annotated[BytesPerS | None, Field(alias="bandwidth")] = None
    """Most bytes read, and most bytes written, a second."""

    @model_validator(mode="after")
    def _limits_something(self) -> DiskSlowEntry:
        if self.iops is None and self.bandwidth_per_s is None:
            raise Wrong("expected `iops:` or `bandwidth:`, got neither", "write `iops: 50`")
        return self


class BitFlipEntry(FaultEntry):
    """One bit of a file that nobody writes is flipped."""

    fault: Literal["bit-flip"]
    target: TargetField
    """The nodes."""
    file: Text = "*"
    """Which files may be hit: a pattern for the path below the data directory."""
    for_ns: Annotated[DurationNs | None, Field(alias="for")] = None
    """When it is flipped back; left out, it stays."""

    @field_validator("for_ns")
    @classmethod
    def _long_enough_to_measure(cls, value: int | None) -> int | None:
        if value is not None and value < SECOND_NS // 2:
            raise Wrong(f"expected at least 500ms, got {format_duration(value)}")
        return value


class WipeEntry(Lasting):
    """The nodes lose all their data; healing starts them with nothing."""

    fault: Literal["wipe"]
    target: TargetField
    """The nodes."""


MODELS = (
    PowerLossEntry,
    DiskFullEntry,
    DiskReadOnlyEntry,
    DiskSlowEntry,
    BitFlipEntry,
    WipeEntry,
)
