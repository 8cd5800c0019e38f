"""A topology: which database, on which nodes, where, and what such machines cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chaos.spec.fields import ITEMS, DurationNs, HostName, Model, Name, Number, Setting, Text, Whole

ADDRESSES_MAX = 245  # for nodes and for the clients' ways to them: what a /24 has to spare

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
    """One-way delay, such as 30ms."""
    jitter_ns: Annotated[DurationNs, Field(alias="jitter")] = 0
    """How far the delay varies around its mean."""


class TopologyNode(Model):
    """One node: a database server and what belongs to it."""

    zone: Name
    """The zone it lives in."""
    role: Literal["primary", "replica"] | None = None
    """The role it starts in; left out, the system decides."""


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
    """Delays between places. Read and checked, not applied yet."""
    nodes: dict[HostName, TopologyNode]
    """Nodes by name."""
    clients: dict[Name, Count] = Field(default_factory=dict)
    """Client processes by the zone they live in."""
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
