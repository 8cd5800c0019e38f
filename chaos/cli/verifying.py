"""The command `verify`: are stored certificates true of their histories?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from chaos.cli.console import out, plain, print_json
from chaos.cli.histories import FormatName, Initial, Models, read_initial, read_models
from chaos.cli.machine import Json
from chaos.cli.quick import arrow_without_pandas
from chaos.cli.runs import PATH_HELP, find_run
from chaos.errors import EXIT_INVALID, EXIT_UNKNOWN, EXIT_VALID, AftershockError

LARGEST_BYTES = 1 << 30
VERSION = 1
_EXIT = {"accepted": EXIT_VALID, "refused": EXIT_INVALID, "none": EXIT_UNKNOWN}
_STYLE = {True: "green", False: "bold red"}


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("verify")(verify)


def verify(
    paths: Annotated[list[str], typer.Argument(help=PATH_HELP)],
    proof: Annotated[
        Path | None, typer.Option(help="Where certificates are, instead of the run directory.")
    ] = None,
    model: Models = None,
    format_: FormatName = None,
    initial: Initial = None,
    json: Json = False,
) -> None:
    """Check stored certificates against the raw history, trusting no checker.

    With --json: one object a line, one line a path. Exit code: 0 all accepted, 1 one refused, 3
    none there.
    """
    arrow_without_pandas()
    value, own = read_initial(initial), read_models(model)
    found = []
    for path in paths:
        try:
            certificates = verified(find_run(path), proof, format_, value, own)
            verdict = "refused" if not all(c["accepted"] for c in certificates) else "accepted"
            result = _result(path, verdict if certificates else "none", certificates)
        except AftershockError as error:
            if not json:
                raise
            result = {**_result(path, "none", []), "why": error.what}
        found.append(result)
        if json:
            print_json(result)
        else:
            _tell(result)
    raise typer.Exit(_exit_code(found))


def _result(path: str, verdict: str, certificates: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version": VERSION, "path": path, "verdict": verdict, "certificates": certificates}


def _exit_code(found: list[dict[str, Any]]) -> int:
    """One refused before none there before all accepted."""
    verdicts = {result["verdict"] for result in found}
    worst = next(verdict for verdict in ("refused", "none", "accepted") if verdict in verdicts)
    return _EXIT[worst]


def verified(
    path: Path,
    proof: Path | None = None,
    format_name: str | None = None,
    initial: Any = None,
    own: Sequence[Any] = (),
) -> list[dict[str, Any]]:
    """What came of each certificate of one history: file, property, claims, what, accepted, why."""
    from analysis.certificates import folder_of
    from analysis.formats import open_history
    from analysis.proof.models import MODELS, own_model
    from analysis.proof.source import fingerprint
    from analysis.verdict import final_ns

    run = open_history(path, format_name, initial)
    files = sorted(folder_of(run, proof).glob("*.json"))
    if not files:
        return []
    final = final_ns(run)
    known = {
        "table": run.history,
        "sha256": fingerprint(run.path),
        "initial": run.meta["imported"].get("initial"),
        "dialect": run.meta["imported"].get("models", "adya"),
        "final_ns": None if final is None else final[0],
        "models": {**MODELS, **{each.name: own_model(each, run.history) for each in own}},
    }
    return [_judged(file, known) for file in files]


def _judged(file: Path, known: dict[str, Any]) -> dict[str, Any]:
    """One certificate: what it claims, and whether that is so."""
    from analysis.proof.rows import Refused
    from analysis.proof.verify import read, verify

    told = {"file": str(file), "property": file.stem, "claims": "", "what": ""}
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise Refused(f"it is larger than {LARGEST_BYTES:,} bytes")
        body = read(file.read_bytes())
        for name, part in (("property", body["property"]), ("claims", body["verdict"])):
            told[name] = part if isinstance(part, str) else told[name]
        verify(body, **known)
    except OSError as error:
        return {**told, "accepted": False, "why": f"it cannot be read: {error.strerror}"}
    except Refused as refused:
        return {**told, "accepted": False, "why": str(refused)}
    return {**told, "what": _what(body), "accepted": True, "why": ""}


def _what(body: dict[str, Any]) -> str:
    """What an accepted certificate holds, in words."""
    claims = body["claims"]
    if claims[0]["kind"] == "snapshots":
        return f"{len(claims[0]['order']) // 2:,} transactions, each with its snapshot and commit"
    if "order" in claims[0]:
        return f"{len(claims[0]['order']):,} operations in order"
    if "figures" in claims[0]:
        return ", ".join(f"{name} {count:,}" for name, count in claims[0]["figures"].items())
    return ", ".join(claim["anomaly"] for claim in claims)


def _tell(result: dict[str, Any]) -> None:
    """A line for each certificate."""
    if not result["certificates"]:
        out.print(escape(plain(f"{result['path']}: no certificate is there; `check` makes them")))
    for one in result["certificates"]:
        word = "accepted" if one["accepted"] else "refused"
        what = f"{one['property']}: {one['claims']}" if one["claims"] else one["property"]
        why = f", but {one['why']}" if one["why"] else f", {one['what']}"
        style = _STYLE[one["accepted"]]
        out.print(f"[{style}]{word}[/]  {escape(plain(what + why))}")
