"""How fast histories of other tools are read: `run()` returns rows for docs/performance.md."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.formats import open_history
from analysis.formats.export import export
from chaos.record.writer import write_run
from tests.bench.session_histories import WRITERS, sessions, write_list_edn, write_list_json
from tests.bench.support import least

OPERATIONS = 1_000_000
OTHERS = 100_000
CLIENTS = 16


def events(count: int, seed: int = 1) -> Iterator[tuple[str, str, int | None, int, int, int]]:
    """(type, f, value, time, process, index) of busy clients of one register."""
    rng = random.Random(seed)
    busy: dict[int, tuple[str, int | None]] = {}
    now = held = done = index = 0
    while done < count:
        process = rng.randrange(CLIENTS)
        now += rng.randrange(1000)
        if process in busy:
            f, value = busy.pop(process)
            held = held if value is None else value
            yield "ok", f, held if value is None else value, now, process, index
            done += 1
        else:
            f = "write" if rng.random() < 0.5 else "read"
            busy[process] = f, index if f == "write" else None
            yield "invoke", f, busy[process][1], now, process, index
        index += 1


def write_edn(path: Path, count: int) -> None:
    """A Jepsen history as Jepsen writes it, an operation a line."""
    with path.open("w") as out:
        out.writelines(
            f"{{:type :{kind}, :f :{f}, :value {'nil' if value is None else value}, :time {now}, "
            f":process {process}, :index {index}}}\n"
            for kind, f, value, now, process, index in events(count)
        )


def write_limo(path: Path, count: int) -> None:
    """Calls and returns of a queue."""
    with path.open("w") as out:
        out.write("# @object atomic-queue\n")
        for kind, f, value, _, process, _ in events(count):
            call = f"call add({value})" if f == "write" else "call remove"
            back = "return" if f == "write" else f"return {value}"
            out.write(f"[{process}] {call if kind == 'invoke' else back}\n")


def write_fastlin(path: Path, count: int) -> None:
    """Operations of a queue with their times."""
    rng = random.Random(1)
    with path.open("w") as out:
        out.write("# queue\n")
        for k in range(count):
            out.write(f"{'enq' if k % 2 else 'deq'} {k // 2} {k} {k + rng.randrange(9)}\n")


def _row(what: str, value: float, goal: str = "") -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "unit": "s", "goal": goal}


def _seconds(path: Path, count: int, rounds: int = 3) -> float:
    def read() -> None:
        assert open_history(path).history.num_rows >= count

    return least(read, rounds)


def _transactions(folder: Path) -> list[dict[str, Any]]:
    """Transactions of four micro-operations: lists of Elle's, registers of all others."""
    rows = []
    for write, what in ((write_list_edn, "Jepsen EDN"), (write_list_json, "Elle's JSON")):
        file = folder / "transactions"
        write(file, OTHERS)
        seconds = _seconds(file, OTHERS)
        size = file.stat().st_size / 1e6
        rows.append(
            _row(f"read 100k transactions of lists, {what} ({size:.0f} MB)", seconds, "< 1")
        )
        file.unlink()
    held = sessions(OPERATIONS)
    for name, write_sessions in WRITERS.items():
        file = folder / f"history-{name}"
        write_sessions(file, held)
        rows.append(_row(f"read 1M transactions, {name}", _seconds(file, OPERATIONS, 2), "< 5"))
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    return rows


def run() -> list[dict[str, Any]]:
    """Rows {"what", "value", "unit", "goal"}; files are made outside the measured time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        edn = folder / "history.edn"
        write_edn(edn, OPERATIONS)
        rows = [_row("read 1M operations, Jepsen EDN", _seconds(edn, OPERATIONS), "< 5")]
        data = open_history(edn)
        write_run(folder / "run", data.meta, data.history)
        rows.append(
            _row("read 1M operations, run directory", _seconds(folder / "run", OPERATIONS), "< 0.3")
        )
        write_edn(edn, OTHERS)
        data = open_history(edn)
        odd = folder / "odd.edn"
        odd.write_text(edn.read_text().replace("}\n", "} ; a remark\n"))
        json = folder / "history.json"
        json.write_text("".join(export(data.history, "elle-json")))
        write_limo(folder / "history.log", OTHERS)
        write_fastlin(folder / "queue.log", OTHERS)
        for file, what in (
            (odd, "Jepsen EDN no two lines of which look alike"),
            (json, "Elle's JSON"),
            (folder / "history.log", "LiMo"),
            (folder / "queue.log", "fastlin"),
        ):
            rows.append(_row(f"read 100k operations, {what}", _seconds(file, OTHERS)))
        rows += _transactions(folder)
        began = time.perf_counter()
        size = sum(map(len, export(data.history, "jepsen-edn")))
        rows.append(_row(f"write 100k operations, Jepsen EDN ({size / 1e6:.0f} MB)",
                         time.perf_counter() - began))  # fmt: skip
    return rows


if __name__ == "__main__":
    for line in run():
        print(f"{line['what']:60} {line['value']:>8} {line['unit']}  (goal {line['goal']})")
