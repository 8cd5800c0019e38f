"""Commands about histories, of our runs and of other tools: check."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chaos.cli.console import print_json
from chaos.cli.limited import OutOfTime, within
from chaos.cli.machine import Json
from chaos.cli.quick import arrow_without_pandas
from chaos.cli.report import last_lines
from chaos.cli.runs import PATH_HELP, exit_code, find_run
from chaos.errors import AftershockError, UsageError

FormatName = Annotated[
    str | None, typer.Option("--format", help="Instead of recognising it by its content.")
]
Initial = Annotated[
    str | None, typer.Option("--initial", help="A register's initial value, as JSON.")
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="FILE.py:NAME", help="A model of your own; its file is run."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (check,):
        app.command(command.__name__)(command)


def check(
    paths: Annotated[list[str], typer.Argument(help=PATH_HELP)],
    property_: Annotated[
        list[str] | None, typer.Option("--property", help="Instead of the history's own.")
    ] = None,
    model: Models = None,
    format_: FormatName = None,
    initial: Initial = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Search steps for each property.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds for each path.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Where certificates go, instead of the run directory.")
    ] = None,
    json: Json = False,
) -> None:
    """Judge runs and histories, and keep a certificate of each verdict.

    With --json: one object a line, one line a path. The exit code is the worst verdict's.
    """
    arrow_without_pandas()
    from analysis.checkers.base import DEFAULT_BUDGET
    from analysis.verdict import Limits

    own = _own_checkers(model)
    limits = Limits(budget=budget or DEFAULT_BUDGET, time_limit_s=time_limit)
    value = read_initial(initial)
    found = []
    for path in paths:
        try:
            results = _in_time(
                lambda: _judged(
                    find_run(path),  # noqa: B023 - called at once
                    property_,
                    format_,
                    value,
                    limits=limits,
                    proof=proof,
                    own=own,
                ),
                time_limit,
                (*(property_ or ()), *own),
            )
        except AftershockError as error:
            if not json:
                raise
            results = {"version": 1, "verdict": "unknown", "summary": error.what, "checks": []}
        results["path"] = path
        found.append(results)
        if json:
            print_json(results)
        else:
            last_lines(Path(path), results)
    raise typer.Exit(exit_code(found))


def _in_time(
    work: Callable[[], dict[str, Any]], limit_s: float | None, properties: Sequence[str]
) -> dict[str, Any]:
    """`work()`; after `limit_s` seconds what is known by then: nothing."""
    if limit_s is None:
        return work()
    try:
        return within(limit_s, work)
    except OutOfTime:
        why = f"not decided: the time limit of {limit_s:g} s ran out"
        undecided: dict[str, Any] = {
            "verdict": "unknown",
            "why": why,
            "anomalies": [],
            "proof": None,
        }
        figures = {"operations": 0, "seconds": limit_s, "steps": 0}
        return {
            "version": 1,
            "verdict": "unknown",
            "summary": f"Unknown: {why}.",
            "checks": [{"property": name, **undecided, **figures} for name in properties],
            "counts": {},
            "faults": {},
            "availability": {},
            "cost": {},
            "notes": [],
        }


def _own_checkers(named: Sequence[str] | None) -> dict[str, Any]:
    """Checkers of the user's own models, by property."""
    if not named:
        return {}
    from analysis.checkers.own_model import checker

    return {each.property: checker(each) for each in read_models(named)}


def read_models(named: Sequence[str] | None) -> list[Any]:
    """The models of `--model`; UsageError when there is none, or its name is taken."""
    if not named:
        return []
    from analysis.checkers import CHECKERS
    from analysis.checkers.own_model import load

    models = [load(each) for each in named]
    taken = set(CHECKERS)
    for each in models:
        if each.property in taken:
            raise UsageError(f"expected a model of another name: {each.property!r} is a property")
        taken.add(each.property)
    return models


def read_initial(text: str | None) -> Any:
    """`--initial` as a value; UsageError when it is no JSON."""
    if text is None:
        return None
    try:
        return json_text.loads(text)
    except ValueError as error:
        raise UsageError(
            f"expected --initial to be a JSON value, got {text!r}: {error}",
            fix="numbers as they are, a text in quotes: --initial '\"a\"'",
        ) from None


def _judged(
    path: Path,
    properties: list[str] | None,
    format_name: str | None,
    initial: Any,
    *,
    limits: Any,
    proof: Path | None,
    own: Any,
) -> dict[str, Any]:
    from analysis.certificates import folder_of
    from analysis.formats import open_history
    from analysis.verdict import judge

    data = open_history(path, format_name, initial)
    folder = folder_of(data, proof)
    return judge(data, properties or None, limits=limits, proofs=folder, own=own)
