"""A Compose file as a topology: each service a node, or several, in the zone it says.

What Aftershock is told of it stands in `x-chaos:` of the same file, or beside `compose:` in a
topology of its own, which wins. Without any of it all services are in one zone with one client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chaos.registry import did_you_mean
from chaos.spec.compose import keys
from chaos.spec.compose.document import Reader, read_compose, variables, words
from chaos.spec.compose.services import Around, linked, read_service
from chaos.spec.compose.shapes import needs
from chaos.spec.compose.variables import Unfilled
from chaos.spec.load import Document, Value
from chaos.spec.problems import Finding, SpecProblems, finding_at
from chaos.systems.compose.project import HEALTHY, Project, Service
from chaos.units import shown

SYSTEM = "compose"
CHAOS = "x-chaos"
TOPOLOGY_KEYS = ("about", "regions", "links", "clients", "disk", "cost", "probes", "client")
MERGED = ("disk", "cost", "probes", "client")  # key by key; others as a whole
OWN_KEYS = (*TOPOLOGY_KEYS, "without")
REGION, ZONE = "region", "zone-a"  # where the file names none
NOT_BESIDE = ("settings", "groups", "image")  # the Compose file says all that
VOLUME = ("name", "driver", "labels")
VOLUME_REFUSED = {
    "external": "volumes are made for a run, and removed with it",
    "driver_opts": "write `disk:` into x-chaos for disks that can fail",
}


def is_compose(document: Document) -> bool:
    """Whether that is a Compose file, and no file of ours."""
    keys_ = document.root.data if isinstance(document.root.data, dict) else {}
    return "services" in keys_ and not {"compose", "workload", "beats", "pairs"} & keys_.keys()


def from_compose(path: Path, document: Document) -> Document:
    """A topology's document for a Compose file alone: named as its project, or its folder."""
    root = document.root
    name = root.child("name")
    told = words(name) if name is not None and not isinstance(name.data, dict | list) else None
    folder = path.resolve().parent.name or "compose"
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in told or folder)
    data = {
        "name": Value(data=safe.strip("-_")[:40] or "compose", mark=(name or root).mark),
        "compose": Value(data=str(path.resolve()), mark=root.mark),
    }
    return Document(path=document.path, root=Value(data=dict(data), mark=root.mark))


def expand(document: Document, path: Path) -> tuple[Project | None, list[Finding]]:
    """Spell out `compose:` of a topology's document, if it has one: nodes and all else.

    The project, and notes; SpecProblems with everything that is wrong with the Compose file.
    """
    root = document.root.data
    named = root.get("compose") if isinstance(root, dict) else None
    if not isinstance(root, dict) or named is None or not isinstance(named.data, str):
        return None, []
    found: list[Finding] = list(document.findings)
    for key in NOT_BESIDE:
        if key in root and root[key].data:
            message = f"expected either `{key}:` or `compose:`, got both"
            found.append(finding_at((root[key].key or root[key].mark), message, fix="leave it out"))
    file = (path.parent / named.data).resolve()
    if not file.is_file():
        message = f"expected a Compose file, found none at {shown(named.data)}"
        found.append(finding_at(named.mark, message, fix="it is relative to the file it is in"))
        raise SpecProblems(found)
    named.data = str(file)
    try:
        known = variables(file.parent, _given(root.get("variables")))
    except Unfilled as error:
        found.append(finding_at(named.mark, str(error), fix=error.fix))
        raise SpecProblems(found) from None
    compose = read_compose(file, known, found.append)
    project = _project(Reader(file.parent, known, found.append), file, compose.root, root)
    found = list(dict.fromkeys(found))
    if any(finding.severity == "error" for finding in found):
        raise SpecProblems(sorted(found, key=lambda f: (f.path, f.line, f.column)))
    return project, found


def _given(value: Value | None) -> dict[str, str]:
    """`variables:` of the topology; what is wrong with them its model says."""
    data = value.data if value is not None and isinstance(value.data, dict) else {}
    scalars = {name: item for name, item in data.items() if not isinstance(item.data, dict | list)}
    return {name: words(item) or "" for name, item in scalars.items()}


def _project(reader: Reader, file: Path, compose: Value, root: dict[str, Value]) -> Project:
    """Read all services, and put into `root` what they make of the topology."""
    at = reader.mapping(compose)
    keys.check_keys(reader, at, "a Compose file", keys.TOP, keys.TOP_REFUSED, {})
    chaos = reader.mapping(at.get(CHAOS), "what Aftershock is told")
    keys.check_keys(reader, chaos, "x-chaos", OWN_KEYS, {}, {})
    for key in TOPOLOGY_KEYS:
        if key in chaos:
            root[key] = _over(root.get(key), chaos[key], key in MERGED)
    _places(compose, root)
    volumes = reader.mapping(at.get("volumes"), "volumes")
    for volume in volumes.values():
        keys.check_keys(reader, reader.mapping(volume), "a volume", VOLUME, VOLUME_REFUSED, {})
    without = []
    for item in reader.items(chaos.get("without")):
        word = reader.text(item, "a key") or ""
        without.append(word)
        if word not in keys.REFUSED:
            fix = did_you_mean(word, list(keys.REFUSED))
            reader.wrong(item, f"{shown(word)} is no key that could be left out", fix)
    around = Around(
        volumes=volumes,
        secrets=reader.mapping(at.get("secrets"), "secrets"),
        configs=reader.mapping(at.get("configs"), "configs"),
        zones=_zones(root),
        without=without,
    )
    listed = _active(reader, at, compose)
    services = {}
    for name, value in listed.items():
        if (service := read_service(reader, name, value, around)) is not None:
            services[name] = service
    services = _joined(_named(reader, listed, services))
    _check_needs(reader, listed, services)
    project = Project(path=file, services=services)
    _nodes(reader, project, listed, root)
    return project


def _over(own: Value | None, theirs: Value, merged: bool) -> Value:
    """What the topology says itself, and of mappings whatever else x-chaos says."""
    if own is None:
        return theirs
    if not merged or not isinstance(own.data, dict) or not isinstance(theirs.data, dict):
        return own
    both = {name: _over(own.data.get(name), value, True) for name, value in theirs.data.items()}
    return replace(own, data={**both, **{n: v for n, v in own.data.items() if n not in both}})


def _active(reader: Reader, at: Mapping[str, Value], compose: Value) -> dict[str, Value]:
    """The services that `docker compose up` would start: not those of a profile."""
    found = {}
    every = reader.mapping(at.get("services"), "services")
    for name, value in every.items():
        profiles = value.child("profiles") if isinstance(value.data, dict) else None
        if profiles is not None and reader.items(profiles):
            reader.note(profiles, f"`{name}` is left out: it has a profile, and none is chosen")
            continue
        found[name] = value
    if not found:
        reader.wrong(at.get("services") or compose, "expected at least one service, got none",
                     "write `services: {web: {image: …}}`", key=True)  # fmt: skip
    return found


def _places(compose: Value, root: dict[str, Value]) -> None:
    """Regions and clients where nobody says any."""

    def value(data: dict[str, Value] | list[Value] | str | int) -> Value:
        return Value(data=data, mark=compose.mark)

    if "regions" not in root:
        root["regions"] = value({REGION: value({"zones": value([value(ZONE)])})})
    zones = _zones(root)
    if "clients" not in root and zones:
        root["clients"] = value({zones[0]: value(1)})
    root.setdefault("system", value(SYSTEM))


def _zones(root: Mapping[str, Value]) -> list[str]:
    """The zones as written; what is wrong with regions their model says."""
    regions = root["regions"].data if isinstance(root["regions"].data, dict) else {}
    lists = [region.child("zones") for region in regions.values()]
    items = [zone for each in lists if each is not None and isinstance(each.data, list)
             for zone in each.data]  # fmt: skip
    return [words(zone) or "" for zone in items if not isinstance(zone.data, dict | list)]


def _named(
    reader: Reader, listed: Mapping[str, Value], services: Mapping[str, Service]
) -> dict[str, Service]:
    """With what `links:` of others call them, and with images that others build."""
    names: dict[str, list[str]] = {name: list(s.names) for name, s in services.items()}
    built = {}
    for name, value in listed.items():
        at = value.data if isinstance(value.data, dict) else {}
        for other, alias in linked(reader, at):
            if other in names:
                names[other].append(alias)
            else:
                fix = did_you_mean(other, list(services))
                reader.wrong(at["links"], f"unknown service {shown(other)}", fix)
        image = at.get("image")
        if name in services and services[name].build and image is not None:
            built[words(image) if not isinstance(image.data, dict | list) else ""] = services[name]
    found = {}
    for name, service in services.items():
        image = listed[name].child("image")
        said = words(image) if image is not None and service.build is None else None
        maker = built.get(said) if said else None
        if maker is not None:
            service = replace(service, image=maker.image)
        found[name] = replace(service, names=tuple(dict.fromkeys(names[name])))
    return found


def _joined(services: Mapping[str, Service]) -> dict[str, Service]:
    """A volume that one node alone has is that node's own: a disk can be made of it."""
    users: dict[str, int] = {}
    for service in services.values():
        for name in set(service.volumes.values()):
            users[name] = users.get(name, 0) + service.replicas
    found = {}
    for key, service in services.items():
        own = [path for path, name in service.volumes.items() if users[name] == 1]
        if service.data is None and own:
            rest = {path: name for path, name in service.volumes.items() if path != own[0]}
            service = replace(service, data=own[0], volumes=rest)
        found[key] = service
    return found


def _check_needs(
    reader: Reader, listed: Mapping[str, Value], services: Mapping[str, Service]
) -> None:
    """Whether each service that another waits for is there, and never waits for that one."""
    for name in services:
        at = listed[name].data
        value = at.get("depends_on") if isinstance(at, dict) else None
        for place, need in needs(Reader(reader.folder, reader.known, lambda _: None), value):
            other = services.get(need.service)
            if other is None and need.required:
                known = list(services)
                fix = did_you_mean(need.service, known) or f"known: {', '.join(known)}"
                message = f"`{name}` waits for the service {shown(need.service)}; there is none"
                reader.wrong(place, message, fix)
            elif other and need.condition == HEALTHY and other.health is None:
                message = f"`{name}` waits for `{other.name}` to be healthy: it has no healthcheck"
                fix = f"add `healthcheck:` to `{other.name}`; an image's own is not seen"
                reader.wrong(place, message, fix)
        if value is not None and name in _behind(name, services):
            reader.wrong(value, f"`{name}` waits for itself", "break the circle", key=True)


def _behind(name: str, services: Mapping[str, Service]) -> set[str]:
    """Whom a service waits for, and whom those do."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for need in services[waiting.pop()].needs:
            if need.service in services and need.service not in seen:
                seen.add(need.service)
                waiting.append(need.service)
    return seen


def _nodes(
    reader: Reader, project: Project, listed: Mapping[str, Value], root: dict[str, Value]
) -> None:
    """`nodes:` of the topology: what it says itself of a node's zone wins."""
    own = root.get("nodes")
    given = own.data if own is not None and isinstance(own.data, dict) else {}
    nodes: dict[str, Value] = {}
    for name, service in project.services.items():
        place = listed[name]
        key = place.key or place.mark
        for number, node in enumerate(service.nodes):
            if node in nodes:
                reader.wrong(place, f"`{name}` would be a second node `{node}`", "rename one",
                             key=True)  # fmt: skip
            zones = service.zones or ("",)
            zone = Value(data=zones[number % len(zones)], mark=key, key=key)
            nodes[node] = given.get(node) or Value(data={"zone": zone}, mark=key, key=key)
    for node, value in given.items():
        if node not in nodes:
            known = list(nodes)
            fix = did_you_mean(node, known) or f"known: {', '.join(known)}"
            message = f"unknown node {shown(node)}: no service is called so"
            reader.wrong(value, message, fix, key=True)
    mark = own.mark if own is not None else root["compose"].mark
    root["nodes"] = Value(data=nodes, mark=mark, key=own.key if own is not None else None)
