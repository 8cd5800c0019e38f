"""The track record: the page says what is kept, pairs are judged as they came out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from chaos.cli import machine, track_page, track_record
from chaos.cli.verifying import verified
from chaos.errors import AftershockError, EngineError, Interrupted, SpecError, UsageError
from chaos.paths import recorded
from chaos.record.rundir import read_json, read_run_json
from chaos.spec.experiment import Experiment
from chaos.spec.files import load_experiment
from chaos.spec.track_record import Pair, TrackRecord, load_track_record, shipped
from tests.real.conftest import ONLY_IN_THE_RECORD

DOCS = Path(__file__).parents[2] / "docs"
PAIR = Pair(
    name="failover",
    system="postgres",
    claim="One loses, the other does not.",
    weak="postgres-failover-async",
    strong="postgres-failover-sync",
    anomalies=("lost-write",),
)
SUITE = f"seeds: [1, 2]\npairs:\n  - {json.dumps(PAIR.resolved())}\n"


def kept(name: str) -> dict[str, Any]:
    """What would be kept of a run that ships, its certificates verified now."""
    path = recorded() / name
    return track_page.kept(read_json(path / "results.json"), verified(path), read_run_json(path))


@pytest.fixture(scope="module")
def weak() -> dict[str, Any]:
    return kept(PAIR.weak)


@pytest.fixture(scope="module")
def strong() -> dict[str, Any]:
    return kept(PAIR.strong)


def test_the_page_is_what_is_kept() -> None:
    record = load_track_record(shipped()).record
    runs = read_json(DOCS / track_record.KEPT)["runs"]
    text = (DOCS / track_record.PAGE).read_text(encoding="utf-8")
    assert text == track_page.page(record, runs), "run: aftershock track-record --page"
    for pair in record.pairs:
        assert f"\n## {pair.name}\n\n{pair.claim}\n" in text


def done(experiment: Experiment, kind: str) -> list[dict[str, Any]]:
    """The faults or the steps, to whom, in which order; some runs are a few seconds shorter."""
    entries = [entry.resolved() for entry in experiment.schedule]
    return [
        {key: entry[key] for key in entry if key not in ("at", "for")}
        for entry in entries
        if kind in entry
    ]


def test_what_ships_expects_what_the_pairs_claim() -> None:
    loaded = load_track_record(shipped())
    for pair in loaded.record.pairs:
        weak, strong = (loaded.experiments[n].experiment for n in (pair.weak, pair.strong))
        assert weak.expect is not None
        assert strong.expect is not None
        assert set(weak.expect.anomalies) <= set(pair.anomalies)
        assert weak.workload.name == strong.workload.name, pair.name
        assert done(weak, "fault") == done(strong, "fault"), pair.name
        fewer, steps = done(weak, "step"), done(strong, "step")
        assert [step for step in steps if step in fewer] == fewer, pair.name  # one may be the cure


def test_a_pair_that_holds(weak: dict[str, Any], strong: dict[str, Any]) -> None:
    runs = {PAIR.weak: {"1": weak}, PAIR.strong: {"1": strong}}
    assert track_page.differences(PAIR, runs, [1]) == []
    assert track_page.standing(PAIR, runs, [1]) == track_page.HOLDS
    assert track_page.standing(PAIR, runs, [1, 2]) == track_page.OPEN
    assert track_page.shown_on(PAIR, "weak", runs, [1, 2]) == "1 of 1"
    text = track_page.page(the_record(), runs)
    assert "| [failover](#failover) | postgres | 1 of 1 | 1 of 1 | **not run** |" in text
    assert "**invalid**: lost-write × 1,408" in text
    assert "*lost-write*, seed 1: process 1 added 1002 to the set" in text
    assert "1 of 1 confirmed" in text
    assert "set: accepted" in text
    assert "psycopg 3" in text


def the_record() -> TrackRecord:
    return TrackRecord(seeds=(1, 2), pairs=(PAIR,))


Change = Callable[[dict[str, Any]], dict[str, Any]]
WRONG: dict[str, tuple[str, Change, str]] = {
    "the weak one is valid": (
        "weak",
        lambda run: {**run, "verdict": "valid", "anomalies": {}},
        "weak, seed 1: expected lost-write, got valid",
    ),
    "the weak one shows something else": (
        "weak",
        lambda run: {**run, "anomalies": {"duplicate": {"count": 2, "argument": ""}}},
        "weak, seed 1: expected lost-write, got invalid: duplicate × 2",
    ),
    "the strong one is invalid": (
        "strong",
        lambda run: {
            **run, "verdict": "invalid", "anomalies": {"lost-write": {"count": 3, "argument": ""}}
        },
        "strong, seed 1: expected valid, got invalid: lost-write × 3",
    ),
    "the strong one is unknown": (
        "strong",
        lambda run: {**run, "verdict": "unknown"},
        "strong, seed 1: expected valid, got unknown",
    ),
    "a certificate is refused": (
        "strong",
        lambda run: {
            **run,
            "certificates": [{**run["certificates"][0], "accepted": False, "why": "row 3 is none"}],
        },
        "strong, seed 1: a certificate was refused: set, row 3 is none",
    ),
    "no certificate": (
        "weak", lambda run: {**run, "certificates": []}, "weak, seed 1: no certificate was written"
    ),
    "an error": (
        "strong",
        lambda run: {"code": "x", "date": "2026-01-01", "error": "n2 did not | start"},
        "strong, seed 1: the run did not end as planned: n2 did not | start",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_differs_is_never_hidden(
    case: str, weak: dict[str, Any], strong: dict[str, Any]
) -> None:
    side, change, said = WRONG[case]
    runs = {
        PAIR.weak: {"1": change(weak) if side == "weak" else weak},
        PAIR.strong: {"1": change(strong) if side == "strong" else strong},
    }
    assert track_page.differences(PAIR, runs, [1]) == [said]
    assert track_page.standing(PAIR, runs, [1]) == track_page.DIFFERS
    assert track_page.shown_on(PAIR, side, runs, [1]) == "0 of 1"
    text = track_page.page(the_record(), runs)
    assert f"**It came out otherwise:**\n\n- {said.replace('|', chr(92) + '|')}\n" in text
    assert "| **differs** |" in text


@pytest.fixture
def runs_of(
    monkeypatch: pytest.MonkeyPatch, weak: dict[str, Any], strong: dict[str, Any]
) -> list[tuple[str, int]]:
    """What is run from now on; with seed 2 the strong one fails. No engine is needed."""
    ran: list[tuple[str, int]] = []

    def once(loaded: Any, seed: int, out: Path) -> dict[str, Any]:
        name = loaded.experiment.name
        ran.append((name, seed))
        if seed == 2 and name == PAIR.strong:
            raise AftershockError("the standby never streamed")
        return weak if name == PAIR.weak else strong

    monkeypatch.setattr(track_record, "_once", once)
    monkeypatch.setattr(machine, "connect", lambda start=False: None)
    return ran


def test_an_error_is_kept_and_the_rest_goes_on(
    tmp_path: Path, runs_of: list[tuple[str, int]]
) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    with pytest.raises(typer.Exit) as ended:
        track_record.track_record(suite, to=tmp_path)
    assert ended.value.exit_code == 1
    assert runs_of == [(PAIR.weak, 1), (PAIR.weak, 2), (PAIR.strong, 1), (PAIR.strong, 2)]
    stored = read_json(tmp_path / track_record.KEPT)["runs"]
    assert stored[PAIR.strong]["2"]["error"] == "the standby never streamed"
    assert "1 of 2" in (tmp_path / track_record.PAGE).read_text(encoding="utf-8")
    # Again: what is done is done, an error is not.
    runs_of.clear()
    with pytest.raises(typer.Exit):
        track_record.track_record(suite, to=tmp_path)
    assert runs_of == [(PAIR.strong, 2)]
    runs_of.clear()
    track_record.track_record(suite, seeds="1", again=True, to=tmp_path)
    assert runs_of == [(PAIR.weak, 1), (PAIR.strong, 1)]


def test_other_code_runs_again(
    tmp_path: Path, runs_of: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    track_record.track_record(suite, seeds="1", to=tmp_path)
    track_record.track_record(suite, seeds="1", to=tmp_path)
    assert len(runs_of) == 2
    monkeypatch.setattr(track_record, "_code", lambda: "another")
    track_record.track_record(suite, seeds="1", to=tmp_path)
    assert len(runs_of) == 4


@pytest.mark.parametrize("error", [Interrupted("Ctrl-C"), KeyboardInterrupt()])
def test_an_interrupt_keeps_what_is_done(
    tmp_path: Path,
    runs_of: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    first = track_record._once

    def once(loaded: Any, seed: int, out: Path) -> dict[str, Any]:
        if runs_of:
            raise error
        return first(loaded, seed, out)

    monkeypatch.setattr(track_record, "_once", once)
    with pytest.raises(type(error)):
        track_record.track_record(suite, to=tmp_path)
    stored = read_json(tmp_path / track_record.KEPT)["runs"]
    assert {name: list(seeds) for name, seeds in stored.items()} == {PAIR.weak: ["1"]}
    assert "1 of 1" in (tmp_path / track_record.PAGE).read_text(encoding="utf-8")


def test_without_an_engine_nothing_kept_is_lost(
    tmp_path: Path, runs_of: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    track_record.track_record(suite, seeds="1", to=tmp_path)
    before = (tmp_path / track_record.KEPT).read_text(encoding="utf-8")

    def dead(start: bool = False) -> None:
        raise EngineError("no engine answers")

    monkeypatch.setattr(machine, "connect", dead)
    with pytest.raises(EngineError):
        track_record.track_record(suite, seeds="1", again=True, to=tmp_path)
    assert (tmp_path / track_record.KEPT).read_text(encoding="utf-8") == before


def test_the_code_of_a_run_is_of_its_experiment_and_topology() -> None:
    one, other = load_experiment(PAIR.weak), load_experiment(PAIR.strong)
    assert track_record.code_of(one) == track_record.code_of(load_experiment(PAIR.weak))
    assert track_record.code_of(one) != track_record.code_of(other)
    changed = load_experiment(PAIR.weak, ["topology.settings.max_connections=200"])
    assert track_record.code_of(one) != track_record.code_of(changed)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("postgres-failover-sync", "postgres-failover-snyc", "unknown experiment"),
        ("postgres-failover-sync", "etcd-partition", "expected an experiment on postgres, got"),
        ("postgres-failover-sync", "postgres-failover-async", "that expects `valid`, got one"),
        ('"weak"', '"wek"', "unknown key `wek`"),
        ("[1, 2]", "[]", "seeds"),
    ],
)
def test_a_broken_suite(tmp_path: Path, old: str, new: str, said: str) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE.replace(old, new))
    with pytest.raises(SpecError) as caught:
        load_track_record(suite)
    assert "suite.yaml:" in str(caught.value)
    assert said in str(caught.value)


def test_unknown_words_are_said(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    with pytest.raises(UsageError, match="expected a pair of failover; got 'failver'"):
        track_record.track_record(suite, only=["failver"], to=tmp_path)
    with pytest.raises(UsageError, match="expected whole numbers such as 1,2, got 'x'"):
        track_record.track_record(suite, seeds="x", to=tmp_path)
    (tmp_path / track_record.KEPT).write_text('{"version": 9}')
    with pytest.raises(AftershockError, match="expected a track record of version 1"):
        track_record.track_record(suite, to=tmp_path)


def test_what_the_tests_leave_to_the_record_is_in_it() -> None:
    pairs = load_track_record(shipped()).record.pairs
    assert {name for pair in pairs for name in (pair.weak, pair.strong)} >= ONLY_IN_THE_RECORD
