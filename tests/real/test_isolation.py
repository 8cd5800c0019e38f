"""Isolation levels of a real PostgreSQL, against the published table of what each prevents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")

# Hermitage (https://github.com/ept/hermitage), README: PostgreSQL.
PREVENTED = {
    "read-committed": {"G0", "G1a", "G1b", "G1c", "OTV"},
    "repeatable-read": {"G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single"},
    "serializable": {
        *("G0", "G1a", "G1b", "G1c", "OTV"),
        *("PMP", "P4", "G-single", "G2-item", "G2"),
    },
}


@pytest.fixture(scope="module")
def probed(engine_client: object) -> list[dict[str, Any]]:
    command = [AFTERSHOCK, "probe-isolation", "postgres-async", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["probes"]
    return found


def test_the_table_is_the_published_one(probed: list[dict[str, Any]]) -> None:
    assert len(probed) == 30
    found: dict[str, set[str]] = {level: set() for level in PREVENTED}
    for outcome in probed:
        if outcome["verdict"] == "prevented":
            found[outcome["level"]].add(outcome["probe"])
    assert found == PREVENTED


def test_how_it_was_prevented_is_said(probed: list[dict[str, Any]]) -> None:
    how = {(o["level"], o["probe"]): o["how"] for o in probed}
    assert how["read-committed", "G0"] == "T2 waited"
    assert how["read-committed", "G1a"] == "not seen"
    assert how["repeatable-read", "P4"] == "T2 waited, T2 was refused (40001)"
    assert how["serializable", "G2-item"] == "T2 was refused (40001)"


def test_a_variant_of_each_phenomenon_agrees(probed: list[dict[str, Any]]) -> None:
    """PostgreSQL allows a phenomenon in all its forms at a level, or in none."""
    for outcome in probed:
        assert len({script["found"] for script in outcome["scripts"]}) == 1, outcome


def test_a_system_without_sql_and_a_level_that_is_not_there(engine_client: object) -> None:
    for arguments, text in (
        (["redis-sentinel"], "redis has no SQL transactions to probe"),
        (["postgres-async", "--level", "serialisable"], "did you mean `serializable`?"),
    ):
        command = [AFTERSHOCK, "probe-isolation", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert text in done.stderr
