"""A topology: which databases, on which nodes, where, and what such machines cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

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
from chaos.spec.probes import Probe, with_probes
from chaos.systems.compose.project import Project
from chaos.units import format_size, shown

ADDRESSES_MAX = 245  # for nodes and for the clients' ways to them: what a /24 has to spare

# An etcd log is written into files of 64 MB, made in advance; mkfs.xfs makes nothing below 300 MiB.
DISK_BYTES_MIN = {"ext4": 64 * 10**6, "xfs": 300 * 2**20}
DISK_BYTES_MAX = 64 * 10**9

NODES_MAX = 64

Count = Annotated[Whole, Field(ge=1, le=256)]
NodeCount = Annotated[Whole, Field(ge=1, le=NODES_MAX)]


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
    role: Literal["primary", "replica", "observer", "arbitrator", "arbiter", "relay"] | None = None
    """The role it starts in, as far as its system knows it; left out, the system decides."""
    group: HostName | None = None
    """With `groups:`, the group it belongs to."""


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


class Lent(Model):
    """A known system's client that speaks to a service of a Compose file."""

    system: Text
    """Whose client: redis, valkey or etcd, which need nothing prepared."""
    service: Text
    """The service that it speaks to."""
    settings: dict[Text, Setting] = Field(default_factory=dict)
    """What the client must know of how that is set, in its own system's words."""


class GroupSpec(Model):
    """One of several databases of a topology."""

    system: Text
    """The database: a name from `aftershock list systems`."""
    settings: dict[Text, Setting] = Field(default_factory=dict)
    """The database's settings; each system documents its own."""
    image: dict[Text, Text] = Field(default_factory=dict)
    """Container images to use instead of ours: {redis: docker.io/library/redis:8}."""
    uses: dict[Text, HostName] = Field(default_factory=dict)
    """Other groups that the system needs, by what it calls them: {dcs: etcd}."""
    nodes: NodeCount | None = None
    """How many nodes, dealt over the zones in turn, instead of writing them under `nodes:`."""
    cost: Cost | None = None
    """Machines and disks of this group; left out, the topology's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes that run one system together; without `groups:`, all nodes are one, called ""."""

    name: str
    path: tuple[str, ...]  # where it stands in the file
    system: str
    settings: Mapping[str, Any]
    image: Mapping[str, str]
    uses: Mapping[str, str]  # what the system calls another group → that group's name
    nodes: Sequence[str]
    project: Project | None = None  # of a topology with `compose:`
    client: Lent | None = None  # who speaks to a service of that, for workloads of data

    def image_key(self, folder: str) -> str:
        """What the image of `folder` is kept under: groups may override it differently."""
        return f"{self.name}/{folder}" if self.name else folder


def _counted(value: Any) -> Any:
    """A number of nodes is spelled out before this; here are those that cannot be meant."""
    if isinstance(value, int):
        raise Wrong(
            f"expected nodes by name, or how many from 1 to {NODES_MAX}, got {shown(value)}",
            "write `nodes: 3`, or `nodes: {n1: {zone: us-east-a}}`",
        )
    return value


class Topology(Model):
    """A topology file."""

    name: Name
    """The name; the same as the file's."""
    about: Text = ""
    """One sentence on what is particular about it."""
    system: Text | None = None
    """The database: a name from `aftershock list systems`."""
    compose: Text | None = None
    """Instead of `system`: a Compose file, relative to this one, whose services are the nodes."""
    variables: dict[Text, Text] = Field(default_factory=dict)
    """With `compose:`, what its `${VARIABLES}` mean, before the environment and .env."""
    probes: dict[Name, Probe] = Field(default_factory=dict)
    """With `compose:`, what clients ask its services, by name."""
    client: Lent | None = None
    """With `compose:`, whose client speaks to which service, for workloads of data."""
    settings: dict[Text, Setting] = Field(default_factory=dict)
    """The database's settings; each system documents its own."""
    groups: dict[HostName, GroupSpec] = Field(default_factory=dict)
    """Several databases by name, instead of `system`, `settings` and `image`."""
    regions: dict[Name, Region]
    """Regions and their zones."""
    links: Annotated[tuple[Link, ...], ITEMS] = ()
    """Delays between places; a link between two zones beats that of their regions."""
    nodes: Annotated[
        dict[HostName, TopologyNode],
        BeforeValidator(_counted, json_schema_input_type=NodeCount | dict[HostName, TopologyNode]),
    ] = Field(default_factory=dict)
    """Nodes by name; or how many, which are called n1, n2, … and dealt over the zones in turn."""
    clients: dict[Name, Count] = Field(default_factory=dict)
    """Client processes by the zone they live in."""
    disk: Disk | None = None
    """Disks that can fail; left out, data is on ordinary volumes and disk faults are few."""
    cost: Cost | None = None
    """Machines and disks, for the monthly price."""
    image: dict[Text, Text] = Field(default_factory=dict)
    """Container images to use instead of ours: {redis: docker.io/library/redis:8}."""
    _project: Project | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: Any) -> Any:
        """`nodes: 3` of the topology and of its groups, as if they had been written one by one."""
        zones = _zones_of(value)
        if not zones:
            return value
        value = dict(value)
        nodes = value.get("nodes", {})
        if _is_count(nodes):
            nodes = {f"n{k + 1}": {"zone": zones[k % len(zones)]} for k in range(nodes)}
        if isinstance(nodes, dict) and isinstance(value.get("groups"), dict):
            value["groups"] = groups = dict(value["groups"])
            for name, group in groups.items():
                if isinstance(group, dict) and _is_count(group.get("nodes")):
                    count = group["nodes"]
                    groups[name] = {key: given for key, given in group.items() if key != "nodes"}
                    nodes = {**nodes, **_dealt(name, count, zones, nodes)}
        return {**value, "nodes": nodes}

    def each_group(self) -> dict[str, Group]:
        """The groups by name, as written; the one way in for both forms of a topology."""
        if self.groups:
            return {
                name: Group(
                    name=name,
                    path=("groups", name),
                    system=spec.system,
                    settings=spec.settings,
                    image=spec.image,
                    uses=spec.uses,
                    nodes=[node for node, its in self.nodes.items() if its.group == name],
                )
                for name, spec in self.groups.items()
            }
        whole = Group(
            name="",
            path=(),
            system=self.system or "",
            settings=self.settings,
            image=self.image,
            uses={},
            nodes=list(self.nodes),
            project=self._project and with_probes(self._project, self.probes),
            client=self.client,
        )
        return {"": whole}

    @property
    def project(self) -> Project | None:
        """What its Compose file says, once that was read; no part of `resolved()`."""
        return self._project

    def of_project(self, project: Project | None) -> Topology:
        """This topology, which was spelled out from that project."""
        self._project = project
        return self

    def front(self) -> list[str]:
        """The groups that no other group uses: those that clients may mean."""
        groups = self.each_group()
        used = {name for group in groups.values() for name in group.uses.values()}
        return [name for name in groups if name not in used]

    def zones(self) -> list[str]:
        """All zones, region by region, as written."""
        return [zone for region in self.regions.values() for zone in region.zones]

    def region_of(self, zone: str) -> str:
        """The region a zone lies in; KeyError if it is none of ours."""
        for name, region in self.regions.items():
            if zone in region.zones:
                return name
        raise KeyError(zone)


def _zones_of(value: Any) -> list[str]:
    """The zones of a topology as written; none where its regions are not as they should be."""
    regions = value.get("regions") if isinstance(value, dict) else None
    if not isinstance(regions, dict):
        return []
    lists = [region.get("zones") for region in regions.values() if isinstance(region, dict)]
    return [zone for zones in lists if isinstance(zones, list | tuple) for zone in zones]


def _is_count(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 1 <= value <= NODES_MAX


def _dealt(
    group: str, count: int, zones: Sequence[str], taken: Mapping[str, Any]
) -> dict[str, Any]:
    """`count` nodes of a group: its name and a number."""
    names = [f"{group}{k + 1}" for k in range(count)]
    for name in names:
        if name in taken:
            raise Wrong(
                f"`groups.{group}.nodes: {count}` makes a node `{name}`, which is there already",
                "call the other one differently, or write all of them under `nodes:`",
            )
    return {name: {"zone": zones[k % len(zones)], "group": group} for k, name in enumerate(names)}
