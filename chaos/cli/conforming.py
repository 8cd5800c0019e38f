"""`aftershock conformance`: whether a system does what every system must, and what it lacks."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from chaos.cli.clusters import started
from chaos.cli.console import out, print_json
from chaos.cli.machine import Json
from chaos.errors import EXIT_INVALID

if TYPE_CHECKING:
    from chaos.conformance.findings import Finding

MARKS = {"passed": "✓", "failed": "✗", "missing": "✗", "absent": "–"}


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command("conformance")(conformance)


def conformance(
    topology: Annotated[str, typer.Argument(help="A shipped topology's name, or a file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value")] = None,
    json: Json = False,
) -> None:
    """Check that a system does what every system must: clients, roles, failover, rejoining.

    The topology is started for it and removed afterwards. Exit code 1: something failed or is
    missing; what is absent need not be there.
    """
    from chaos.conformance.suite import conform
    from chaos.spec.files import load_topology

    spec = load_topology(topology, set_ or ()).topology
    findings: list[Finding] = []
    with started(spec) as cluster:
        group = cluster.groups[spec.front()[0]]
        zone = next(iter(spec.clients))
        for finding in conform(group.system, partial(group.client_spec, zone), group):
            findings.append(finding)
            if not json:
                _say(finding)
    bad = [finding for finding in findings if finding.outcome in ("failed", "missing")]
    if json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        passed = sum(finding.outcome == "passed" for finding in findings)
        out.print(f"{group.system.name}: {passed} passed, {len(bad)} failed or missing")
    raise typer.Exit(EXIT_INVALID if bad else 0)


def _say(finding: Finding) -> None:
    why = f": {finding.why}" if finding.why else ""
    text = f"{MARKS[finding.outcome]} {finding.name}{why or '  ' + finding.about}"
    out.print(text, markup=False, soft_wrap=True)
