"""Colours, shapes and words that every page shares. Colour never speaks alone."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, TypeAlias

Show: TypeAlias = Callable[[float], str]

OK, INFO, FAIL = "#6DB6FE", "#FFAA26", "#FEB5DA"
OUTCOMES = {  # colour, dash and marker: three ways to tell them apart
    "ok": {"color": OK, "dash": "solid", "symbol": "circle"},
    "fail": {"color": FAIL, "dash": "dash", "symbol": "x"},
    "info": {"color": INFO, "dash": "dot", "symbol": "diamond"},
}
PRIMARY, REPLICA, DOWN = "#2F6FDE", "#A9B4C2", "#5B6573"
ROLES = {  # colour and pattern
    "primary": (PRIMARY, ""),
    "member": ("#12876F", ""),
    "candidate": ("#8E6FD8", "/"),
    "replica": (REPLICA, ""),
    "down": (DOWN, "x"),
    "unknown": ("#D5DAE1", "."),
}
FAULTS = ("#8C6D46", "#5E7F6B", "#7A5C8E", "#A0566B")
ALARM = "#D92D20"
GRID = "rgba(128,128,128,0.22)"
NODES = ("#2F6FDE", "#12876F", "#B4690E", "#8E4EC6", "#C2356B", "#5B6573")
VERDICTS = {  # shape, word, Streamlit colour
    "invalid": ("✕", "INVALID", "red"),
    "valid": ("✓", "VALID", "green"),
    "unknown": ("?", "UNKNOWN", "orange"),
    "running": ("●", "RUNNING", "blue"),
    "unreadable": ("!", "UNREADABLE", "gray"),
    "not judged": ("–", "NOT JUDGED", "gray"),
}
NONE = "–"

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&@])")


def plain(text: object, limit: int = 300) -> str:
    """Text from a run directory for a Markdown element: no markup, no link, one line."""
    line = " ".join(str(text).split())
    return _MARKDOWN.sub(r"\\\1", line[:limit] + ("…" if len(line) > limit else ""))


def label(text: object, limit: int = 60) -> str:
    """Text from a run directory for a chart, whose labels understand some HTML."""
    line = " ".join(str(text).split())
    return html.escape(line[:limit] + ("…" if len(line) > limit else ""))


def badge(verdict: str) -> str:
    """A verdict with its shape and colour, in Markdown."""
    shape, word, colour = VERDICTS.get(verdict, VERDICTS["unknown"])
    return f":{colour}-badge[{shape} {word}]"


def percent(share: float | None) -> str:
    """A share 0-1 with the digits that matter near 100 %."""
    if share is None:
        return NONE
    digits = 1 if share < 0.99 else 2 if share < 0.999 else 3
    return "100 %" if share == 1 else f"{share * 100:.{digits}f} %"


def points(share: float) -> str:
    """A difference of two shares, in percentage points."""
    return f"{share * 100:.{1 if abs(share) >= 0.01 else 3}f} points"


def seconds(value: float | None) -> str:
    """Seconds for people."""
    if value is None:
        return NONE
    return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:.1f} s"


def number(value: float | None, unit: str = "") -> str:
    """A number with thousands separated, and its unit."""
    if value is None:
        return NONE
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return f"{text} {unit}".strip()


def layout(**more: Any) -> dict[str, Any]:
    """What all charts have in common."""
    return {
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        **more,
    }
