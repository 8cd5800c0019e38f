"""docs/run-directory.md names every column and key, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.record import rundir, schema

TEXT = (Path(__file__).resolve().parents[2] / "docs/run-directory.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("history.parquet", schema.HISTORY.names),
        ("faults.parquet", schema.FAULTS.names),
        ("samples.parquet", schema.SAMPLES.names),
        ("run.json", list(rundir.RUN_DEFAULTS)),
    ],
)
def test_every_name_is_explained(section: str, names: list[str]) -> None:
    body = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE) == names
