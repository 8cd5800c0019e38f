"""A track record: pairs of experiments, one where something breaks and one where it holds.

The two differ in what a team would argue about, and are run with the same seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from chaos import paths
from chaos.errors import SpecError
from chaos.spec.fields import ITEMS, Model, Name, Text, Whole
from chaos.spec.files import LoadedExperiment, find, load_experiment
from chaos.spec.load import read_document
from chaos.spec.messages import at, read_as
from chaos.spec.problems import Finding, SpecProblems, finding_at

SIDES = ("weak", "strong")


class Pair(Model):
    """One claim about one system, as two experiments."""

    name: Name
    """What it is called, for `--only`."""
    system: Text
    """The database: a name from `aftershock list systems`."""
    claim: Text
    """One sentence: what breaks with which setting, and holds with which other."""
    weak: Text
    """The experiment that must be invalid on every seed: a shipped name, or a path."""
    strong: Text
    """The experiment that must be valid on every seed."""
    anomalies: Annotated[tuple[Text, ...], Field(min_length=1), ITEMS]
    """One of these the weak one must show on every seed; names as in docs/checkers.md."""


class TrackRecord(Model):
    """A track record's file."""

    seeds: Annotated[tuple[Whole, ...], Field(min_length=1), ITEMS]
    """Each experiment is run once with each."""
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1), ITEMS]
    """The claims, a pair of experiments each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRecord:
    """A track record and its experiments by the name they are referred to with."""

    record: TrackRecord
    experiments: Mapping[str, LoadedExperiment]
    path: Path


def shipped() -> Path:
    """The track record of what ships."""
    return paths.experiments() / "suites" / "track-record.yaml"


def load_track_record(path: Path) -> LoadedRecord:
    """Read a track record and its experiments; SpecError with everything that is wrong."""
    document = read_document(path)
    record = read_as(TrackRecord, document)
    experiments: dict[str, LoadedExperiment] = {}
    wrong: list[Finding] = []
    seen: set[str] = set()
    for index, pair in enumerate(record.pairs):
        place: tuple[str | int, ...] = ("pairs", index)
        if pair.name in seen:
            mark = at(document.root, (*place, "name")).mark
            wrong.append(finding_at(mark, f"two pairs are called `{pair.name}`"))
        seen.add(pair.name)
        for side in SIDES:
            name = getattr(pair, side)
            try:
                file = find("experiment", paths.experiments(), name, beside=path.parent)
                experiments[name] = load_experiment(file)
            except SpecError as error:
                mark = at(document.root, (*place, side)).mark
                wrong.append(finding_at(mark, error.what, fix=error.fix))
                continue
            for message in _misfits(pair, side, experiments[name]):
                wrong.append(finding_at(at(document.root, (*place, side)).mark, message))
    if wrong:
        raise SpecProblems(wrong)
    return LoadedRecord(record=record, experiments=experiments, path=path)


def _misfits(pair: Pair, side: str, loaded: LoadedExperiment) -> Iterator[str]:
    """What an experiment says of itself that a pair cannot mean."""
    there = {group.system for group in loaded.topology.each_group().values()}
    if pair.system not in there:
        yield f"expected an experiment on {pair.system}, got one on {', '.join(sorted(there))}"
    expect = loaded.experiment.expect
    wanted = {"weak": "invalid", "strong": "valid"}[side]
    if expect is not None and expect.verdict != wanted:
        yield f"expected an experiment that expects `{wanted}`, got one that expects "\
            f"`{expect.verdict}`"  # fmt: skip
