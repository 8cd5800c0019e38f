"""`python -m tests.truth`: judge small histories, compare with the oracle, print one table."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.truth import shrink
from tests.truth.properties import PROPERTIES
from tests.truth.rows import PAYLOADS, told
from tests.truth.runner import PROVED, Tally, Wrong, judge

BATCH = 500  # histories that one process judges at once
HISTORIES = 1_000_000
COUNTS = (
    *("histories", "valid", "invalid", "unknown", "wrong"),
    *("certificates", "refused", "mutants", "accepted"),
)
HEAD = ("property", *COUNTS, "seconds")
SHOWN = 2  # wrong verdicts that are shown of one property


Batch = tuple[str, str, int, int]  # property, seed, histories, one of how many is proved


def batches(names: Sequence[str], histories: int, seed: str, proved: int) -> Iterator[Batch]:
    """Properties in turns."""
    each = -(-histories // len(names))
    for begin in range(0, each, BATCH):
        for name in names:
            yield name, f"{seed}:{name}:{begin}", min(BATCH, each - begin), proved


def work(batch: Batch) -> tuple[str, Tally]:
    """One batch, in whichever process."""
    name, seed, count, proved = batch
    return name, judge(PROPERTIES[name], seed, count, proved)


def tallies(names: Sequence[str], todo: Iterable[Batch], jobs: int) -> dict[str, Tally]:
    """What came of each property."""
    found = {name: Tally() for name in names}
    with ProcessPoolExecutor(jobs) as pool:
        for name, tally in pool.map(work, todo):
            found[name].add(tally)
    return found


def line(name: str, tally: Tally) -> tuple[str, ...]:
    """A property's row of the table."""
    numbers = [len(tally.wrong) if field == "wrong" else getattr(tally, field) for field in COUNTS]
    return (name, *(f"{number:,}" for number in numbers), f"{tally.seconds:.1f}")


def table(found: dict[str, Tally]) -> str:
    """All of it, numbers to the right, and the sum."""
    total = Tally()
    for tally in found.values():
        total.add(tally)
    lines = [HEAD, *(line(name, tally) for name, tally in found.items()), line("all", total)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in lines
    )


def as_text(wrong: Wrong) -> str:
    """A wrong verdict and the smallest history that shows it."""
    small = wrong if wrong.expected in ("accepted", "refused") else shrink.smallest(wrong)
    return (
        f"{small.property}: expected {small.expected}, got {small.got} ({small.why})\n"
        f"  initial {small.setting.initial!r}, final phase {small.setting.final_ns}\n"
        f"{told(small.history)}\n"
        f"  integers of processes {PAYLOADS} modulo 8 stand in payloads"
    )


def as_json(found: dict[str, Tally], seed: str) -> str:
    """The same for programs."""
    rows = [
        {"property": name}
        | {field: getattr(tally, field) for field in COUNTS}
        | {"wrong": len(tally.wrong), "seconds": round(tally.seconds, 1)}
        for name, tally in found.items()
    ]
    return json.dumps({"seed": seed, "properties": rows})


def main() -> int:
    """0 if every verdict is so, every right certificate accepted and every wrong one refused."""
    there = list(PROPERTIES)
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4), metavar="S")
    parser.add_argument("--property", nargs="+", default=there, choices=there, metavar="NAME")
    parser.add_argument("--proved", type=int, default=PROVED, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    names: list[str] = options.property
    todo = batches(names, options.histories, options.seed, options.proved)
    found = tallies(names, todo, options.jobs)
    print(as_json(found, options.seed) if options.json else table(found))
    for tally in found.values():
        for part in (tally.wrong, tally.doubted):
            for wrong in sorted(part, key=lambda wrong: len(wrong.history))[:SHOWN]:
                print(f"\n{as_text(wrong)}", file=sys.stderr)
    bad = any(tally.wrong or tally.refused or tally.accepted for tally in found.values())
    print(f"seed {options.seed}: {'WRONG' if bad else 'no wrong verdict'}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
