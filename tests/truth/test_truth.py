"""Twenty thousand small histories of every property, judged by checker and oracle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.truth import command
from tests.truth.properties import PROPERTIES

HISTORIES = 20_000  # of each property
NAMES = list(PROPERTIES)
pytestmark = pytest.mark.timeout(1800)  # of what others leave; all are judged in the first test


@pytest.fixture(scope="module")
def judged(root: Path):
    return command.judged(root, HISTORIES * len(NAMES), NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_verdict_is_so(judged, name):
    rows, said = judged
    row = rows[name]
    assert row["histories"] >= HISTORIES * 0.99  # but for those in which nobody asked for anything
    assert row["valid"] > HISTORIES * 0.2
    assert row["invalid"] > HISTORIES * 0.1
    assert (row["wrong"], row["refused"], row["accepted"]) == (0, 0, 0), said
