"""Reads of registers that found what nobody had begun to write."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.checkers.base import Anomaly
from analysis.checkers.counting import Case
from analysis.checkers.replacements import Registers
from analysis.history import History, Mask


def unfounded(case: Case, registers: Registers) -> list[Anomaly]:
    """The anomalies `thin-air-read`, `aborted-read` and `future-read`, those that there are."""
    found = registers.found
    end = registers.clock.end(registers.look)
    wrong = ~registers.initial[found] & (registers.begun[found] > end)
    later = registers.writers[found] > 0
    failed = registers.failed[found] & ~later
    cases: tuple[tuple[str, Mask, Callable[[Case, Registers, int], str]], ...] = (
        ("thin-air-read", wrong & ~failed & ~later, _thin_air),
        ("aborted-read", wrong & failed, _aborted),
        ("future-read", wrong & later, _future),
    )
    anomalies = []
    for name, chosen, told in cases:
        places = np.flatnonzero(chosen)
        if len(places):
            rows = registers.look[places]
            place = int(places[np.argmin(case.history.end_ns[rows])])
            row = int(registers.look[place])
            argument = f"{case.tell(row).did(row)}, but {told(case, registers, place)}"
            anomalies.append(
                case.anomaly(name, rows, [row], argument, value=_value(case.history, row))
            )
    return anomalies


def _value(history: History, row: int) -> object:
    """What an observation found, as JSON."""
    if history.f.at(row) != "cas":
        return history.content(row)
    content = history.content(row)
    return content[0] if isinstance(content, list) else history.expected.at(row)


def _thin_air(case: Case, registers: Registers, place: int) -> str:
    row = int(registers.look[place])
    tell = case.tell(row)
    return f"no client ever tried to write {tell.seen(row)} to {tell.key(row)}"


def _aborted(case: Case, registers: Registers, place: int) -> str:
    row = int(registers.look[place])
    return f"whoever tried to write {case.tell(row).seen(row)} was told that it failed"


def _future(case: Case, registers: Registers, place: int) -> str:
    written = registers.written == registers.found[place]
    writer = int(registers.write[np.argmax(written)])
    return f"{case.tell(writer).began(writer)}, after that had ended"
