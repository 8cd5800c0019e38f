"""`python -m tests.bench [NAME …] [--json] [--write FILE]`: measure, and print one table."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import re
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from chaos.errors import AftershockError, EngineError
from tests.bench import growth
from tests.bench.support import Row, connect, row, say

GOAL = re.compile(r"([<>≤≥]?)\s*([0-9.]+)")
COLUMNS = ("what", "value", "unit", "goal", "met?")


def names() -> list[str]:
    """Every measurement there is: NAME of each bench_NAME.py."""
    return sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py"))


def met(line: Row) -> str:
    """Whether the goal is met; "" where there is none. A bare number is an upper bound."""
    parsed = GOAL.match(line["goal"])
    if parsed is None:
        return ""
    if line["value"] is None:
        return "?"
    value, bound = line["value"], float(parsed[2])
    good = {"≥": value >= bound, ">": value > bound, "≤": value <= bound}
    return "yes" if good.get(parsed[1], value < bound) else "no"


def shown(value: float | None) -> str:
    """Three significant digits, thousands apart; no exponent."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cells(line: Row) -> tuple[str, ...]:
    """A row as the texts of COLUMNS."""
    return line["what"], shown(line["value"]), line["unit"], line["goal"], met(line)


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned, numbers to the right."""
    lines = [COLUMNS, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column == 1 else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, under the date and the class of machine they are from."""
    head = "\n".join([f"| {' | '.join(COLUMNS)} |", "|---|--:|---|---|---|"])
    body = "\n".join(f"| {' | '.join(cells(line))} |" for line in rows)
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.\n\n{head}\n{body}"


def machine() -> str:
    """Class of machine: cores, kernel, engine, Python."""
    try:
        client = connect()
        docker = f"Docker Engine {client.version()['Version'].partition('+')[0]}"
        client.close()
    except EngineError:
        docker = "no container engine"
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    return ", ".join([
        f"{os.cpu_count()} cores ({platform.machine()})", f"{platform.system()} {kernel}", docker,
        f"Python {platform.python_version()}",
    ])  # fmt: skip


def write(path: Path, found: dict[str, list[Row]]) -> None:
    """Put each table between its markers in `path`; a measurement new to it goes to its end."""
    text = path.read_text(encoding="utf-8")
    for name, rows in found.items():
        begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
        if begin not in text or end not in text:
            text = f"{text.rstrip()}\n\n## {name}\n\n{begin}\n{end}\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{markdown(rows)}\n{end}{after}"
    path.write_text(text, encoding="utf-8")
    if series := growth.points(text):  # of all tables there, whenever they were measured
        (path.parent / "growth.svg").write_text(growth.svg(series), encoding="utf-8")


def measure(wanted: Sequence[str]) -> tuple[dict[str, list[Row]], dict[str, Row]]:
    """Run them one after the other: {name: rows}, and for those that failed one row saying so."""
    found: dict[str, list[Row]] = {}
    failed: dict[str, Row] = {}
    for name in wanted:
        began = time.monotonic()
        say(f"{name} …")
        try:
            found[name] = importlib.import_module(f"tests.bench.bench_{name}").run()
        except AftershockError as error:
            say(f"  not measured: {error.what} {error.detail}")
            failed[name] = row(f"{name}: not measured, see above", None, "")
        except Exception:
            traceback.print_exc()
            failed[name] = row(f"{name}: not measured, see above", None, "")
        say(f"  {time.monotonic() - began:.0f} s")
    return found, failed


def main() -> int:
    """0, or 1 when something could not be measured; a goal that is missed is shown, no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" · ".join(names()))
    parser.add_argument("--json", action="store_true", help="print a JSON list instead")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables there as well")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"expected names of {', '.join(names())}; got {', '.join(sorted(unknown))}")
    if options.write and not options.write.is_file():
        parser.error(f"expected a file to write the tables into, got {options.write}")
    found, failed = measure(options.names or names())
    everything = found | {name: [line] for name, line in failed.items()}
    rows = [{"bench": name, **line} for name, part in everything.items() for line in part]
    if options.json:
        print(json.dumps([{**r, "met": met(r)} for r in rows], ensure_ascii=False, indent=1))
    else:
        print(table(rows))
    if options.write:
        write(options.write, found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
