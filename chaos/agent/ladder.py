"""The ways in which one thing can be done here, best first, and which of them works.

Every part says so in `able()` under "ladders", so that one table can tell a user what this host can
do and why: chaos/runtime/capabilities.py. Part of the agent: standard library only.
"""

from __future__ import annotations

from typing import Any


def ladder(*tried: tuple[str, str]) -> dict[str, Any]:
    """`(rung, why it does not work here)` in order of preference; "" for one that works.

    {"rung": "nfqueue", "tried": [{"rung": "nfqueue", "why": ""}]}; "rung" is None when none works.
    """
    return {
        "rung": next((rung for rung, why in tried if not why), None),
        "tried": [{"rung": rung, "why": why} for rung, why in tried],
    }
