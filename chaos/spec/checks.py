"""What a model alone cannot see: that names refer to something, and that parts fit each other.

Each check yields a `Complaint`: where in the file, what, and what to do. The caller knows the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaos import registry
from chaos.errors import SpecError
from chaos.spec.entries.link import LinkEntry
from chaos.spec.entries.partition import PartitionEntry
from chaos.spec.experiment import Experiment
from chaos.spec.target import PLACES, WORDS, Side, Target
from chaos.spec.topology import ADDRESSES_MAX, Topology
from chaos.systems.base import HasOperators, HasRoles, Node, System
from chaos.units import format_duration

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something wrong at `path` of a file; `key`: the key is wrong rather than its value."""

    path: Path
    message: str
    fix: str = ""
    key: bool = False
    note: bool = False  # worth saying, no error


def unknown(what: str, word: str, known: Sequence[str], path: Path, *, key: bool = False
            ) -> Complaint:  # fmt: skip
    """The complaint for a name that refers to nothing."""
    return Complaint(
        path=path,
        message=f"unknown {what} `{word}`; known: {', '.join(known) or 'none'}",
        fix=registry.did_you_mean(word, known),
        key=key,
    )


def check_topology(topology: Topology) -> Iterator[Complaint]:
    """Everything about a topology that its shape does not rule out."""
    own = [*_places(topology), *_nodes(topology), *_links(topology), *_system(topology)]
    yield from own
    if any(not complaint.note for complaint in own):
        return  # the system need not judge what is wrong already
    system = load_system(topology.system)
    if isinstance(system, Complaint):
        return
    for sentence in system.check(placed(topology), topology.settings):
        match = re.match(r"([a-z]+)\.([A-Za-z0-9_-]+)", sentence)
        yield Complaint(path=match.groups() if match else (), message=sentence)


def placed(topology: Topology) -> list[Node]:
    """The nodes with their places, and no addresses yet; the topology's places are sound."""
    return [
        Node(
            name=name,
            zone=node.zone,
            region=(region := topology.region_of(node.zone)),
            provider=topology.regions[region].provider,
            role=node.role,
            address="",
        )
        for name, node in topology.nodes.items()
    ]


def load_system(name: str) -> System | Complaint:
    """The system, or the complaint that says why there is none."""
    known = registry.SYSTEMS.names()
    if name not in known:
        return unknown("system", name, known, ("system",))
    try:
        return registry.SYSTEMS.get(name)
    except SpecError as error:
        return Complaint(path=("system",), message=error.what, fix=error.fix)


def _places(topology: Topology) -> Iterator[Complaint]:
    if not topology.regions:
        yield Complaint(path=("regions",), message="expected at least one region, got none")
    first: dict[str, str] = {}
    for region, spec in topology.regions.items():
        for index, zone in enumerate(spec.zones):
            path: Path = ("regions", region, "zones", index)
            if zone in first:
                yield Complaint(
                    path=path, message=f"the zone `{zone}` is already in region `{first[zone]}`"
                )
            if zone in topology.regions:
                yield Complaint(path=path, message=f"`{zone}` names a region and a zone")
            first[zone] = region
    for zone in topology.clients:
        if zone not in first:
            yield unknown("zone", zone, list(first), ("clients", zone), key=True)


def _nodes(topology: Topology) -> Iterator[Complaint]:
    zones = topology.zones()
    if not topology.nodes:
        yield Complaint(
            path=("nodes",),
            message="expected at least one node, got none",
            fix="add one, such as `n1: {zone: us-east-a}`",
        )
    primaries: list[str] = []
    for name, node in topology.nodes.items():
        if node.zone not in zones:
            yield unknown("zone", node.zone, zones, ("nodes", name, "zone"))
        if name in WORDS or name == "random":
            message = f"a node cannot be called `{name}`: targets use this word"
            yield Complaint(path=("nodes", name), message=message, fix="write n1", key=True)
        if node.role == "primary":
            primaries.append(name)
    for name in primaries[1:]:
        yield Complaint(
            path=("nodes", name, "role"),
            message=f"expected one primary, got {len(primaries)}: {', '.join(primaries)}",
            fix="leave the role of the others out",
        )
    hosts = len(topology.nodes) * (1 + len(topology.clients))
    if hosts > ADDRESSES_MAX:
        yield Complaint(
            path=("nodes",),
            message=f"expected at most {ADDRESSES_MAX} addresses, got {hosts}:"
            f" {len(topology.nodes)} nodes, each with one of its own and one for each of"
            f" {len(topology.clients)} zones with clients",
            fix="use fewer nodes, or let clients live in fewer zones",
        )


def _links(topology: Topology) -> Iterator[Complaint]:
    places = [*topology.regions, *topology.zones()]
    ways: set[tuple[str, str]] = set()
    for index, link in enumerate(topology.links):
        path: Path = ("links", index, "between")
        strangers = [end for end in (0, 1) if link.between[end] not in places]
        for end in strangers:
            yield unknown("zone or region", link.between[end], places, (*path, end))
        if link.from_ is not None and link.from_ not in link.between:
            yield unknown("end of this link", link.from_, link.between, ("links", index, "from"))
        elif not strangers:
            wrong = _link_between(topology, *link.between)
            one, other = link.between
            own = {way for way in ((one, other), (other, one)) if link.from_ in (None, way[0])}
            if not wrong and own & ways:
                wrong = f"the link between `{one}` and `{other}` is given twice"
            if wrong:
                yield Complaint(path=path, message=wrong)
            ways |= own
        if link.jitter_ns > link.delay_ns:
            yield Complaint(
                path=("links", index, "jitter"),
                message="the jitter is more than the delay: as no packet comes before it was sent,"
                " the mean will be above `delay`",
                note=True,
            )


def _link_between(topology: Topology, one: str, other: str) -> str:
    """What is wrong with a link between two known places; "" if nothing is."""
    if one == other:
        return f"a link from `{one}` to itself"
    if other in _zones_in(topology, one) or one in _zones_in(topology, other):
        return "a link between a region and its own zone leads back into itself"
    if (one in topology.regions) != (other in topology.regions):
        return "expected two regions or two zones, got one of each"
    return ""


def _zones_in(topology: Topology, place: str) -> Sequence[str]:
    region = topology.regions.get(place)
    return region.zones if region else ()


def _system(topology: Topology) -> Iterator[Complaint]:
    system = load_system(topology.system)
    if isinstance(system, Complaint):
        yield system
        return
    yield from _known("settings", topology.settings, f"{topology.system} setting", system.settings)
    yield from _known("image", topology.image, "image", system.images)


def _known(key: str, given: Iterable[str], kind: str, known: Iterable[str]) -> Iterator[Complaint]:
    """A complaint for each name under `key` that the system does not know."""
    names = list(known)
    for name in given:
        if name not in names:
            yield unknown(kind, name, names, (key, name), key=True)


def check_experiment(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Everything about an experiment that its shape does not rule out; the topology is sound."""
    system = load_system(topology.system)
    if isinstance(system, Complaint):
        return  # said of the topology
    if not topology.clients:
        message = f"the topology `{topology.name}` has no clients to run a workload"
        yield Complaint(path=("topology",), message=message, fix="add `clients:` to it")
    kind = f"option of the {system.name} client"
    yield from _known("client", experiment.client, kind, system.client_options)
    for problem in system.check_options(experiment.client, experiment.workload.name):
        yield Complaint(path=("client",), message=problem)
    for index, entry in enumerate(experiment.schedule):
        path: Path = ("schedule", index)
        if entry.at_ns + (entry.for_ns or 0) > experiment.duration_ns:
            end = format_duration(entry.at_ns + (entry.for_ns or 0))
            yield Complaint(
                path=(*path, "for" if entry.for_ns else "at"),
                message=f"`{entry.name}` ends at {end}, after the load's "
                f"{format_duration(experiment.duration_ns)}",
                fix=f"write `duration: {end}` or more, or end it earlier",
            )
        yield from check_entry(entry, path, topology, system)


def check_entry(
    entry: object, path: Path, topology: Topology, system: System
) -> Iterator[Complaint]:
    """References of one entry of the schedule."""
    for name in ("target", "node", "nodes", "isolate", "bridge"):
        found = getattr(entry, name, None)
        targets = found if isinstance(found, tuple) else (found,)
        for index, target in enumerate(targets):
            if isinstance(target, Target):
                place = (*path, name, index) if len(targets) > 1 else (*path, name)
                yield from _target(target, place, topology, system)
    step = getattr(entry, "step", None)
    if step is not None:
        steps = list(system.steps) if isinstance(system, HasOperators) else []
        if step not in steps:
            yield unknown(f"step of {system.name}", step, steps, (*path, "step"))
    zones = getattr(entry, "zones", "all")
    if zones != "all":
        for index, zone in enumerate(zones):
            yield from _client_zone(zone, (*path, "zones", index), topology)
    yield from _disk(entry, path, topology)
    if isinstance(entry, PartitionEntry):
        yield from _partition(entry, path, topology, system)
    if isinstance(entry, LinkEntry):
        for key, members in (("from", entry.from_), ("to", entry.to)):
            yield from _members(members or (), (*path, key), topology, system)
        for number, members in enumerate(entry.between or ()):
            yield from _members(members, (*path, "between", number), topology, system)


def _disk(entry: object, path: Path, topology: Topology) -> Iterator[Complaint]:
    """Faults that need a disk of the node's own, of a kind that can have them."""
    kinds: Sequence[str] = getattr(entry, "needs_disk", ())
    if not kinds:
        return
    name = getattr(entry, "fault", "")
    if topology.disk is None:
        yield Complaint(
            path=(*path, "fault"),
            message=f"`{name}` needs disks of our own, and `{topology.name}` has no `disk:`",
            fix="write `set: {disk.size: 256MB}`",
        )
    elif topology.disk.filesystem not in kinds:
        yield Complaint(
            path=(*path, "fault"),
            message=f"`{name}` cannot be had with {topology.disk.filesystem}",
            fix=f"write `set: {{disk.filesystem: {kinds[0]}}}`",
        )


def _partition(
    entry: PartitionEntry, path: Path, topology: Topology, system: System
) -> Iterator[Complaint]:
    if entry.isolate == Target.parse("all"):
        yield Complaint(path=(*path, "isolate"), message="all nodes leave none on the other side")
    yield from _shape(entry, path, len(topology.nodes))
    for index, port in enumerate(entry.ports):
        if isinstance(port, str) and port not in system.ports:
            yield unknown(
                f"port of {system.name}", port, list(system.ports), (*path, "ports", index)
            )
    sides = entry.between or ()
    if sides and all(member.target is None for side in sides for member in side):
        message = "client zones do not talk to each other: expected nodes on one side at least"
        yield Complaint(path=(*path, "between"), message=message)
    seen: set[Side] = set()
    for number, members in enumerate(entry.between or ()):
        for index, member in enumerate(members):
            if member in seen and (member.target is None or member.target.kind == "node"):
                message = f"`{member}` stands here twice"
                yield Complaint(path=(*path, "between", number, index), message=message)
            seen.add(member)
        yield from _members(members, (*path, "between", number), topology, system)


def _members(
    members: Sequence[Side], path: Path, topology: Topology, system: System
) -> Iterator[Complaint]:
    """References of one side."""
    for index, member in enumerate(members):
        if member.target is not None:
            yield from _target(member.target, (*path, index), topology, system)
        else:
            yield from _client_zone(member.clients_zone or "", (*path, index), topology)


def _shape(entry: PartitionEntry, path: Path, nodes: int) -> Iterator[Complaint]:
    """Whether there are nodes enough, and one node for a bridge."""
    for form, least in (("halves", 2), ("bridge", 3), ("ring", 3)):
        if getattr(entry, form) is not None and nodes < least:
            message = f"expected at least {least} nodes in the topology, got {nodes}"
            yield Complaint(path=(*path, form), message=message)
    if (bridge := entry.bridge) and bridge.kind in ("choice", "random") and bridge.most(nodes) != 1:
        message = f"a bridge is one node, `{bridge}` is {bridge.most(nodes)}"
        yield Complaint(path=(*path, "bridge"), message=message, fix="write one, or name the node")


def _target(target: Target, path: Path, topology: Topology, system: System) -> Iterator[Complaint]:
    nodes = list(topology.nodes)
    if target.kind == "node" and target.name not in nodes:
        yield unknown("node", target.name, [*nodes, *WORDS], path)
    elif target.kind in PLACES:
        places = [getattr(node, target.kind) for node in placed(topology)]
        known = [place for place in dict.fromkeys(places) if place]
        if target.name not in known:
            yield unknown(f"{target.kind} with nodes", target.name, known, path)
    elif target.kind == "role" and not isinstance(system, HasRoles):
        message = f"{system.name} nodes do not say which role they have"
        yield Complaint(path=path, message=message, fix="name the node")
    elif not 1 <= target.most(len(nodes)) <= len(nodes):
        message = f"`{target}` of {len(nodes)} nodes is {target.most(len(nodes))}"
        yield Complaint(path=path, message=message, fix="name the nodes")


def _client_zone(zone: str, path: Path, topology: Topology) -> Iterator[Complaint]:
    if zone not in topology.clients:
        yield unknown("zone with clients", zone, list(topology.clients), path)
