"""docs/topology.md and docs/experiment.md name every key, and their examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from chaos.spec.compose import keys
from chaos.spec.compose.services import OWN_KEYS
from chaos.spec.compose.shapes import CONDITIONS
from chaos.spec.compose.topology import TOPOLOGY_KEYS
from chaos.spec.entries import ENTRIES
from chaos.spec.experiment import AbortWhen, Experiment, WorkloadSpec
from chaos.spec.probes import Probe
from chaos.spec.random_schedule import Lengths, LogNormal, RandomSchedule
from chaos.spec.target import WORDS
from chaos.spec.topology import Cost, Disk, Lent, Link, Region, Topology, TopologyNode
from chaos.spec.validate import validate_files

DOCS = Path(__file__).parents[2] / "docs"


def _keys(*models: type[BaseModel]) -> list[str]:
    return [f.alias or name for model in models for name, f in model.model_fields.items()]


KEYS = {
    "topology": _keys(Topology, Region, Link, TopologyNode, Disk, Cost),
    "experiment": [
        *_keys(
            Experiment,
            WorkloadSpec,
            AbortWhen,
            RandomSchedule,
            Lengths,
            LogNormal,
            *ENTRIES.values(),
        ),
        *ENTRIES,
        *WORDS,
    ],
    "compose": [
        *_keys(Probe, Lent),
        *keys.UNDERSTOOD,
        *keys.HARMLESS,
        *keys.REFUSED,
        *keys.BUILD,
        *keys.TOP_REFUSED,
        *keys.DEPLOY,
        *TOPOLOGY_KEYS,
        *OWN_KEYS,
        *CONDITIONS,
        "without",
    ],
}


@pytest.mark.parametrize("kind", KEYS)
def test_every_key_is_documented(kind: str) -> None:
    text = (DOCS / f"{kind}.md").read_text(encoding="utf-8")
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    assert [key for key in KEYS[kind] if not re.search(rf"(?<![\w-]){key}(?![\w-])", code)] == []


@pytest.mark.parametrize("kind", ["topology", "experiment"])
def test_the_example_is_right(kind: str, tmp_path: Path) -> None:
    text = (DOCS / f"{kind}.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block
    path = tmp_path / "example.yaml"
    path.write_text(block[1], encoding="utf-8")
    assert [finding.message for finding in validate_files([path])] == []
