"""The runs that ship: judged again they say what they said, and what their experiments expect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.verdict import judge
from chaos.record.reader import open_run
from chaos.record.rundir import RESULTS, read_json

RECORDED = Path(__file__).parents[2] / "experiments/recorded"
NAMES = sorted(path.parent.name for path in RECORDED.glob("*/run.json"))


def test_there_are_some() -> None:
    assert {"redis-split-brain", "redis-split-brain-guarded"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_judged_again_it_says_the_same(name: str) -> None:
    run = open_run(RECORDED / name)
    stored, again = read_json(run.path / RESULTS), judge(run)
    for check in (*stored["checks"], *again["checks"]):
        check.pop("seconds")
        check.pop("proof")
    assert {**again, "path": "."} == stored


@pytest.mark.parametrize("name", NAMES)
def test_its_certificates_are_accepted(name: str) -> None:
    folder = RECORDED / name
    proofs = [check["proof"] for check in read_json(folder / RESULTS)["checks"]]
    assert proofs == [str(path.relative_to(folder)) for path in sorted(folder.glob("proofs/*"))]
    command = [str(Path(sys.executable).parent / "aftershock"), "verify", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.count("accepted")) == (0, len(proofs)), done


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_whole_run_whose_faults_were_proven(name: str) -> None:
    run = open_run(RECORDED / name)
    assert (run.meta["state"], run.cut_ns, run.notes) == ("done", None, [])
    for fault in run.faults.to_pylist():
        assert fault["outcome"] == "confirmed"
        assert fault["heal_outcome"] == ("confirmed" if fault["kind"] == "fault" else None)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_its_experiment_expects(name: str) -> None:
    run = open_run(RECORDED / name)
    expected, found = run.meta["experiment"]["expect"], judge(run)
    assert found["verdict"] == expected["verdict"]
    anomalies = {a["name"] for check in found["checks"] for a in check["anomalies"]}
    assert set(expected.get("anomalies", ())) <= anomalies


def keys(value: object) -> set[str]:
    """Every key of nested JSON, but those that are data (counts by name, phases)."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(keys, value.values()))


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_the_results_is_documented(name: str) -> None:
    page = (RECORDED.parents[1] / "docs/interfaces.md").read_text()
    missing = {key for key in keys(read_json(RECORDED / name / RESULTS)) if key not in page}
    assert missing == set()
