"""Commands about runs: run, check, show, runs, compare."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from chaos.cli.console import VERDICT_MARK, err, image_progress, print_json, say, table
from chaos.cli.machine import Json, connect
from chaos.cli.quick import arrow_without_pandas
from chaos.cli.report import last_lines
from chaos.errors import EngineError, RecordError

if TYPE_CHECKING:
    from chaos.spec.files import LoadedExperiment

Out = Annotated[Path, typer.Option("--out", help="Folder that holds the runs.")]


RUN_HELP = "A run directory, or an experiment's name for its newest run."
PATH_HELP = "A run directory, an experiment's name for its newest run, or a history file."


def find_run(text: str) -> Path:
    """The run a user means: a path, or the newest (else the recorded) run of an experiment."""
    from chaos import paths
    from chaos.record.reader import find_runs

    path = Path(text)
    if path.exists() or "/" in text:
        return path
    own = find_runs(Path("runs") / text)
    recorded = paths.recorded() / text
    return own[0] if own else recorded if recorded.is_dir() else path


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (run, show, runs, compare):
        app.command(command.__name__, cls=HtmlAlone if command is show else None)(command)


class HtmlAlone(TyperCommand):
    """`--html` may stand alone: what follows it is its file only if that ends in .html."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a lonely `--html` an empty file."""
        given = list(args)
        for at in reversed([at for at, word in enumerate(given) if word == "--html"]):
            if at + 1 == len(given) or not given[at + 1].endswith((".html", ".htm")):
                given.insert(at + 1, "")
        return super().parse_args(ctx, given)


def run(
    experiment: Annotated[
        str,
        typer.Argument(help="A shipped experiment's name, a file, or a run directory to do again."),
    ],
    seed: Annotated[int | None, typer.Option(help="Instead of the experiment's own.")] = None,
    out_: Out = Path("runs"),
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path=value; topology.… for the topology.")
    ] = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run an experiment on real databases and judge it.

    Exit code: 0 valid, 1 invalid, 3 unknown, 2 usage, 70 something else failed, 130 interrupted.
    """
    from chaos.spec.files import load_experiment

    loaded = load_experiment(experiment, set_ or ())
    path, results = run_one(loaded, seed, out_, quiet)
    if json:
        print_json({**results, "path": str(path)})
    else:
        last_lines(path, results)
    raise typer.Exit(exit_code([results]))


def run_one(
    loaded: LoadedExperiment, seed: int | None, out_dir: Path, quiet: bool
) -> tuple[Path, dict[str, Any]]:
    """Run, judge, write results.json; the run directory and the results."""
    from chaos.cli.live import LiveWatch
    from chaos.cli.schedule import drawn_lines, hold_against_host
    from chaos.runner import Order, images_for
    from chaos.runner import run as run_experiment
    from chaos.runtime import engine
    from chaos.spec.files import drawn

    seed = loaded.experiment.seed if seed is None else seed
    loaded = drawn(loaded, seed)
    if not quiet:
        for note in loaded.notes:
            err.print(note.render(), markup=False)
        for line in drawn_lines(loaded, seed):
            err.print(line, markup=False)
    client = connect(start=True)
    remove_leftovers(client)
    images = images_for(loaded.topology, client, image_progress)
    ladders = hold_against_host(loaded, client, images["agent"])
    order = Order(
        loaded=loaded,
        seed=seed,
        out=out_dir,
        command=shlex.join(["aftershock", *sys.argv[1:]]),
        images=images,
        client=client,
        capabilities={**engine.capabilities(client), "faults": ladders},
    )
    with LiveWatch(loaded.experiment.name, order.seed, quiet=quiet) as watch:
        path = run_experiment(order, watch)
    return path, judge_run(path)


def judge_run(path: Path) -> dict[str, Any]:
    """Judge a run directory and keep the results in it."""
    from analysis.verdict import judge, write_results
    from chaos.record.reader import open_run
    from chaos.record.rundir import PROOFS

    data = open_run(path)
    results = judge(data, proofs=data.path / PROOFS)
    write_results(data, results)
    return results


def remove_leftovers(client: Any) -> None:
    """What crashed controllers left behind goes before anything new starts. What the engine does
    not let go of (a network that nothing is in, in Docker 20.10) is in nobody's way."""
    from chaos.runtime import docker

    for run_id, labels in docker.leftovers(client).items():
        topology = labels.get(docker.LABEL_TOPOLOGY, "?")
        try:
            gone = docker.remove_run(client, run_id)
        except EngineError as error:
            say(f"not removed of {topology} ({run_id}): {error.what}")
            continue
        counts = ", ".join(f"{n} {kind}" for kind, n in gone.items() if n)
        say(f"removed what an ended controller left of {topology} ({run_id}): {counts}")


def exit_code(results: list[dict[str, Any]]) -> int:
    """The worst verdict's: invalid 1, unknown 3, valid 0."""
    from analysis import verdict

    return verdict.exit_code(verdict.worst(r["verdict"] for r in results))


def show(
    path: Annotated[str, typer.Argument(help=PATH_HELP)] = "runs/latest",
    faults: Annotated[bool, typer.Option("--faults", help="Only the faults, a row each.")] = False,
    anomaly: Annotated[
        str | None, typer.Option(help="One anomaly, by number or name, drawn as lanes.")
    ] = None,
    html: Annotated[
        str | None, typer.Option(metavar="[FILE.html]", help="The anomaly as a page to look into.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what a run found: verdict, anomalies, faults, availability, cost; or one anomaly."""
    arrow_without_pandas()
    from analysis.formats import open_history
    from chaos.cli.fault_table import fault_table
    from chaos.cli.report import full_report
    from chaos.record.rundir import RESULTS, read_json

    data = open_history(find_run(path))
    if faults:
        rows = data.faults.to_pylist()
        if json:
            for row in rows:
                print_json(row)
        else:
            fault_table(rows)
        return
    stored = data.path / RESULTS
    if stored.exists():
        results = read_json(stored)
    else:
        from analysis.verdict import judge

        results = judge(data)
    if anomaly is not None or html is not None:
        from chaos.cli.pictures import draw

        draw(data, results, path, anomaly or "1", html, json=json)
    elif json:
        print_json(results)
    else:
        full_report(data, results)


def runs(
    out_: Out = Path("runs"),
    json: Json = False,
) -> None:
    """List runs, newest first; recorded ones that ship are listed after."""
    from chaos import paths
    from chaos.record.reader import find_runs, run_summary
    from chaos.record.rundir import is_imported

    rows = []
    for folder in (out_, paths.recorded()):
        for path in find_runs(folder):
            try:
                summary = run_summary(path)
            except RecordError as error:
                rows.append((path, "unreadable", "", "", error.what))
                continue
            results = summary.results or {}
            verdict = results.get("verdict", "")
            state = verdict if verdict else summary.meta["state"]
            rows.append(
                (
                    path,
                    f"{VERDICT_MARK.get(verdict, '·')} {state}",
                    "" if is_imported(summary.meta) else summary.meta["seed"],
                    summary.meta["started_utc"],
                    results.get("summary", ""),
                )
            )
    if json:
        for path, state, seed, started, text in rows:
            print_json(
                {
                    "path": str(path),
                    "state": state[2:],
                    "seed": seed,
                    "started_utc": started,
                    "summary": text,
                }
            )
    else:
        table(("run", "state", "seed", "started", "summary"), rows)


def compare(
    one: Annotated[str, typer.Argument(help=f"The baseline: {RUN_HELP}")],
    other: Annotated[str, typer.Argument(help="The run to hold against it.")],
    faults_a_month: Annotated[float, typer.Option(help="How often such a fault happens.")] = 1.0,
    downtime_usd_per_hour: Annotated[float, typer.Option(help="What an hour down costs.")] = 0.0,
    json: Json = False,
) -> None:
    """Hold two runs side by side, and say what a lost write must cost for the second to win."""
    from analysis.compare import Assumptions
    from analysis.compare import compare as hold
    from chaos.cli.report import comparison_report
    from chaos.record.reader import run_summary

    summaries = []
    for path in map(find_run, (one, other)):
        summary = run_summary(path)
        if not summary.results:
            judge_run(path)
            summary = run_summary(path)
        summaries.append(summary)
    comparison = hold(
        summaries,
        Assumptions(faults_per_month=faults_a_month, downtime_usd_per_hour=downtime_usd_per_hour),
    )
    if json:
        print_json(comparison.to_dict())
    else:
        comparison_report(comparison)
