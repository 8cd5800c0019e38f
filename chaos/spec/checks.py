"""What the model of an experiment alone cannot see: that it refers to what its topology has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.spec.complaints import Complaint, Path, unknown
from chaos.spec.entries.link import LinkEntry
from chaos.spec.entries.partition import PartitionEntry
from chaos.spec.entries.step import StepEntry
from chaos.spec.experiment import Experiment
from chaos.spec.group_checks import placed, systems
from chaos.spec.target import BY_PLACE, WORDS, Side, Target
from chaos.spec.topology import Topology
from chaos.systems.base import HasOperators, HasRoles, Node, System
from chaos.systems.compose.project import port_names
from chaos.units import format_duration


def check_experiment(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Everything about an experiment that its shape does not rule out; the topology is sound."""
    if not topology.clients:
        message = f"the topology `{topology.name}` has no clients to run a workload"
        yield Complaint(path=("topology",), message=message, fix="add `clients:` to it")
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
        yield from check_entry(entry, path, topology)


def check_entry(entry: object, path: Path, topology: Topology) -> Iterator[Complaint]:
    """References of one entry of the schedule."""
    for name in ("target", "node", "nodes", "isolate", "bridge"):
        found = getattr(entry, name, None)
        targets = found if isinstance(found, tuple) else (found,)
        for index, target in enumerate(targets):
            if isinstance(target, Target):
                place = (*path, name, index) if len(targets) > 1 else (*path, name)
                yield from _target(target, place, topology)
    if isinstance(entry, StepEntry):
        yield from _step(entry, path, topology)
    zones = getattr(entry, "zones", "all")
    if zones != "all":
        for index, zone in enumerate(zones):
            yield from _client_zone(zone, (*path, "zones", index), topology)
    yield from _disk(entry, path, topology)
    if isinstance(entry, PartitionEntry):
        yield from _partition(entry, path, topology)
    if isinstance(entry, LinkEntry):
        for key, members in (("from", entry.from_), ("to", entry.to)):
            yield from _members(members or (), (*path, key), topology)
        for number, members in enumerate(entry.between or ()):
            yield from _members(members, (*path, "between", number), topology)


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


def _partition(entry: PartitionEntry, path: Path, topology: Topology) -> Iterator[Complaint]:
    if entry.isolate == Target.parse("all"):
        yield Complaint(path=(*path, "isolate"), message="all nodes leave none on the other side")
    yield from _shape(entry, path, topology)
    there = systems(topology).values()
    known = _ports(topology)
    for index, port in enumerate(entry.ports):
        if isinstance(port, str) and port not in known:
            what = f"port of {' or '.join(dict.fromkeys(system.name for system in there))}"
            yield unknown(what, port, known, (*path, "ports", index))
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
        yield from _members(members, (*path, "between", number), topology)


def _ports(topology: Topology) -> list[str]:
    """The names of ports that there are."""
    found = [port for system in systems(topology).values() for port in system.ports]
    for group in topology.each_group().values():
        services = group.project.services.values() if group.project else ()
        found += [port for service in services for port in port_names(service.ports)]
    return list(dict.fromkeys(found))


def _members(members: Sequence[Side], path: Path, topology: Topology) -> Iterator[Complaint]:
    """References of one side."""
    for index, member in enumerate(members):
        if member.target is not None:
            yield from _target(member.target, (*path, index), topology)
        else:
            yield from _client_zone(member.clients_zone or "", (*path, index), topology)


def _shape(entry: PartitionEntry, path: Path, topology: Topology) -> Iterator[Complaint]:
    """Whether there are nodes enough, and one node for a bridge."""
    nodes = len(topology.nodes)
    for form, least in (("halves", 2), ("bridge", 3), ("ring", 3)):
        if getattr(entry, form) is not None and nodes < least:
            message = f"expected at least {least} nodes in the topology, got {nodes}"
            yield Complaint(path=(*path, form), message=message)
    if (
        (bridge := entry.bridge)
        and bridge.kind in ("choice", "random")
        and (most := bridge.most(len(bridge.among(placed(topology))))) != 1
    ):
        message = f"a bridge is one node, `{bridge}` is {most}"
        yield Complaint(path=(*path, "bridge"), message=message, fix="write one, or name the node")


def _target(target: Target, path: Path, topology: Topology) -> Iterator[Complaint]:
    groups = topology.each_group()
    if target.group and target.group not in groups:
        yield unknown("group", target.group, [name for name in groups if name], path)
        return
    if not target.group and len(groups) > 1 and _needs_group(target):
        front = topology.front()[0]
        yield Complaint(
            path=path,
            message=f"`{target}` of which group? Each has its own: {', '.join(groups)}",
            fix=f"write {front}/{target}",
        )
        return
    among = target.among(placed(topology))
    nodes = [node.name for node in among]
    if target.kind == "node" and target.name not in nodes:
        yield unknown("node", target.name, [*nodes, *WORDS], path)
    elif target.kind in BY_PLACE:
        places = [getattr(node, target.kind) for node in among]
        known = [place for place in dict.fromkeys(places) if place]
        if target.name not in known:
            yield unknown(f"{target.kind} with nodes", target.name, known, path)
    elif target.kind == "role":
        for system in _meant(target, topology):
            if not isinstance(system, HasRoles):
                message = f"{system.name} nodes do not say which role they have"
                yield Complaint(path=path, message=message, fix="name the node")
    elif not 1 <= target.most(len(nodes)) <= len(nodes):
        message = f"`{target}` of {len(nodes)} nodes is {target.most(len(nodes))}"
        yield Complaint(path=path, message=message, fix="name the nodes")


def _needs_group(target: Target) -> bool:
    """Whether it means nothing over several groups: a role and a majority are a group's own."""
    return target.kind == "role" or target.name in ("majority", "minority")


def _meant(target: Target, topology: Topology) -> list[System]:
    """The systems of all nodes that may be meant."""
    among: Sequence[Node] = target.among(placed(topology))
    if target.kind == "node":
        among = [node for node in among if node.name == target.name]
    elif target.kind in BY_PLACE:
        among = [node for node in among if getattr(node, target.kind) == target.name]
    found = systems(topology)
    return [found[group] for group in dict.fromkeys(node.group for node in among) if group in found]


def _step(entry: StepEntry, path: Path, topology: Topology) -> Iterator[Complaint]:
    """Whether an operator can do that to whatever node is meant."""
    for system in _meant(entry.node, topology):
        steps = list(system.steps) if isinstance(system, HasOperators) else []
        if entry.step not in steps:
            yield unknown(f"step of {system.name}", entry.step, steps, (*path, "step"))
            return


def _client_zone(zone: str, path: Path, topology: Topology) -> Iterator[Complaint]:
    if zone not in topology.clients:
        yield unknown("zone with clients", zone, list(topology.clients), path)
