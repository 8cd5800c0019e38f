"""Every fault of a run as one row: asked, measured, and whether both of its ends are proven."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from chaos.cli.console import table

ASKED_MAX, MEASURED_MAX = 44, 76
NOT_ASKED = ("fault", "step", "at", "for")  # said elsewhere in the row


def fault_table(faults: Iterable[Mapping[str, Any]]) -> None:
    """Print rows of chaos.record.schema.FAULTS as a table, in the order of the schedule."""
    rows = [
        (
            f"{fault['id']} {fault['fault']}",
            _cut(few_words(_asked(fault)), ASKED_MAX),
            _proof(fault, "outcome", "inject_ns", "effect_ns"),
            _proof(fault, "heal_outcome", "heal_ns", "healed_ns"),
            _cut(_measured(fault), MEASURED_MAX),
        )
        for fault in faults
    ]
    table(("fault", "asked", "effect", "end", "measured"), rows)


def _asked(fault: Mapping[str, Any]) -> dict[str, Any]:
    asked = json.loads(fault["asked"] or "{}")
    return {
        key: value for key, value in asked.items() if key not in NOT_ASKED and value is not False
    }


def _measured(fault: Mapping[str, Any]) -> str:
    text = few_words(json.loads(fault["measured"] or "{}"))
    return f"{fault['why']} ({text})" if fault["why"] else text


def _proof(fault: Mapping[str, Any], outcome: str, begun: str, seen: str) -> str:
    """`confirmed 3 ms`: the outcome, and how long after it was begun the effect was seen."""
    nothing = fault["kind"] == "step" or fault["outcome"] == "skipped"
    word = fault[outcome] or ("" if nothing else "unknown")
    if fault[begun] is None or fault[seen] is None:
        return word
    ms = (fault[seen] - fault[begun]) / 1e6
    return f"{word} {ms:.0f} ms" if ms >= 10 else f"{word} {ms:.1f} ms"


def few_words(value: Any) -> str:
    """JSON data as few words: `n1: request silent, states TT; n2: …`."""
    if isinstance(value, Mapping):
        nested = any(isinstance(inner, Mapping) for inner in value.values())
        parts = (
            f"{key}: {few_words(inner)}"
            if isinstance(inner, Mapping)
            else f"{key} {few_words(inner)}"
            for key, inner in value.items()
            if inner not in ([], {}, None)
        )
        return ("; " if nested else ", ").join(parts)
    if isinstance(value, list):
        return (
            " | ".join(map(few_words, value))
            if any(isinstance(x, list) for x in value)
            else (" ".join(map(few_words, value)))
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
