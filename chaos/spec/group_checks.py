"""Whether the groups of a topology fit each other, and what their systems say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chaos.registry import SYSTEMS
from chaos.spec.complaints import Complaint, all_known, load_system, unknown
from chaos.spec.probes import with_probes
from chaos.spec.topology import Group, Lent, Topology
from chaos.systems.base import Node, System
from chaos.systems.placing import UsesGroups

PROBES = "probes"  # the workload that every client of software that we do not know speaks
NOT_BESIDE_GROUPS = ("system", "settings", "image")  # what each group has instead


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
            group=node.group or "",
        )
        for name, node in topology.nodes.items()
    ]


def systems(topology: Topology) -> dict[str, System]:
    """The system of each group; without those that there are not, which is said elsewhere."""
    loaded = {name: load_system(group.system) for name, group in topology.each_group().items()}
    return {name: found for name, found in loaded.items() if not isinstance(found, Complaint)}


# Clients that need nothing prepared where they speak, and how that is set if nobody says.
LENT: Mapping[str, Mapping[str, Any]] = {
    "redis": {"mode": "replication"},
    "valkey": {"mode": "replication"},
    "etcd": {},
}
NOT_LENT = {"mode": "sentinel"}  # the client would ask Sentinels, at a port of their own


def speaking(topology: Topology, workload: str) -> dict[str, System]:
    """Whose clients speak to each group: its own system's, or those that a Compose file names."""
    found = systems(topology)
    for name, group in topology.each_group().items():
        if group.client is not None and workload != PROBES:
            found[name] = SYSTEMS.get(group.client.system)
    return found


def lent_to(topology: Topology, group: Group) -> tuple[list[Node], Mapping[str, Any]]:
    """The nodes that clients speak to, and how those are set."""
    nodes = [node for node in placed(topology) if node.group == group.name]
    if group.client is None or group.project is None:
        return nodes, group.settings
    names = group.project.services[group.client.service].nodes
    return [node for node in nodes if node.name in names], lent_settings(group.client)


def lent_settings(client: Lent) -> dict[str, Any]:
    """What a lent client is told of whom it speaks to."""
    return {**LENT[client.system], **client.settings}


def check_lent(topology: Topology) -> Iterator[Complaint]:
    """Whether a known system's client can speak to what a Compose file has."""
    client, project = topology.client, topology.project
    if client is None:
        return
    if project is None:
        message = "a client is lent to software that we do not know: there is no `compose:`"
        yield Complaint(path=("client",), message=message, fix="leave it out", key=True)
        return
    if client.system not in LENT:
        yield unknown("client to lend", client.system, list(LENT), ("client", "system"))
        return
    system = SYSTEMS.get(client.system)
    kind = f"{client.system} setting"
    yield from all_known(("client", "settings"), client.settings, kind, system.settings)
    for name, value in NOT_LENT.items():
        if client.settings.get(name) == value:
            message = f"a client is lent to one service: `{name}: {value}` would need more"
            yield Complaint(path=("client", "settings", name), message=message)
    service = project.services.get(client.service)
    if service is None:
        known = list(project.services)
        yield unknown("service", client.service, known, ("client", "service"))
    elif not with_probes(project, topology.probes).services[client.service].ports:
        message = f"which port of `{client.service}`? It names none"
        fix = f"write `x-chaos: {{port: {system.ports['db']}}}` into the service"
        yield Complaint(path=("client", "service"), message=message, fix=fix)


def judged(topology: Topology) -> Iterator[Complaint]:
    """What each group's system says of its nodes and settings; all else is sound."""
    nodes = placed(topology)
    groups = topology.each_group()
    for name, system in systems(topology).items():
        group = groups[name]
        own = [node for node in nodes if node.group == name]
        for sentence in system.check(own, group.settings):
            match = re.match(r"([a-z]+)\.([A-Za-z0-9_-]+)", sentence)
            path = match.groups() if match else ()
            if path[:1] != ("nodes",):
                path = (*group.path, *path)
            yield Complaint(path=path, message=sentence)


def check_groups(topology: Topology) -> Iterator[Complaint]:
    """Which system each node belongs to, and whether there are such."""
    wrong = list(_form(topology))
    yield from wrong
    if wrong:
        return
    for group in topology.each_group().values():
        system = load_system(group.system, (*group.path, "system"))
        if isinstance(system, Complaint):
            yield system
            continue
        kind = f"{group.system} setting"
        yield from all_known((*group.path, "settings"), group.settings, kind, system.settings)
        yield from all_known((*group.path, "image"), group.image, "image", system.images)
        yield from _uses(group, system, topology.each_group())
    yield from _circles(topology.each_group())


def _form(topology: Topology) -> Iterator[Complaint]:
    """Either one system, or groups and each node in one of them."""
    known = list(topology.groups)
    if not known:
        if topology.system == "compose" and topology.project is None:
            message = "the system `compose` runs what a Compose file says, and `compose:` is absent"
            yield Complaint(path=("system",), message=message, fix="write `compose: FILE` instead")
        if topology.system is None:
            yield Complaint(
                path=(),
                message="expected the key `system:`, or `groups:` with several, found neither",
                fix="add `system: postgres`",
            )
        for name, node in topology.nodes.items():
            if node.group is not None:
                message = f"`{name}` has a group, and the topology has no `groups:`"
                path = ("nodes", name, "group")
                yield Complaint(path=path, message=message, fix="leave it out", key=True)
        return
    for key in NOT_BESIDE_GROUPS:
        if getattr(topology, key):
            yield Complaint(
                path=(key,),
                message=f"expected either `{key}:` or `groups:`, got both",
                fix=f"write it into the group: `groups: {{{known[0]}: {{{key}: …}}}}`",
                key=True,
            )
    for name, node in topology.nodes.items():
        if node.group is None:
            yield Complaint(
                path=("nodes", name),
                message=f"expected `group:` for the node `{name}`, found none",
                fix=f"write `group: {known[0]}`; the groups are {', '.join(known)}",
            )
        elif node.group not in known:
            yield unknown("group", node.group, known, ("nodes", name, "group"))
    for group in topology.each_group().values():
        if not group.nodes:
            yield Complaint(
                path=group.path,
                message=f"expected at least one node with `group: {group.name}`, got none",
                fix="add it under `nodes:`, or write `nodes: 3` here",
                key=True,
            )


def _uses(group: Group, system: System, groups: Mapping[str, Group]) -> Iterator[Complaint]:
    """Whether the group has the others that its system needs, and no more."""
    wanted = system.uses if isinstance(system, UsesGroups) else {}
    for word, needed in wanted.items():
        if word not in group.uses:
            fits = [name for name, other in groups.items() if other.system == needed]
            yield Complaint(
                path=(*group.path, "system"),
                message=f"{group.system} needs a group of {needed}, which it calls `{word}`,"
                " found none in `uses:`",
                fix=f"write `uses: {{{word}: {fits[0]}}}`" if fits
                else f"add a group with `system: {needed}`, and `uses: {{{word}: ITS NAME}}`",
            )  # fmt: skip
    for word, name in group.uses.items():
        path = (*group.path, "uses", word)
        if word not in wanted:
            what = f"group that {group.system} needs"
            yield unknown(what, word, list(wanted), path, key=True)
        elif name not in groups:
            yield unknown("group", name, list(groups), path)
        elif groups[name].system != wanted[word]:
            yield Complaint(
                path=path,
                message=f"expected a group of {wanted[word]}, got `{name}`, which is of"
                f" {groups[name].system}",
            )


def _circles(groups: Mapping[str, Group]) -> Iterator[Complaint]:
    """A group that needs itself, over others or at once, can never be started."""
    for group in groups.values():
        seen: set[str] = set()
        waiting = list(group.uses.values())
        while waiting:
            name = waiting.pop()
            if name in groups and name not in seen:
                seen.add(name)
                waiting += groups[name].uses.values()
        if group.name in seen:
            yield Complaint(
                path=(*group.path, "uses"),
                message=f"`{group.name}` would have to be there before itself",
                key=True,
            )
