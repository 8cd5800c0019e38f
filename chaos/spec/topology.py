"""A topology: which database, on which nodes, where, and what such machines cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from chaos.spec.fields import (
    ITEMS,
    DurationNs,
    HostName,
    Model,
    Name,
    Number,
    Setting,
    SizeBytes,
    Text,
    Whole,
    Wrong,
)
from chaos.units import format_size

ADDRESSES_MAX = 245  # for nodes and for the clients' ways to them: what a /24 has to spare

# An etcd log is written into files of 64 MB, made in advance; mkfs.xfs makes nothing below 300 MiB.
DISK_BYTES_MIN = {"ext4": 64 * 10**6, "xfs": 300 * 2**20}
DISK_BYTES_MAX = 64 * 10**9

Count = Annotated[Whole, Field(ge=1, le=256)]


class Region(Model):
    """A region: zones near each other, of one provider."""

    zones: Annotated[tuple[Name, ...], Field(min_length=1), ITEMS]
    """Zones of this region; a zone belongs to one region."""
    provider: Name | None = None
    """The cloud provider, such as aws; it decides whose prices count."""


class Link(Model):
    """One-way delay between two regions or zones, in both directions unless `from` is given."""

    between: Annotated[tuple[Name, Name], ITEMS]
    """Two regions, or two zones."""
    from_: Annotated[Name | None, Field(alias="from")] = None
    """Only packets from this end are delayed."""
    delay_ns: Annotated[DurationNs, Field(alias="delay")]
    """One-way delay, such as 30ms; the mean."""
    jitter_ns: Annotated[DurationNs, Field(alias="jitter")] = 0
    """The delay's standard deviation; it varies as a normal distribution does."""


class TopologyNode(Model):
    """One node: a database server and what belongs to it."""

    zone: Name
    """The zone it lives in."""
    role: Literal["primary", "replica"] | None = None
    """The role it starts in; left out, the system decides."""


class Disk(Model):
    """The filesystem each database keeps its data on: an image of its own on a loop device."""

    size_bytes: Annotated[SizeBytes, Field(alias="size")]
    """How large it is; only what is written takes space of the host."""
    filesystem: Literal["ext4", "xfs"] = "ext4"
    """ext4 or xfs."""

    @model_validator(mode="after")
    def _within_bounds(self) -> Disk:
        least = DISK_BYTES_MIN[self.filesystem]
        if not least <= self.size_bytes <= DISK_BYTES_MAX:
            raise Wrong(
                f"expected from {format_size(least)} to {format_size(DISK_BYTES_MAX)} for "
                f"{self.filesystem}, got {format_size(self.size_bytes)}",
                "write `size: 512MB`",
            )
        return self


class Cost(Model):
    """What a node needs, for the price book."""

    instance: Text
    """Machine type per node, such as m6i.large."""
    storage_gb: Annotated[Number, Field(ge=0)] = 0
    """Disk per node in GB."""
    replicated_gb_month: Annotated[Number | None, Field(ge=0)] = None
    """GB sent to each replica a month; left out, it is scaled up from what the run measured."""


class Topology(Model):
    """A topology file."""

    name: Name
    """The name; the same as the file's."""
    about: Text = ""
    """One sentence on what is particular about it."""
    system: Text
    """The database: a name from `aftershock list systems`."""
    settings: dict[Text, Setting] = Field(default_factory=dict)
    """The database's settings; each system documents its own."""
    regions: dict[Name, Region]
    """Regions and their zones."""
    links: Annotated[tuple[Link, ...], ITEMS] = ()
    """Delays between places; a link between two zones beats that of their regions."""
    nodes: dict[HostName, TopologyNode]
    """Nodes by name."""
    clients: dict[Name, Count] = Field(default_factory=dict)
    """Client processes by the zone they live in."""
    disk: Disk | None = None
    """Disks that can fail; left out, data is on ordinary volumes and disk faults are few."""
    cost: Cost | None = None
    """Machines and disks, for the monthly price."""
    image: dict[Text, Text] = Field(default_factory=dict)
    """Container images to use instead of ours: {redis: docker.io/library/redis:8}."""

    def zones(self) -> list[str]:
        """All zones, region by region, as written."""
        return [zone for region in self.regions.values() for zone in region.zones]

    def region_of(self, zone: str) -> str:
        """The region a zone lies in; KeyError if it is none of ours."""
        for name, region in self.regions.items():
            if zone in region.zones:
                return name
        raise KeyError(zone)
