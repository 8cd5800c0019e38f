"""Small right files that tests break in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.spec.validate import validate_files

Write = Callable[..., Path]

TOPOLOGY = """\
name: small
system: fake
regions:
  east: {zones: [a, b]}
nodes:
  n1: {zone: a, role: primary}
  n2: {zone: b}
  n3: {zone: b}
clients: {a: 2}
"""

EXPERIMENT = """\
name: try
topology: small.yaml
workload: {name: set}
duration: 10s
schedule:
  - {at: 1s, for: 2s, fault: kill, target: n1}
"""


@pytest.fixture
def topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write the small topology with each (old, new) replaced; its path. Tests run beside it."""
    monkeypatch.chdir(tmp_path)

    def write(*changes: tuple[str, str], add: str = "") -> Path:
        return _write("small.yaml", TOPOLOGY, changes, add)

    return write


@pytest.fixture
def experiment(topology: Callable[..., Path]) -> Callable[..., Path]:
    """Write the small experiment, likewise, beside the small topology."""
    topology()

    def write(*changes: tuple[str, str], add: str = "") -> Path:
        return _write("try.yaml", EXPERIMENT, changes, add)

    return write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a Compose file, and others beside it (`__` in a name is a dot); its path."""

    def make(text: str, **files: str) -> Path:
        folder = tmp_path / "some-project"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
        path = folder / "docker-compose.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


def said(path: Path) -> list[str]:
    """All that is wrong, as `line:column: message`."""
    found = validate_files([path])
    return [f"{f.line}:{f.column}: {f.message}" for f in found if f.severity == "error"]


def _write(name: str, text: str, changes: tuple[tuple[str, str], ...], add: str) -> Path:
    for old, new in changes:
        assert old in text, f"{old} is not in {name}"
        text = text.replace(old, new)
    path = Path(name)
    path.write_text(text + add, encoding="utf-8")
    return path
