"""`aftershock show --anomaly`: in the terminal, or as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.cli.console import out, plain
from chaos.errors import RecordError, UsageError

if TYPE_CHECKING:
    from chaos.record.reader import RunData


def draw(
    run: RunData,
    results: Mapping[str, Any],
    path: str,
    which: str,
    html: str | None,
    *,
    json: bool,
) -> None:
    """Print the anomaly that `which` means, or write it into the file `html` ("": one is named)."""
    from analysis import lanes
    from analysis.history import read_history
    from chaos.cli import lanes as terminal

    if json:
        raise UsageError("--json prints all anomalies; leave out --anomaly and --html")
    history = read_history(run.history)
    place = lanes.chosen(results, which)
    names = [anomaly["name"] for _, anomaly in lanes.anomalies(results)]
    initial = run.meta["imported"].get("initial")
    if html is None:
        found = lanes.picture(history, results, place, initial=initial)
        if len(found.bars) == 1:
            window = terminal.width() // terminal.COLUMNS_EACH
            found = lanes.picture(
                history, results, place, initial=initial, window=window, past=True
            )
        terminal.show(found, names, path)
        return
    from analysis.lanes_html import page

    found = lanes.picture(history, results, place, initial=initial, window=lanes.WINDOW)
    file = Path(html or _named(run, found.name))
    title = f"{run.meta['name']} {run.path.name}" if run.path.is_dir() else run.path.name
    try:
        file.write_text(page(found, title=title, names=names), encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{file} cannot be written: {error}") from None
    out.print(plain(str(file)), markup=False)


def _named(run: RunData, anomaly: str) -> str:
    """A file in the current folder, named after the run and the anomaly."""
    name = run.meta["name"] if run.path.is_dir() else run.path.stem
    text = f"{name}-{anomaly}"
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text).lstrip(".") + ".html"
