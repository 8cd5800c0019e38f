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
        "topologies": lambda: _files(paths.topologies()),
        "experiments": lambda: _files(paths.experiments()),
        "stories": lambda: _files(paths.stories()),
    }
    return listings[kind]()


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
