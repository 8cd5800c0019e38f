"""Locks and the documents they guard, as all clients see them.

The client kind `lock`: `acquire` answers with a token, an integer that grows with every holder of
the lock; `release` has that token as its value. A lock that is not released stays with its holder
for the option `lease`.

The client kind `document`: `load` answers with a list as JSON text, "[]" where nothing was stored;
`store` replaces it. With a token as value, both are refused if the document has met a higher one,
in a `load` or in a `store`: a read, a change and a write of one holder come after those of the
next, or not at all. To refuse stores alone is not enough: an old holder's store between a new
holder's load and store would be accepted, acknowledged, and lost
(M. Kleppmann, "How to do distributed locking", 2016, has the tokens;
M. Burrows, "The Chubby lock service", OSDI 2006, the sequencers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaos.systems._common import DURATION, Setting
from chaos.systems.base import Definite
from chaos.units import parse_duration_ns

LEASE = Setting(
    about="how long a lock stays with who does not release it; default 2s",
    values=DURATION,
    workloads=frozenset({"lock", "document"}),  # both parts of the workload lock are told
)


def lease_s(options: Mapping[str, Any]) -> float:
    """The option `lease` in seconds."""
    return parse_duration_ns(options.get("lease", "2s")) / 1e9


def held() -> Definite:
    """The answer to who acquires a lock that another has."""
    return Definite("held", "another has the lock")


def not_held() -> Definite:
    """The answer to who releases a lock that is no longer its own."""
    return Definite("not-held", "the lock has passed to another, or to nobody")


def stale_token() -> Definite:
    """The answer to who comes with a token after one with a higher token."""
    return Definite("stale-token", "the document has met a higher token")
