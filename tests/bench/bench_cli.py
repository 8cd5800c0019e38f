"""How long a user waits for a command that starts no container."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from analysis.formats import open_history
from analysis.formats.export import export
from chaos import paths
from chaos.errors import RecordError
from chaos.record.reader import find_runs, run_summary
from chaos.record.writer import write_run
from tests.bench.bench_checkers import OPERATIONS, register_history
from tests.bench.support import Row, row

AFTERSHOCK = str(Path(sys.executable).parent / "aftershock")
ROUNDS = 5
FINISHED = {0, 1, 3}  # the verdicts


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}: medians of five."""
    rows = [
        row("aftershock --help", _seconds("--help"), "s", "< 0.3"),
        row("aftershock validate redis-split-brain",
            _seconds("validate", "redis-split-brain"), "s"),
        *_checks(),
    ]  # fmt: skip
    path = _newest()
    if path is None:
        return [*rows, row("aftershock check RUN (there is no finished run)", None, "s")]
    name = str(run_summary(path).meta["name"])
    return [*rows, row(f"aftershock check, a run of {name}", _seconds("check", str(path)), "s")]


def _checks() -> list[Row]:
    """From the start of the process to its end: a small history, and a run of a million."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = folder / "history.edn"
        small.write_text("".join(export(register_history(1000, 1, swaps=False), "jepsen-edn")))
        large = register_history(OPERATIONS, 1, swaps=False)
        for column in ("node", "zone"):
            field = large.schema.field(column)
            filled = pa.array(["n1"] * OPERATIONS).cast(field.type)
            large = large.set_column(large.schema.get_field_index(column), field, filled)
        write_run(folder / "run", open_history(small).meta, large)
        return [
            row("aftershock check, 1,000 operations of Jepsen EDN",
                _seconds("check", str(small), "--proof", str(folder)), "s", "< 0.6"),
            row("aftershock check, a run of 1M operations, with its certificate",
                _seconds("check", str(folder / "run")), "s", "< 2"),
            row("aftershock verify, the certificate of that",
                _seconds("verify", str(folder / "run")), "s"),
        ]  # fmt: skip


def _newest() -> Path | None:
    """The newest finished run that ships, else of the user's own."""
    for folder in (paths.recorded(), Path("runs")):
        for path in find_runs(folder):
            with contextlib.suppress(RecordError):  # not readable: not this one
                if run_summary(path).meta["state"] == "done":
                    return path
    return None


def _seconds(*arguments: str) -> float:
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        done = subprocess.run([AFTERSHOCK, *arguments], capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - began)
        if done.returncode not in FINISHED:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    return statistics.median(seconds)
