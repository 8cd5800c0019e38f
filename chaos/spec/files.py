"""Topologies, experiments and stories from files: found by name, read, checked against each other.

Everything a file refers to is read and checked here, before anything is started.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chaos import paths
from chaos.errors import SpecError
from chaos.record import rundir
from chaos.registry import did_you_mean
from chaos.spec.checks import check_experiment
from chaos.spec.complaints import Complaint
from chaos.spec.compose.topology import expand, from_compose, is_compose
from chaos.spec.drawing import expanded
from chaos.spec.experiment import Experiment
from chaos.spec.load import Document, Value, parse_document, read_document
from chaos.spec.messages import at, read_as
from chaos.spec.overrides import Change, change_of, override
from chaos.spec.problems import Finding, SpecProblems, finding_at
from chaos.spec.random_checks import check_random
from chaos.spec.random_schedule import RandomSchedule
from chaos.spec.story import Story
from chaos.spec.topology import Topology
from chaos.spec.topology_checks import check_topology
from chaos.spec.workload_checks import check_workload, filled
from chaos.units import shown

TOPOLOGY = "topology."  # what a path into an experiment's topology begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTopology:
    """A topology that may be started; `notes` are worth saying, and no errors."""

    topology: Topology
    path: Path
    notes: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedExperiment:
    """An experiment and its topology, overrides applied, ready to run."""

    experiment: Experiment
    topology: Topology
    path: Path
    notes: tuple[Finding, ...]
    root: Value | None = None  # its text, for the places of errors found later
    drawn_from: RandomSchedule | None = None  # what its schedule was drawn from, if it was


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStory:
    """A story and its two experiments."""

    story: Story
    experiment: LoadedExperiment
    fix: LoadedExperiment
    path: Path


def find(kind: str, folder: Path, reference: str | Path, beside: Path | None = None) -> Path:
    """The file a user means by `reference`: a path, or a name among the shipped files in `folder`.

    A path ends in .yaml or .yml or contains a slash; it is relative to `beside` if that is given.
    SpecError, with the nearest name, if there is no such file.
    """
    text = str(reference)
    if isinstance(reference, Path) or "/" in text or text.endswith((".yaml", ".yml")):
        path = Path(text) if beside is None else beside / text
        if not path.exists():
            raise SpecError(f"no {kind} at {path}", fix="paths are relative to the file they are in"
                            if beside else "")  # fmt: skip
        return path
    known = paths.names(folder)
    if text not in known:
        raise SpecError(
            f"unknown {kind} {shown(text)}; shipped: {', '.join(known) or 'none'}",
            fix=did_you_mean(text, known) or "a path ends in .yaml",
        )
    return folder / f"{text}.yaml"


def load_topology(reference: str | Path, sets: Sequence[str] = ()) -> LoadedTopology:
    """Read and check a topology by shipped name or path; `sets` are `path=value` overrides.

    SpecError (mostly SpecProblems, with all findings) if it cannot be started as it stands.
    """
    path = find("topology", paths.topologies(), reference)
    document = read_document(path)
    for text in sets:
        override(document.root, Topology, change_of(text))
    topology, notes = topology_of(document, path)
    return LoadedTopology(topology=topology, path=path, notes=notes)


def load_compose(path: Path, sets: Sequence[str] = ()) -> LoadedTopology:
    """Read and check a Compose file by itself, as a topology; SpecError as for `load_topology`."""
    if not path.exists():
        raise SpecError(f"no Compose file at {path}", fix="name a docker-compose.yml")
    document = read_document(path, merges=True)
    if not is_compose(document):
        message = "expected a Compose file (`services:`), found no such key"
        raise SpecProblems([finding_at(document.root.mark, message)])
    document = from_compose(path, document)
    for text in sets:
        override(document.root, Topology, change_of(text))
    topology, notes = topology_of(document, path)
    return LoadedTopology(topology=topology, path=path, notes=notes)


def load_experiment(reference: str | Path, sets: Sequence[str] = ()) -> LoadedExperiment:
    """Read an experiment by shipped name or path, and its topology; check them together.

    A run directory is read as the experiment that was run there: its schedule as it was drawn.
    `sets` are `path=value` overrides into the experiment, or, with `topology.` in front, into the
    topology (after those of the experiment's own `set:`). SpecError as for `load_topology`.
    """
    path = find("experiment", paths.experiments(), reference)
    if (path / rundir.RUN_JSON).is_file():
        return _recorded(path, sets)
    return _experiment(read_document(path), path, sets)


def _recorded(path: Path, sets: Sequence[str]) -> LoadedExperiment:
    """What a run directory says of itself: the schedule as it was drawn, with the run's seed."""
    meta = rundir.read_run_json(path)
    label = str(path / rundir.RUN_JSON)
    experiment = {**meta["experiment"], "seed": meta["seed"]}
    # JSON is YAML; characters beyond ASCII stay as they are, for YAML knows no surrogate pairs.
    documents = [
        parse_document(json.dumps(part, ensure_ascii=False), f"{label} ({name})")
        for name, part in (("experiment", experiment), ("topology", meta["topology"]))
    ]
    return _experiment(documents[0], path, sets, documents[1])


def drawn(loaded: LoadedExperiment, seed: int) -> LoadedExperiment:
    """The experiment with its `random:` drawn from `seed`, checked like a hand-written schedule.

    SpecError if what was drawn cannot be run; an experiment without `random:` as it is.
    """
    if loaded.experiment.random is None:
        return loaded
    experiment = expanded(loaded.experiment, seed)
    complaints = [
        replace(complaint, path=("random",), key=True)
        for complaint in check_experiment(experiment, loaded.topology)
    ]
    if loaded.root is not None:
        _raise(_at_places(loaded.root, complaints))
    return replace(loaded, experiment=experiment, drawn_from=loaded.experiment.random)


def load_story(reference: str | Path) -> LoadedStory:
    """Read a story by shipped name or path, and the two experiments it replays."""
    path = find("story", paths.stories(), reference)
    return _story(read_document(path), path)


def _story(document: Document, path: Path) -> LoadedStory:
    story = read_as(Story, document)
    loaded = []
    for key in ("experiment", "fix"):
        name = getattr(story, key)
        file = _referred(document.root, (key,), "experiment", paths.experiments(), name, path)
        loaded.append(_experiment(read_document(file), file, ()))
    _raise(_at_places(document.root, _check_story(story)))
    return LoadedStory(story=story, experiment=loaded[0], fix=loaded[1], path=path)


def _check_story(story: Story) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, question in enumerate(story.questions):
        if question.id in seen:
            message = f"two questions have the id `{question.id}`"
            yield Complaint(path=("questions", index, "id"), message=message)
        seen.add(question.id)
    for index in range(1, len(story.beats)):
        if story.beats[index].at_ns < story.beats[index - 1].at_ns:
            message = "expected beats in the order of time, got an earlier one"
            yield Complaint(path=("beats", index, "at"), message=message)


def _experiment(
    document: Document, path: Path, sets: Sequence[str], beside: Document | None = None
) -> LoadedExperiment:
    """`beside`: the topology, where it is not to be looked up by its name."""
    changes = [change_of(text) for text in sets]
    into_topology = [change for change in changes if change.path.startswith(TOPOLOGY)]
    for change in changes:
        if change not in into_topology:
            override(document.root, Experiment, change)
    experiment = read_as(Experiment, document)
    root = document.root
    file = path
    if (source := beside) is None:
        known = paths.topologies()
        file = _referred(root, ("topology",), "topology", known, experiment.topology, path)
        source = read_document(file)
    own = root.child("set")
    if own is not None and isinstance(own.data, dict):
        for dotted, value in own.data.items():
            override(source.root, Topology, Change(dotted, value))
    for change in into_topology:
        below = Change(change.path.removeprefix(TOPOLOGY), change.value)
        override(source.root, Topology, below)
    topology, notes = topology_of(source, file)
    checks = (check_workload, check_experiment, check_random)
    complaints = [complaint for check in checks for complaint in check(experiment, topology)]
    _raise(_at_places(root, complaints))
    loaded = LoadedExperiment(
        experiment=filled(experiment), topology=topology, path=path, notes=notes, root=root
    )
    drawn(loaded, experiment.seed)
    return loaded


def topology_of(document: Document, path: Path) -> tuple[Topology, tuple[Finding, ...]]:
    """The topology that a document in the file `path` says, checked, and notes; SpecError."""
    project, notes = expand(document, path)
    topology = read_as(Topology, document).of_project(project)
    found = _at_places(document.root, check_topology(topology))
    _raise(found)
    return topology, (*notes, *found)


def _referred(
    root: Value, at_path: tuple[str, ...], kind: str, folder: Path, name: str, file: Path
) -> Path:
    """The file that `name`, standing at `at_path`, refers to; the error points there."""
    try:
        return find(kind, folder, name, beside=file.parent)
    except SpecError as error:
        raise SpecProblems(
            [finding_at(at(root, at_path).mark, error.what, fix=error.fix)]
        ) from None


def _at_places(root: Value, complaints: Iterable[Complaint]) -> list[Finding]:
    """Complaints as findings at their places in the file, in the order of the text."""
    found = [
        finding_at(
            at(root, complaint.path, key=complaint.key).mark,
            complaint.message,
            fix=complaint.fix,
            severity="note" if complaint.note else "error",
        )
        for complaint in complaints
    ]
    return sorted(found, key=lambda finding: (finding.line, finding.column))


def _raise(found: Sequence[Finding]) -> None:
    errors = [finding for finding in found if finding.severity == "error"]
    if errors:
        raise SpecProblems(errors)
