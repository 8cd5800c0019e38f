"""The `aftershock` command. Only this package prints, and only it imports `analysis`.

Results go to standard output, progress and errors to standard error. Nothing heavy is imported
before a command needs it: `aftershock --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from types import FrameType

import typer

from chaos import __version__
from chaos.cli import (
    clusters,
    conforming,
    exchange,
    healing,
    histories,
    machine,
    new,
    probing,
    runs,
    stories,
    track_record,
    verifying,
)
from chaos.cli.console import err, say_error
from chaos.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, AftershockError

app = typer.Typer(
    name="aftershock",
    help="Break real databases on purpose, prove what broke, and say what it would cost not to.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (
    runs,
    histories,
    verifying,
    exchange,
    clusters,
    probing,
    conforming,
    healing,
    stories,
    track_record,
    new,
    machine,
):
    _module.add_to(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        typer.echo(f"aftershock {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every way out has its exit code, and no traceback reaches a user."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_guarded())


_interrupts = 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C heals and keeps the run; a second leaves at once.

    Leaving at once is safe for the databases' links: the agents read end-of-file and heal.
    """
    global _interrupts
    _interrupts += 1
    if _interrupts > 1:
        os.write(2, b"\nstopped at once; `aftershock down --all` removes what is left\n")
        os._exit(EXIT_INTERRUPTED)
    raise KeyboardInterrupt


def _guarded() -> int:
    try:
        code = app(standalone_mode=False)
    except AftershockError as error:
        say_error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; a second complaint when Python flushes helps nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        # A mistake in the command line. Typer keeps its own copy of click, whose exceptions have no
        # public name; they all know how to show themselves.
        if callable(show := getattr(error, "show", None)):
            show()
            return EXIT_USAGE
        return _internal(error)
    return code if isinstance(code, int) else 0


def _internal(error: Exception) -> int:
    """A defect of ours: keep the traceback for a report, say where it is."""
    text = "".join(traceback.format_exception(error))
    where = Path(tempfile.gettempdir()) / f"aftershock-error-{os.getpid()}.txt"
    try:
        where.write_text(text, encoding="utf-8")
        kept = f"details are in {where}"
    except OSError:
        kept = text.strip().splitlines()[-1]
    say_error(
        AftershockError(
            f"internal error: {type(error).__name__}: {error}",
            fix=f"this is a defect of Aftershock; please report it ({kept})",
        )
    )
    return EXIT_INTERNAL
