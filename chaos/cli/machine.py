"""Commands about this machine and what ships: doctor, list, validate, schema, images, dashboard."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from chaos.cli.console import err, image_progress, out, print_json, say, table
from chaos.errors import EXIT_USAGE, UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KINDS = (
    "systems",
    "workloads",
    "faults",
    "topologies",
    "experiments",
    "stories",
    "prices",
    "properties",
    "formats",
)

images_app = typer.Typer(help="Container images: build, list, prune.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (doctor, list_, validate, schema, dashboard):
        app.command(command.__name__.rstrip("_"))(command)
    app.add_typer(images_app, name="images")


def connect(start: bool = False) -> Any:
    """The engine's client; EngineError that says what to do when none answers.

    `start`: one is installed and started where none answers and we may.
    """
    from chaos.runtime import engine

    return engine.client(engine.ensure(say) if start else engine.require())


def doctor(json: Json = False) -> None:
    """Say what this machine can do: engine, images, each family of faults; and what is missing."""
    from chaos.faults import host
    from chaos.runtime import doctor as examine

    findings = [*examine.examine(), *host.examine()]
    if json:
        print_json([dataclasses.asdict(f) for f in findings])
    else:
        for finding in findings:
            mark = "ok" if finding.ok else "--"
            out.print(f"{mark}  {finding.what}: {finding.found}", markup=False)
            if finding.fix:
                out.print(f"    → {finding.fix}", markup=False)
    if not all(f.ok for f in findings if f.needed):
        raise typer.Exit(1)


def list_(kind: Annotated[str, typer.Argument(help=" | ".join(KINDS))], json: Json = False) -> None:
    """List what ships: systems, workloads, faults, topologies, experiments, stories, …"""
    from chaos.catalog import catalog, topologies

    if kind not in KINDS:
        raise UsageError(f"expected one of {', '.join(KINDS)}; got {kind!r}")
    if kind == "topologies":
        found = topologies()
        if json:
            print_json(found)
        else:
            columns = ("system", "nodes", "name", "about")
            table(
                ("system", "nodes", "name", "what it is"),
                [[topology[column] for column in columns] for topology in found],
            )
        return
    if kind == "prices":
        from analysis.cost.book import books

        rows = [(book.name, book.title) for book in books()]
    elif kind == "properties":
        from analysis.checkers import CHECKERS

        rows = [
            (name, (check.__doc__ or "").strip().splitlines()[0])
            for name, check in CHECKERS.items()
        ]
    elif kind == "formats":
        from analysis.formats import ABOUT

        rows = list(ABOUT.items())
    else:
        rows = catalog(kind)
    if json:
        print_json([{"name": name, "about": about} for name, about in rows])
    else:
        table(("name", "what it is"), rows)


def validate(files: Annotated[list[str], typer.Argument()], json: Json = False) -> None:
    """Check topology, experiment, story and track-record files; start nothing."""
    from chaos.spec.validate import validate_files

    findings = validate_files(files)
    errors = [f for f in findings if f.severity == "error"]
    if json:
        print_json([dataclasses.asdict(f) for f in findings])
    else:
        for finding in findings:
            err.print(finding.render(), markup=False)
        if not errors:
            for line in _drawn(files):
                out.print(line, markup=False)
            out.print(f"{len(files)} file{'s' if len(files) != 1 else ''} checked: right")
    if errors:
        raise typer.Exit(EXIT_USAGE)


def _drawn(files: list[str]) -> Iterator[str]:
    """The schedules of those files that draw one, as their own seed draws it."""
    from chaos.cli.schedule import drawn_lines
    from chaos.errors import SpecError
    from chaos.spec.files import drawn, load_experiment

    for file in files:
        with contextlib.suppress(SpecError):  # not an experiment
            loaded = load_experiment(file)
            seed = loaded.experiment.seed
            yield from drawn_lines(drawn(loaded, seed), seed)


def schema(
    to: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("schemas"),
) -> None:
    """Write the JSON Schemas of topology, experiment, story and track-record files."""
    from chaos.spec.schema import write_schemas

    for path in write_schemas(to):
        out.print(str(path), markup=False)


@images_app.command("build")
def images_build(
    names: Annotated[list[str] | None, typer.Argument(help="All, if none is named.")] = None,
    fresh: Annotated[bool, typer.Option(help="Build again what is there already.")] = False,
) -> None:
    """Have the images: built only where their content is not there yet."""
    from chaos.runtime import images

    known = images.names()
    for name in names or []:
        if name not in known:
            raise UsageError(f"expected an image of {', '.join(known)}; got {name!r}")
    client = connect(start=True)
    made = images.build(names or (), client=client, progress=image_progress, fresh=fresh)
    table(
        ("image", "id"), [(images.reference(n), i.partition(":")[2][:12]) for n, i in made.items()]
    )


@images_app.command("list")
def images_list(json: Json = False) -> None:
    """Images of ours on the engine, and those not built yet."""
    from chaos.runtime import images

    rows = images.list_images(connect())
    if json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    table(
        ("image", "size", "state"),
        [
            (
                row.reference,
                f"{row.size_bytes / 1e6:.0f} MB" if row.id else "",
                ("current" if row.current else "old") if row.id else "not built",
            )
            for row in rows
        ],
    )


@images_app.command("prune")
def images_prune() -> None:
    """Remove images of ours whose content is no longer current."""
    from chaos.runtime import images

    for gone in images.prune(connect()):
        out.print(f"removed {gone.reference}", markup=False)


def dashboard(
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")] = 8501,
    runs: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
) -> None:
    """Serve the dashboard; needs no engine."""
    import subprocess

    from chaos import paths
    from dashboard.launch import command, environment, free_port

    chosen, moved = free_port(port)
    if moved:
        say(moved)
    say(f"dashboard: http://127.0.0.1:{chosen}  (Ctrl-C ends it)")
    folders = [runs.resolve(), paths.recorded()]
    with subprocess.Popen(command(chosen, folders), env=environment()) as served:
        try:
            served.wait()
        except KeyboardInterrupt:
            served.terminate()
