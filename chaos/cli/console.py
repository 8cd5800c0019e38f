"""Where words go, and how errors and tables look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos.errors import AftershockError

if TYPE_CHECKING:
    from chaos.runtime.base_image import Progress

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

COLUMN_GAP = 2
LAST_COLUMN_MIN = 40
VERDICT_STYLE = {"valid": "green", "invalid": "bold red", "unknown": "yellow"}
VERDICT_MARK = {"valid": "✓", "invalid": "✗", "unknown": "?"}


def plain(text: Any) -> str:
    """Text that can do nothing to a terminal: a run directory may come from anywhere."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text))


def say(text: str) -> None:
    """One line of progress."""
    err.print(escape(text))


def say_error(error: AftershockError) -> None:
    """What was expected and what came, the lines worth showing, what to do."""
    err.print(f"[bold red]error:[/] {escape(error.what)}")
    if error.detail:
        err.print(escape(error.detail))
    if error.fix:
        err.print(f"[cyan]→[/] {escape(error.fix)}")


def image_progress(progress: Progress) -> None:
    """One line for each step of an image; images that are there already are not worth one."""
    if progress.state != "present":
        detail = f"  {progress.detail}" if progress.detail else ""
        say(f"image {progress.name:<10} {progress.state} {progress.seconds:6.1f} s{detail}")


def print_json(data: Any) -> None:
    """One JSON document on one line."""
    out.print(json.dumps(data, ensure_ascii=False), markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A plain table; nothing is cut off. On a terminal the last column wraps; elsewhere a row is a
    line, for other programs to read."""
    texts = [["" if cell is None else plain(cell) for cell in row] for row in rows]
    made = Table(box=None, pad_edge=False, header_style="bold")
    needed = 0
    for k, column in enumerate(columns[:-1]):
        width = max(cell_len(text) for text in (column, *(row[k] for row in texts)))
        made.add_column(column, no_wrap=True, min_width=width)
        needed += width + COLUMN_GAP
    made.add_column(columns[-1], overflow="fold")
    for row in texts:
        made.add_row(*map(escape, row))
    # `print(width=…)` is capped by the console's own width.
    last = max(cell_len(text) for text in (columns[-1], *(row[-1] for row in texts)))
    width = max(out.width, needed + (LAST_COLUMN_MIN if out.is_terminal else last))
    Console(highlight=False, width=width).print(made, crop=False)


def verdict_line(results: Mapping[str, Any]) -> None:
    """`✗ INVALID  one sentence`."""
    verdict = str(results["verdict"])
    style = VERDICT_STYLE.get(verdict, "")
    out.print(
        f"[{style}]{VERDICT_MARK.get(verdict, '?')} {verdict.upper()}[/]  "
        f"{escape(plain(results['summary']))}"
    )
