"""Commands about running topologies: up, ps, logs, exec, down."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaos.cli.console import image_progress, out, print_json, say, table
from chaos.cli.machine import Json, connect
from chaos.cli.runs import remove_leftovers
from chaos.errors import UsageError

if TYPE_CHECKING:
    from docker import DockerClient

    from chaos.runtime.attached import AttachedCluster
    from chaos.runtime.cluster import RunningCluster
    from chaos.spec.topology import Topology as Spec

Topology = Annotated[
    str | None, typer.Option("--topology", "-t", help="Which, if several run (or a run's id).")
]


READY = {True: "yes", False: "no", None: "unknown"}


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (up, ps, logs, down):
        app.command(command.__name__)(command)
    app.command("exec", context_settings={"ignore_unknown_options": True})(execute)


def _prepared(spec: Spec, client: DockerClient, run_id: str, owner: str) -> RunningCluster:
    """The topology, its images there and not started yet; what dead runs left is gone."""
    from chaos.runner import images_for
    from chaos.runtime.cluster import Plan, RunningCluster

    remove_leftovers(client)
    images = images_for(spec, client, image_progress)
    return RunningCluster(client, Plan(run_id=run_id, topology=spec, images=images, owner=owner))


@contextlib.contextmanager
def started(spec: Spec) -> Iterator[RunningCluster]:
    """The topology, started for this alone and removed afterwards."""
    import secrets

    from chaos.runtime.docker import owner

    cluster = _prepared(spec, connect(start=True), secrets.token_hex(4), owner())
    try:
        cluster.up(say)
        yield cluster
    finally:
        cluster.down()


def up(
    topology: Annotated[
        str | None, typer.Argument(help="A shipped topology's name, or a file.")
    ] = None,
    compose: Annotated[
        Path | None, typer.Option(help="A Compose file, instead of a topology.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value")] = None,
) -> None:
    """Start a topology and leave it running, without clients or faults."""
    import secrets

    from chaos.runtime.docker import KEEP
    from chaos.spec.files import load_compose, load_topology

    if (topology is None) == (compose is None):
        raise UsageError(
            "expected a topology, or --compose with a Compose file, got "
            + ("neither" if topology is None else "both"),
            fix="such as `aftershock up --compose docker-compose.yml`",
        )
    sets = set_ or ()
    loaded = load_compose(compose, sets) if compose else load_topology(topology or "", sets)
    for note in loaded.notes:
        say(note.render())
    spec = loaded.topology
    client = connect(start=True)
    run_id = secrets.token_hex(4)
    cluster = _prepared(spec, client, run_id, KEEP)
    begun = time.monotonic()
    try:
        cluster.up(say)
    except BaseException:
        cluster.down()
        raise
    cluster.hang_up()
    out.print(f"{spec.name} is up after {time.monotonic() - begun:.1f} s (run {run_id})")
    _print_states([c for c in _attached(client) if c.run == run_id])
    node = next(iter(spec.nodes))
    out.print(f"next: aftershock exec {node} -- …   aftershock logs {node}   aftershock down")


def ps(json: Json = False) -> None:
    """Show the nodes of every running topology: zone, role as it claims, address, ready."""
    _print_states(_attached(connect()), json)


def logs(
    node: Annotated[str, typer.Argument()],
    topology: Topology = None,
    tail: Annotated[int, typer.Option(help="How many lines; 0 for all.")] = 100,
) -> None:
    """Print what a node's database has written."""
    from chaos.runtime.attached import pick
    from chaos.runtime.docker import engine_errors

    containers = pick(_attached(connect()), topology).containers(node)
    for container in containers:
        if len(containers) > 1:
            out.print(f"==> {container.name} <==", markup=False)
        with engine_errors(f"reading the log of {container.name}"):
            text = container.logs(tail=tail or "all").decode(errors="replace")
        out.print(text, markup=False, end="")


def execute(
    node: Annotated[str, typer.Argument()],
    command: Annotated[list[str], typer.Argument(help="After --: what to run.")],
    topology: Topology = None,
) -> None:
    """Run a command in a node's database container."""
    from chaos.runtime.attached import pick
    from chaos.runtime.docker import engine_errors

    cluster = pick(_attached(connect()), topology)
    container = cluster.containers(node)[0]
    _say_strange([cluster])
    with engine_errors(f"running {command[0]} on {node}"):
        code, output = container.exec_run(command)
    out.print(output.decode(errors="replace"), markup=False, end="")
    raise typer.Exit(code)


def down(
    topology: Topology = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Everything of Aftershock, runs in progress too.")
    ] = False,
) -> None:
    """Remove the topology that `up` left, and what ended controllers left; with --all everything.

    A run in progress is only removed when it is named, or with --all.
    """
    from chaos.runtime import docker
    from chaos.runtime.attached import pick

    client = connect()
    runs = docker.runs(client)
    if all_:
        doomed = list(runs)
    elif topology in runs:  # whoever started it
        doomed = [topology]
    elif topology is not None:
        doomed = [pick(_attached(client), topology).run]
    else:
        kept = [cluster for cluster in _attached(client) if cluster.state == "kept"]
        doomed = [*docker.leftovers(client), *([pick(kept, None).run] if kept else [])]
    total: dict[str, int] = {"containers": 0, "networks": 0, "volumes": 0}
    for run_id in doomed:
        for kind, count in docker.remove_run(client, run_id).items():
            total[kind] += count
    out.print("removed " + ", ".join(f"{count} {kind}" for kind, count in total.items()))


def _attached(client: Any) -> list[AttachedCluster]:
    from chaos.runtime.attached import attach

    return attach(client)


def _print_states(clusters: list[AttachedCluster], json: bool = False) -> None:
    rows = [row for cluster in clusters for row in cluster.states()]
    _say_strange(clusters)
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    grouped = ["group"] if any(r.group for r in rows) else []
    table(
        ("topology", *grouped, "node", "zone", "role", "address", "ready", "state", "run"),
        [
            (
                r.topology,
                *([r.group] if grouped else []),
                r.node,
                r.zone,
                r.role,
                r.address,
                READY[r.ready],
                r.state,
                r.run,
            )
            for r in rows
        ],
    )
    if any(r.state == "leftover" for r in rows):
        say("some were left by a controller that ended; `aftershock down --all` removes them")


def _say_strange(clusters: list[AttachedCluster]) -> None:
    """Why some nodes cannot be asked who they are."""
    for cluster in clusters:
        for why in cluster.strange().values():
            say(
                f"{cluster.topology} ({cluster.run}): {why}, so its nodes are not asked for their"
                " roles; `logs`, `exec` and `down` need no more than their containers"
            )
