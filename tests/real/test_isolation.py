"""Isolation levels of real databases, against the published tables of what each prevents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.real,
    pytest.mark.usefixtures("beside"),
    pytest.mark.timeout(180),
]
AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")

# Hermitage (https://github.com/ept/hermitage), README: PostgreSQL, and MySQL, whose table was made
# before there was `innodb_snapshot_isolation`.
COMMITTED = {"G0", "G1a", "G1b", "G1c", "OTV"}
SNAPSHOT = COMMITTED | {"PMP", "P4", "G-single"}
ALL = SNAPSHOT | {"G2-item", "G2"}
POSTGRES = {"read-committed": COMMITTED, "repeatable-read": SNAPSHOT, "serializable": ALL}
MYSQL = {
    "read-uncommitted": {"G0"},
    "read-committed": COMMITTED,
    "repeatable-read": COMMITTED,
    "serializable": ALL,
}


def probe(*arguments: str) -> list[dict[str, Any]]:
    command = [AFTERSHOCK, "probe-isolation", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["probes"]
    return found


def prevented(probed: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {outcome["level"]: set() for outcome in probed}
    for outcome in probed:
        if outcome["verdict"] == "prevented":
            found[outcome["level"]].add(outcome["probe"])
    return found


@pytest.fixture(scope="module")
def probed(engine_client: object) -> list[dict[str, Any]]:
    return probe("postgres-async")


def test_the_table_is_the_published_one(probed: list[dict[str, Any]]) -> None:
    assert len(probed) == 30
    assert prevented(probed) == POSTGRES


def test_mariadb_without_snapshot_isolation_is_what_is_published_of_mysql(
    engine_client: object,
) -> None:
    found = probe("mariadb-async", "--set", "settings.innodb_snapshot_isolation=off")
    assert prevented(found) == MYSQL
    scripts = {(o["level"], o["probe"], s["name"]): s["found"] for o in found for s in o["scripts"]}
    for name in ("PMP", "G-single"):  # "R/O": a snapshot is read, and the newest row written
        of = {s: shown for (level, p, s), shown in scripts.items()
              if (level, p) == ("repeatable-read", name)}  # fmt: skip
        assert of.pop("write") is True
        assert not any(of.values())


def test_mariadb_with_snapshot_isolation_prevents_what_snapshots_do(
    engine_client: object,
) -> None:
    found = probe("mariadb-async", "--level", "repeatable-read", "--level", "serializable")
    assert prevented(found) == {"repeatable-read": SNAPSHOT, "serializable": ALL}
    how = {(o["level"], o["probe"]): o["how"] for o in found}
    assert how["repeatable-read", "P4"] == "T2 waited, T2 was refused (1020)"
    assert how["serializable", "G2-item"] == "T1 waited, T2 was refused (1213)"


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
