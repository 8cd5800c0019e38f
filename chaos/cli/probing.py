"""`aftershock probe-isolation`: what each isolation level of a live SQL database allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaos.cli.clusters import started
from chaos.cli.console import out, print_json, say, table
from chaos.cli.machine import Json
from chaos.errors import UsageError

if TYPE_CHECKING:
    from chaos.isolation.play import Outcome
    from chaos.spec.topology import Topology
    from chaos.systems.base import System
    from chaos.systems.sql import SpeaksSql


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command("probe-isolation")(probe_isolation)


def probe_isolation(
    topology: Annotated[str, typer.Argument(help="A shipped topology's name, or a file.")],
    level: Annotated[
        list[str] | None, typer.Option("--level", help="Only this level; may be repeated.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value")] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Show every statement.")] = False,
    json: Json = False,
) -> None:
    """Try ten classic anomalies on a live SQL database at each isolation level.

    The topology is started for it and removed afterwards.
    """
    from chaos.isolation.play import probe
    from chaos.spec.files import load_topology

    spec = load_topology(topology, set_ or ()).topology
    name, system = _speaking(spec)
    levels = _levels(system, level or ())
    with started(spec) as cluster:
        outcomes = []
        for outcome in probe(_speaker(system), cluster.groups[name], levels):
            outcomes.append(outcome)
            say(f"{outcome.level:<16} {outcome.probe:<9} {outcome.verdict}")
    if json:
        print_json(_as_json(spec, system, outcomes))
        return
    if steps:
        _print_steps(outcomes)
    _print_table(outcomes, levels)


def _speaking(spec: Topology) -> tuple[str, System]:
    """The group that has SQL transactions, and its system; else the first, to be refused."""
    from chaos.registry import SYSTEMS
    from chaos.systems.sql import SpeaksSql

    found = [(name, SYSTEMS.get(group.system)) for name, group in spec.each_group().items()]
    able = [(name, system) for name, system in found if isinstance(system, SpeaksSql)]
    return (able or found)[0]


def _speaker(system: System) -> SpeaksSql:
    from chaos.registry import SYSTEMS
    from chaos.systems.sql import SpeaksSql

    if isinstance(system, SpeaksSql):
        return system
    able = [name for name in SYSTEMS.names() if isinstance(SYSTEMS.get(name), SpeaksSql)]
    raise UsageError(
        f"{system.name} has no SQL transactions to probe", fix=f"those that have: {', '.join(able)}"
    )


def _levels(system: System, asked: Sequence[str]) -> list[str]:
    from chaos.registry import did_you_mean

    known = list(_speaker(system).levels)
    for name in asked:
        if name not in known:
            raise UsageError(
                f"expected a level of {system.name} ({', '.join(known)}), got `{name}`",
                fix=did_you_mean(name, known),
            )
    return [name for name in known if name in asked] or known


def _print_table(outcomes: Sequence[Outcome], levels: Sequence[str]) -> None:
    """A row for each phenomenon, and for each what the levels did about it."""
    names = list(dict.fromkeys(outcome.probe for outcome in outcomes))
    found = {(outcome.probe, outcome.level): outcome for outcome in outcomes}
    table(
        ("phenomenon", *levels, ""),
        [
            (name, *(found[name, level].verdict for level in levels), _about(outcomes, name))
            for name in names
        ],
    )
    for level in levels:
        out.print(f"\n{level}", style="bold")
        table(
            ("", "", ""),
            [(o.probe, o.verdict, o.how) for o in outcomes if o.level == level],
        )


def _about(outcomes: Sequence[Outcome], name: str) -> str:
    return next(outcome.about for outcome in outcomes if outcome.probe == name)


def _print_steps(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        for script, trace in outcome.scripts:
            out.print(f"\n{outcome.probe} {script.name} at {outcome.level}", style="bold")
            for line in trace.lines:
                out.print(f"  {line}", markup=False)


def _as_json(spec: Topology, system: System, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "version": 1,
        "topology": spec.name,
        "system": system.name,
        "probes": [
            {
                "probe": outcome.probe,
                "about": outcome.about,
                "level": outcome.level,
                "verdict": outcome.verdict,
                "how": outcome.how,
                "scripts": [
                    {
                        "name": script.name,
                        "found": script.found(trace),
                        "waited": trace.waited,
                        "refused": trace.refused,
                        "steps": trace.lines,
                    }
                    for script, trace in outcome.scripts
                ],
            }
            for outcome in outcomes
        ],
    }
