"""`aftershock validate FILE…`: everything there is to say about files; nothing is started."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chaos import paths
from chaos.errors import SpecError
from chaos.spec.files import find, load_compose, load_experiment, load_story, load_topology
from chaos.spec.load import Document, read_document
from chaos.spec.problems import Finding, SpecProblems, finding_at
from chaos.spec.track_record import load_track_record

_MARKS = {
    "story": ("beats", "questions", "facts", "reveal"),
    "experiment": ("workload", "schedule", "topology", "duration"),
    "topology": ("nodes", "regions", "system", "clients", "compose"),
    "Compose file": ("services",),
    "track record": ("pairs", "seeds"),
}


def kind_of(document: Document) -> str:
    """Whether a file is a story, an experiment, a topology, … by the keys it has."""
    keys = document.root.data if isinstance(document.root.data, dict) else {}
    for kind, marks in _MARKS.items():
        if any(mark in keys for mark in marks):
            return kind
    raise SpecProblems(
        [
            finding_at(
                document.root.mark,
                "expected a topology (`nodes:`), an experiment (`workload:`), a story (`beats:`),"
                " a track record (`pairs:`) or a Compose file (`services:`), got none of their"
                " keys",
            )
        ]
    )


def validate_files(files: Iterable[str | Path]) -> list[Finding]:
    """All findings, file by file; errors and notes. No finding: all are right.

    Names of shipped files are understood too. Files that a file refers to are checked with it.
    """
    return [finding for file in files for finding in _validate(file)]


def _validate(file: str | Path) -> list[Finding]:
    try:
        path = _path(file)
        kind = kind_of(read_document(path, merges=True))
        if kind == "topology":
            return list(load_topology(path).notes)
        if kind == "Compose file":
            return list(load_compose(path).notes)
        if kind == "experiment":
            return list(load_experiment(path).notes)
        if kind == "track record":
            load_track_record(path)
            return []
        story = load_story(path)
        return list(dict.fromkeys([*story.experiment.notes, *story.fix.notes]))
    except SpecProblems as problems:
        return list(problems.findings)
    except SpecError as error:
        return [Finding(path=str(file), line=0, column=0, message=error.what, fix=error.fix)]


def _path(file: str | Path) -> Path:
    """A path as given if it exists; else a shipped experiment, topology or story of that name."""
    path = Path(file)
    if path.exists() or isinstance(file, Path) or "/" in file or file.endswith((".yaml", ".yml")):
        return path
    for folder in (paths.experiments(), paths.topologies(), paths.stories()):
        if file in paths.names(folder):
            return folder / f"{file}.yaml"
    return find("experiment", paths.experiments(), file)
