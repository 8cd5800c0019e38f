"""Faults that were broken on purpose, on real databases: the run says so before anything else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.record.reader import open_run

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

# The command, with a partition that cuts nothing and a link that stays down.
PROGRAM = """\
import chaos.registry
from chaos.cli import main
from chaos.faults.client_link import ClientDown
from chaos.faults.partition import Partition

class CutsNothing(Partition):
    def inject(self, scene):
        pass

class NeverHeals(ClientDown):
    def heal(self, scene):
        pass

broken = {"partition": CutsNothing, "client-down": NeverHeals}
known = chaos.registry.Registry.get
chaos.registry.Registry.get = lambda self, name: broken.get(name) or known(self, name)
main()
"""
EXPERIMENT = """\
name: broken
topology: redis-sentinel
workload: {name: set, rate: 100/s}
duration: 4s
settle: 2s
schedule:
  - {at: 500ms, for: 1s, fault: partition, isolate: n1}
  - {at: 700ms, for: 1s, fault: client-down, zones: [us-east-c], nodes: n2}
"""


def test_the_verdict_says_so_first(command: Any, tmp_path: Path, nothing_left: Any) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(EXPERIMENT)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run", str(file), "--out", str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=100,
    )
    run = open_run(next(tmp_path.glob("runs/broken/*")))
    first, second = run.faults.to_pylist()
    assert (first["outcome"], first["heal_outcome"]) == ("mismatch", "confirmed")
    assert (second["outcome"], second["heal_outcome"]) == ("confirmed", "mismatch")
    said = ran.stdout.strip().splitlines()[0]
    assert "VALID  f1 (partition) did not take effect: " in said, ran.stdout + ran.stderr
    assert ". f2 (client-down) was not seen to heal: " in said
    shown = command.say("show", str(run.path)).stdout.splitlines()
    assert shown[0].startswith("! f1 (partition) did not take effect: ")
    told = next(n for n, line in enumerate(shown) if line.startswith("! f2"))
    assert told < next(n for n, line in enumerate(shown) if line.startswith("broken  seed"))
    nothing_left()
