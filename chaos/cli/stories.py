"""`aftershock story`: an outage retold on a real run, with predictions locked before the reveal."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaos.cli.console import err, out, say, verdict_line
from chaos.errors import AftershockError, UsageError

if TYPE_CHECKING:
    from chaos.spec.files import LoadedExperiment, LoadedStory

story_app = typer.Typer(
    help="Classic outages, replayed: predict, watch, compare.", no_args_is_help=True
)
WIDTH = 96


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(story_app, name="story")


@story_app.command("list")
def list_() -> None:
    """List the stories that ship."""
    from chaos.cli.machine import list_ as list_kind

    list_kind("stories")


@story_app.command()
def play(
    name: Annotated[str, typer.Argument(help="A shipped story's name, or a file.")],
    seed: Annotated[int | None, typer.Option(help="Instead of the experiment's own.")] = None,
    answers: Annotated[
        str, typer.Option(help="Probabilities in the questions' order, such as 0.8,0.3.")
    ] = "",
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Replay the runs that ship; needs no engine.")
    ] = False,
    out_: Annotated[Path, typer.Option("--out", help="Folder that holds the runs.")] = Path("runs"),
) -> None:
    """Tell the story on real databases: predictions first, then the reveal and the fix."""
    from chaos.spec.files import load_story

    loaded = load_story(name)
    story = loaded.story
    given = _parse(answers, len(story.questions)) if answers else None
    _heading(f"{story.title} ({story.year})")
    _prose(story.about)
    for fact in story.facts:
        _prose(f"· {fact.date + ': ' if fact.date else ''}{fact.text}")
    _prose(f"Source: {story.source.title}, {story.source.url}")
    _prose(f"Time: {story.compression}")
    started = datetime.now(UTC)
    runs = {
        "run": _the_run(loaded, loaded.experiment, seed, out_, recorded, told=True),
        "fix": _the_run(loaded, loaded.fix, seed, out_, recorded, told=False),
    }
    folder = out_ / f"story-{story.name}" / started.strftime("%Y%m%dT%H%M%S.%fZ")
    folder.mkdir(parents=True)
    _heading("Before you see what came of it")
    _predict(loaded, folder, given)
    _reveal(loaded, folder, runs)


def _the_run(
    loaded: LoadedStory,
    experiment: LoadedExperiment,
    seed: int | None,
    out_dir: Path,
    recorded: bool,
    *,
    told: bool,
) -> tuple[Path, dict[str, Any]]:
    """One of the two runs, from the shelf or for real; beats are told on the replay's clock."""
    from chaos.cli.runs import judge_run, run_one

    name = experiment.experiment.name
    beats = loaded.story.beats if told else ()
    if recorded:
        from chaos import paths
        from chaos.record.rundir import read_json

        path = paths.recorded() / name
        if not path.is_dir():
            raise AftershockError(
                f"expected a recorded run of {name}, found none",
                fix="play without --recorded: it runs on a container engine",
            )
        for beat in beats:
            _prose(f"[{beat.at_ns / 1e9:5.1f} s] {beat.say}")
        stored = path / "results.json"
        return path, read_json(stored) if stored.exists() else judge_run(path)
    say(f"running {name} on real databases …")
    stop = threading.Event()
    teller = threading.Thread(target=_tell, args=(beats, out_dir / name, stop), daemon=True)
    teller.start()
    try:
        return run_one(experiment, seed, out_dir, quiet=not told)
    finally:
        stop.set()


def _tell(beats: Any, folder: Path, stop: threading.Event) -> None:
    """Say each beat at its time, once the newest run in `folder` has reached t = 0."""
    from chaos.record.rundir import read_json

    born, zero = time.time(), None
    while zero is None and not stop.wait(0.2):
        for path in folder.glob("*/run.json"):
            if path.stat().st_ctime < born:
                continue
            try:
                phases = read_json(path).get("phases", [])
            except AftershockError:
                continue  # being replaced at this very moment
            if any(phase.get("name") == "load" for phase in phases):
                zero = time.monotonic()
    for beat in beats:
        if zero is None or stop.wait(max(0.0, zero + beat.at_ns / 1e9 - time.monotonic())):
            return
        say(f"[{beat.at_ns / 1e9:5.1f} s] {beat.say}")


def _predict(loaded: LoadedStory, folder: Path, given: list[float] | None) -> None:
    """Ask for a probability for each question, and lock them."""
    from analysis.predictions import lock

    answers = {}
    for k, question in enumerate(loaded.story.questions):
        about = "as it happened" if question.about == "run" else "with the fix"
        _prose(f"{k + 1}. ({about}) {question.ask}")
        answers[question.id] = given[k] if given else _ask()
        if given:
            _prose(f"   your answer: {given[k]:.0%}")
    locked = lock(folder, answers)
    _prose(
        f"Locked in {folder / 'predictions.json'}: "
        + ", ".join(f"{a.question} {a.probability:.0%} ({a.sha256[:10]}…)" for a in locked)
    )


def _ask() -> float:
    while True:
        try:
            text = typer.prompt("   probability that the answer is yes (0–100 %)", err=True)
        except typer.Abort:
            raise UsageError(
                "expected a probability for each question, got none",
                fix="answer at the prompt, or give --answers 0.8,0.3",
            ) from None
        try:
            return _probability(text.rstrip("% "), percent=True)
        except UsageError as error:
            err.print(f"   {error.what}", markup=False)


def _parse(text: str, count: int) -> list[float]:
    parts = [part for part in text.split(",") if part.strip()]
    if len(parts) != count:
        raise UsageError(
            f"expected {count} probabilities, got {len(parts)}: {text!r}",
            fix="one for each question, such as --answers 0.8,0.3",
        )
    return [_probability(part, percent=False) for part in parts]


def _probability(text: str, *, percent: bool) -> float:
    try:
        value = float(text) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"expected {'0 to 100' if percent else '0 to 1'}, got {text!r}")
    return value


def _reveal(loaded: LoadedStory, folder: Path, runs: dict[str, tuple[Path, Any]]) -> None:
    from analysis.predictions import mean_brier, read_locked, score

    story = loaded.story
    results = {which: found for which, (_, found) in runs.items()}
    _heading("As it happened")
    verdict_line(results["run"])
    _prose(story.reveal)
    _heading("With the fix")
    verdict_line(results["fix"])
    _prose(story.fix_text)
    _heading("Your predictions")
    questions = [question.model_dump(mode="json") for question in story.questions]
    scored = score(read_locked(folder), questions, results)
    for one, question in zip(scored, story.questions, strict=True):
        came = {None: "cannot be told from this run", True: "yes", False: "no"}[one.happened]
        points = "" if one.brier is None else f", Brier score {one.brier:.3f}"
        _prose(f"{question.ask} — {came}; you said {one.probability:.0%}{points}")
        _prose(f"   {question.explain}")
    mean = mean_brier(scored)
    if mean is not None:
        out.print(f"mean Brier score {mean:.3f}  (0 is perfect, 0.25 is always saying 50 %)")
    _prose(f"Fidelity: {story.fidelity}")
    first, second = (runs[which][0] for which in ("run", "fix"))
    out.print(f"next: aftershock compare {first} {second}", markup=False)


def _heading(text: str) -> None:
    out.print(f"\n{text}\n{'─' * min(len(text), WIDTH)}", markup=False)


def _prose(text: str) -> None:
    import textwrap

    indent = "  " if text.startswith(("·", "   ")) else ""
    out.print(textwrap.fill(text.rstrip(), WIDTH, subsequent_indent=indent), markup=False)
