"""`python -m tests.truth`: judge small histories, compare with the oracle, print one table."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.truth import shrink
from tests.truth.properties import PROPERTIES
from tests.truth.rows import PAYLOADS, told
from tests.truth.runner import PROVED, Tally, Wrong, judge
from tests.truth.transactions import judge as transactions

NAMES = (*PROPERTIES, *transactions.NAMES)
BATCH = 500  # histories that one process judges at once
HISTORIES = 1_000_000
OF_TRANSACTIONS = 500_000  # each judged by all properties of transactions
COUNTS = (
    *("histories", "valid", "invalid", "unknown", "wrong"),
    *("certificates", "refused", "mutants", "accepted"),
)
HEAD = ("property", *COUNTS, "seconds")
SHOWN = 2  # wrong verdicts that are shown of one property


Batch = tuple[tuple[str, ...], str, int, int]  # properties, seed, histories, one of how many proved


def batches(names: Sequence[str], histories: int | None, seed: str, proved: int) -> Iterator[Batch]:
    """Properties in turns; those of transactions together. `histories`: of all properties."""
    alone = [(name,) for name in names if name in PROPERTIES]
    together = tuple(name for name in names if name not in PROPERTIES)
    each = {group: -(-(histories or HISTORIES) // len(names if histories else alone))
            for group in alone}  # fmt: skip
    if together:
        each[together] = -(-histories // len(names)) if histories else OF_TRANSACTIONS
    for begin in range(0, max(each.values()), BATCH):
        for group, count in each.items():
            if begin < count:
                what = group[0] if group[0] in PROPERTIES else transactions.FAMILY
                yield group, f"{seed}:{what}:{begin}", min(BATCH, count - begin), proved


def work(batch: Batch) -> dict[str, Tally]:
    """One batch, in whichever process."""
    names, seed, count, proved = batch
    if names[0] in PROPERTIES:
        return {names[0]: judge(PROPERTIES[names[0]], seed, count, proved)}
    return transactions.judge(seed, count, proved, names)


def tallies(names: Sequence[str], todo: Iterable[Batch], jobs: int) -> dict[str, Tally]:
    """What came of each property."""
    found = {name: Tally() for name in names}
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(work, todo):
            for name, tally in part.items():
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
    smallest = (shrink if wrong.property in PROPERTIES else transactions).smallest
    small = wrong if wrong.expected in ("accepted", "refused") else smallest(wrong)
    return (
        f"{small.property}: expected {small.expected}, got {small.got} ({small.why})\n"
        f"  initial {small.setting.initial!r}, final phase {small.setting.final_ns}, "
        f"{getattr(small.setting, 'models', 'one model')}\n"
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
    there = list(NAMES)
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--histories", type=int, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4), metavar="S")
    parser.add_argument("--property", nargs="+", default=there, choices=there, metavar="NAME")
    parser.add_argument("--proved", type=int, default=PROVED, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    parser.add_argument("--idle", action="store_true", help="give way to everything else")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.idle:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
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
