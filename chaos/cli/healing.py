"""The command that heals what a dead controller left: heal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaos.cli.console import out, plain, print_json, say
from chaos.cli.machine import Json, connect
from chaos.cli.runs import Out
from chaos.errors import EXIT_INTERNAL, UsageError

if TYPE_CHECKING:
    from chaos.healing.heal import Healing

BY = "aftershock heal"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("heal")(heal)


def heal(
    run: Annotated[
        str | None, typer.Argument(help="A run directory or a run's id, as `ps` shows it.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Also runs that ended without proving a fault healed.")
    ] = False,
    out_: Out = Path("runs"),
    json: Json = False,
) -> None:
    """End the faults that a dead controller left, from its journal alone, and prove it.

    Without RUN: every run whose controller died, in the folder of runs or on the engine. A run that
    still goes on is refused. Healing twice does no harm.

    Exit code: 0 all is healed (or nothing was open), 2 refused, 70 something is not proven healed.
    """
    from chaos.healing import find
    from chaos.healing.heal import heal_run

    if run is not None and all_:
        raise UsageError("expected a run or --all, got both", fix="leave one of them out")
    client = connect()
    paths = (
        find.wanting(out_, client, ended=all_) if run is None else [find.named(run, out_, client)]
    )
    found = []
    for path in paths:
        report = heal_run(path, client, BY, say)
        found.append(report)
        if json:
            print_json(report.to_json())
        else:
            _told(report)
        _judge_again(path, report)
    if not found and not json:
        out.print("no run has faults to heal")
    if not all(report.healed for report in found):
        raise typer.Exit(EXIT_INTERNAL)


def _told(report: Healing) -> None:
    if not report.faults:
        out.print(f"nothing to heal in {plain(report.path)}", markup=False)
        return
    out.print(f"{plain(report.path)} (run {report.run_id})", markup=False)
    for fault in report.faults:
        words = {"confirmed": "healed", "removed": "healed", "mismatch": "NOT healed"}
        why = fault.why or "; ".join(fault.undone) or "the agents had undone it"
        said = f"  {fault.id} ({fault.fault}) {words[fault.outcome]}: {why}"
        out.print(plain(said), markup=False)
    for name, proof in report.nodes.items():
        answer = (
            f"answers after {proof.ms:.1f} ms" if proof.request == "answered" else proof.request
        )
        held = "; ".join(f"{kind} {', '.join(what)}" for kind, what in proof.held.items())
        told = ", ".join(filter(None, [answer, held or "nothing in force"]))
        out.print(plain(f"  {name}: {told}"), markup=False)
    if not report.healed:
        out.print("  next: `aftershock down --all` removes the containers, and all with them")


def _judge_again(path: Path, report: Healing) -> None:
    """A verdict that was given before says what is known now."""
    from chaos.cli.runs import judge_run
    from chaos.record.rundir import RESULTS

    if report.faults and (path / RESULTS).exists():
        judge_run(path)
