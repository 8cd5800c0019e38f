"""Where the files that ship with Aftershock are: in a checkout, or inside an installed wheel.

A wheel carries them under `chaos/_shipped/` (pyproject.toml, force-include); in a checkout they
are beside the packages, and win there, so that an edit is seen at once.
"""

from __future__ import annotations

from pathlib import Path

from chaos.errors import AftershockError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent
_WHEEL = _PACKAGE / "_shipped"


def shipped(folder: str) -> Path:
    """The folder `topologies`, `experiments` or `schemas`; AftershockError if it is not there."""
    root = _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else _WHEEL
    path = root / folder
    if not path.is_dir():
        raise AftershockError(
            f"expected the folder {folder} beside the packages, found none at {path}",
            fix="install aftershock again: its files are incomplete",
        )
    return path


def topologies() -> Path:
    """The folder of shipped topologies (`NAME.yaml`)."""
    return shipped("topologies")


def experiments() -> Path:
    """The folder of shipped experiments (`NAME.yaml`)."""
    return shipped("experiments")


def stories() -> Path:
    """The folder of shipped stories (`NAME.yaml`)."""
    return experiments() / "stories"


def recorded() -> Path:
    """The folder of recorded runs, each a run directory."""
    return experiments() / "recorded"


def schemas() -> Path:
    """The folder of JSON Schemas (`topology.json`, ...)."""
    return shipped("schemas")


def images() -> Path:
    """The folder of image folders, each with its Dockerfile."""
    return topologies() / "images"


def names(folder: Path) -> list[str]:
    """The names of the YAML files in `folder`, sorted: `redis-sentinel.yaml` → redis-sentinel."""
    return sorted(path.stem for path in folder.glob("*.yaml") if path.is_file())
