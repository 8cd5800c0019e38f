"""The command `new`: a first file to change, generated from what a system says of itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from chaos.cli.console import out, say
from chaos.errors import UsageError

new_app = typer.Typer(help="Write a first file to change: new topology.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(new_app, name="new")


@new_app.callback()
def _group() -> None:
    """Keep `topology` a word of its own while it is the only one."""


@new_app.command()
def topology(
    system: Annotated[str, typer.Option(help="Which database: aftershock list systems.")],
    zones: Annotated[int, typer.Option(help="Zones of each region.")] = 3,
    regions: Annotated[int, typer.Option(help="Regions.")] = 1,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="Nodes; else one a zone, or as many as it needs.")
    ] = None,
    name: Annotated[str, typer.Option(help="The topology's name; else the file's.")] = "",
    out_: Annotated[str, typer.Option("--out", help="The file; - for standard output.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="setting=value of the database.")
    ] = None,
) -> None:
    """Write a topology of a system, every setting in it as a comment; it validates as it is."""
    from chaos.spec.new_topology import Wish, topology_text

    called = name or (Path(out_).stem if out_ not in ("", "-") else f"my-{system}")
    path = None if out_ == "-" else Path(out_ or f"{called}.yaml")
    if path is not None and path.exists():
        raise UsageError(f"{path} is there already", fix="name another with --out, or remove it")
    wish = Wish(
        system=system,
        zones=zones,
        regions=regions,
        nodes=nodes,
        name=called,
        settings=dict(_split(text) for text in set_ or ()),
    )
    text = topology_text(wish, _schema(path))
    if path is None:
        out.print(text, markup=False, end="")
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    out.print(str(path), markup=False)
    say(f"next: aftershock validate {path}   aftershock up {path}   docs/topology.md")


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"expected --set setting=value, got {text!r}")
    return name, value


def _schema(path: Path | None) -> str:
    """Where the schema is, from the file: relative within one checkout, else absolute."""
    from chaos import paths

    schema = (paths.schemas() / "topology.json").resolve()
    folder = (path or Path("stdout")).resolve().parent
    near = folder.is_relative_to(schema.parents[1])
    return Path(os.path.relpath(schema, folder)).as_posix() if near else str(schema)
