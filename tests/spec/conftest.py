"""Small right files that tests break in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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


def _write(name: str, text: str, changes: tuple[tuple[str, str], ...], add: str) -> Path:
    for old, new in changes:
        assert old in text, f"{old} is not in {name}"
        text = text.replace(old, new)
    path = Path(name)
    path.write_text(text + add, encoding="utf-8")
    return path
