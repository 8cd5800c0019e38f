"""What ships, a line for each thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos import paths
from chaos.registry import FAULTS, SYSTEMS, WORKLOADS


def catalog(kind: str) -> list[tuple[str, str]]:
    """(name, one line) of every `kind`: systems, workloads, faults, or shipped YAML files."""
    listings: dict[str, Callable[[], list[tuple[str, str]]]] = {
        "systems": lambda: [(n, SYSTEMS.get(n).about) for n in SYSTEMS.names()],
        "workloads": lambda: [(n, WORKLOADS.get(n).about) for n in WORKLOADS.names()],
        "faults": lambda: [(n, _first_line(FAULTS.get(n))) for n in FAULTS.names()],
        "topologies": lambda: [(t["name"], t["about"]) for t in topologies()],
        "experiments": lambda: _files(paths.experiments()),
        "stories": lambda: _files(paths.stories()),
    }
    return listings[kind]()


def topologies() -> list[dict[str, Any]]:
    """Every shipped topology: name, about, system (`patroni + etcd` where there are several, first
    those that clients may use), number of nodes, regions; by system, in the registry's order."""
    from chaos.spec.compose.topology import expand
    from chaos.spec.load import read_document
    from chaos.spec.messages import read_as
    from chaos.spec.topology import Topology

    folder = paths.topologies()
    order = SYSTEMS.names()
    found = []
    for name in paths.names(folder):
        path = folder / f"{name}.yaml"
        document = read_document(path)
        expand(document, path)
        topology = read_as(Topology, document)
        groups = topology.each_group()
        ranked = sorted(groups, key=lambda group: group not in topology.front())
        systems = list(dict.fromkeys(groups[group].system for group in ranked))
        entry = {
            "name": name,
            "about": " ".join(topology.about.split()),
            "system": " + ".join(systems),
            "nodes": len(topology.nodes),
            "regions": list(topology.regions),
        }
        found.append((order.index(systems[0]), entry["system"], name, entry))
    return [entry for *_, entry in sorted(found, key=lambda row: row[:-1])]


def _files(folder: Path) -> list[tuple[str, str]]:
    """Shipped files, by what they say of themselves."""
    from chaos.spec.load import read_document

    rows = []
    for name in paths.names(folder):
        data: Any = read_document(folder / f"{name}.yaml").root.data
        about = data["about"].data if isinstance(data, dict) and "about" in data else ""
        rows.append((name, " ".join(str(about).split())))
    return rows


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
