"""The command `track-record`: every pair on every seed, kept as it comes, and the page of it."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaos.cli import track_page
from chaos.cli.console import out, say, table
from chaos.errors import EXIT_INVALID, AftershockError, Interrupted, RecordError, UsageError

if TYPE_CHECKING:
    from chaos.spec.files import LoadedExperiment
    from chaos.spec.track_record import LoadedRecord, Pair

PAGE, KEPT = "track-record.md", "track-record.json"
# What decides how a run comes out. The command line does not, nor do other files that ship: those
# of the run itself are in its experiment.
CODE = ("chaos", "analysis")
NOT_CODE = ("cli", "_shipped", "__pycache__")


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command("track-record")(track_record)


@dataclass(slots=True, kw_only=True)
class Keeper:
    """What is kept of the runs, on disk after each."""

    folder: Path
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Keeper:
        """Read what is there; RecordError if it is something else."""
        from chaos.record.rundir import read_json

        if not (folder / KEPT).exists():
            return cls(folder=folder)
        data = read_json(folder / KEPT)
        if not isinstance(data, dict) or data.get("version") != track_page.VERSION:
            raise RecordError(
                f"expected a track record of version {track_page.VERSION}, got another",
                fix=f"move {folder / KEPT} away",
            )
        return cls(folder=folder, runs=data["runs"])

    def done(self, name: str, seed: int, code: str) -> bool:
        """Whether this very code has run this experiment with this seed, to its end."""
        kept = self.runs.get(name, {}).get(str(seed), {})
        return kept.get("code") == code and not kept.get("error")

    def keep(self, name: str, seed: int, run: dict[str, Any]) -> None:
        """Put it in place of what was there, on disk."""
        seeds = {**self.runs.get(name, {}), str(seed): run}
        self.runs[name] = dict(sorted(seeds.items(), key=lambda item: int(item[0])))
        self.runs = dict(sorted(self.runs.items()))
        self.save()

    def save(self) -> None:
        """Everything, on disk."""
        from chaos.record.rundir import write_json

        write_json(self.folder / KEPT, {"version": track_page.VERSION, "runs": self.runs})


def track_record(
    suite: Annotated[
        Path | None, typer.Argument(help="A file of pairs; by default the one that ships.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only the pair of this name.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Instead of the file's, such as 1,2.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also what this very code has run already.")
    ] = False,
    page: Annotated[bool, typer.Option("--page", help="Write the page; run nothing.")] = False,
    to: Annotated[Path, typer.Option(help="Folder of track-record.md and .json.")] = Path("docs"),
    out_: Annotated[Path, typer.Option("--out", help="Folder that holds the runs.")] = Path("runs"),
) -> None:
    """Run pairs of weak and strong settings, verify every verdict, write what came of it.

    Exit code: 0 all pairs hold, 1 one does not, 130 interrupted (what is done is kept).
    """
    from chaos.spec.track_record import load_track_record, shipped

    loaded = load_track_record(suite or shipped())
    pairs = _chosen(loaded.record.pairs, only or ())
    wanted = _seeds(seeds) if seeds else list(loaded.record.seeds)
    to.mkdir(parents=True, exist_ok=True)
    keeper = Keeper.of(to)
    try:
        if not page:
            _run_all(loaded, pairs, wanted, keeper, out_, again=again)
    finally:
        keeper.save()
        text = track_page.page(loaded.record, keeper.runs)
        (to / PAGE).write_text(text, encoding="utf-8")
        _print(pairs, keeper, wanted)
    states = [track_page.standing(pair, keeper.runs, wanted) for pair in pairs]
    if not page and set(states) != {track_page.HOLDS}:
        raise typer.Exit(EXIT_INVALID)


def _chosen(pairs: Sequence[Pair], only: Sequence[str]) -> list[Pair]:
    from chaos.registry import did_you_mean

    known = [pair.name for pair in pairs]
    for name in only:
        if name not in known:
            raise UsageError(
                f"expected a pair of {', '.join(known)}; got {name!r}",
                fix=did_you_mean(name, known),
            )
    return [pair for pair in pairs if not only or pair.name in only]


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"expected whole numbers such as 1,2, got {text!r}") from None


def _run_all(
    loaded: LoadedRecord,
    pairs: Sequence[Pair],
    seeds: Sequence[int],
    keeper: Keeper,
    out_dir: Path,
    *,
    again: bool,
) -> None:
    """Each experiment of the pairs with each seed, once; an error is kept and the rest goes on."""
    from chaos.cli.machine import connect

    connect(start=True)  # without an engine nothing is run, and nothing that is kept is lost
    names = dict.fromkeys(name for pair in pairs for name in (pair.weak, pair.strong))
    todo = [(name, seed, code_of(loaded.experiments[name])) for name in names for seed in seeds]
    left = [(n, s, code) for n, s, code in todo if again or not keeper.done(n, s, code)]
    if len(left) < len(todo):
        say(f"{len(todo) - len(left)} of {len(todo)} runs are there already, of this very code")
    for number, (name, seed, code) in enumerate(left, 1):
        say(f"[{number}/{len(left)}] {name}, seed {seed} …")
        began = time.monotonic()
        try:
            run = _once(loaded.experiments[name], seed, out_dir)
        except Interrupted:
            raise
        except AftershockError as error:
            connect()
            run = _failed(error.what)
        except Exception as error:  # a defect, which must not cost the other runs
            run = _failed(f"{type(error).__name__}: {error}")
        keeper.keep(name, seed, {"code": code, **run})
        say(f"    {track_page.found(run)} {run['error']}  ({time.monotonic() - began:.0f} s)")


def _once(loaded: LoadedExperiment, seed: int, out_dir: Path) -> dict[str, Any]:
    """Run it, judge it, verify its certificates."""
    from chaos.cli.runs import run_one
    from chaos.cli.verifying import verified
    from chaos.record.rundir import read_run_json

    path, results = run_one(loaded, seed, out_dir, quiet=True)
    return track_page.kept(results, verified(path), read_run_json(path))


def _failed(why: str) -> dict[str, Any]:
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "error": why}


def code_of(loaded: LoadedExperiment) -> str:
    """What a run depends on, as a short digest: our code, the images, experiment and topology."""
    own = [loaded.experiment.resolved(), loaded.topology.resolved()]
    text = json.dumps([_code(), *own], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def _code() -> str:
    from chaos import paths

    packages = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for root in (*(packages / name for name in CODE), paths.images()):
        for file in _files(root):
            digest.update(f"{root.name}/{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not set(path.relative_to(root).parts) & set(NOT_CODE):
            yield path


def _print(pairs: Sequence[Pair], keeper: Keeper, seeds: Sequence[int]) -> None:
    """A line a pair, then where it differs."""
    table(
        ("pair", "weak: shown on", "strong: held on", "the claim"),
        [
            (
                pair.name,
                track_page.shown_on(pair, "weak", keeper.runs, seeds),
                track_page.shown_on(pair, "strong", keeper.runs, seeds),
                track_page.standing(pair, keeper.runs, seeds),
            )
            for pair in pairs
        ],
    )
    for pair in pairs:
        for line in track_page.differences(pair, keeper.runs, seeds):
            say(f"{pair.name}: {line}")
    out.print(str(keeper.folder / PAGE), markup=False)
