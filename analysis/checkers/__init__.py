"""One file per property, and the registry of them.

A checker's module has `PROPERTY`, `check` (the docstring's first line is what `aftershock list
properties` says) and `KINDS`, the names of the anomalies that it can find; one of several
properties has `CHECKERS` by property instead of the first two. It is imported when it is asked for:
to judge a small history should not take longer for all the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.checkers.base import Checker
    from analysis.checkers.kinds import Kind

FILES: Mapping[str, str] = {  # property → its module here
    "linearizable-register": "register",
    "linearizable-cas-register": "cas_register",
    "linearizable-kv-append": "kv_append",
    "linearizable-set": "linearizable_set",
    "linearizable-queue": "linearizable_queue",
    "linearizable-stack": "linearizable_stack",
    "linearizable-counter": "linearizable_counter",
    "linearizable-lock": "linearizable_lock",
    "sequential": "sequential",
    "set": "set",
    "set-full": "set_full",
    "total-queue": "total_queue",
    "at-least-once": "total_queue",
    "unique-ids": "unique_ids",
    "counter": "counter",
    "lock": "lock",
    "convergence": "convergence",
    "authorised-edits": "authorised_edits",
    "staleness": "staleness",
    "bank": "bank",
    "session-guarantees": "session_guarantees",
    "long-fork": "long_fork",
    "log": "log",
    "group-at-least-once": "log_groups",
    "group-exactly-once": "log_groups",
    "probes": "probes",
    "list-append": "list_append",
    "rw-register": "rw_register",
    "read-uncommitted": "isolation",
    "read-committed": "isolation",
    "read-atomic": "isolation",
    "causal": "isolation",
    "parallel-snapshot-isolation": "isolation",
    "snapshot-isolation": "isolation",
    "strong-session-snapshot-isolation": "isolation",
    "serializable": "isolation",
    "strict-serializable": "isolation",
}


def _module(property_: str) -> Any:
    return import_module(f"analysis.checkers.{FILES[property_]}")


class _Checkers(Mapping[str, "Checker"]):
    """The checkers by property."""

    def __getitem__(self, property_: str) -> Checker:
        module = _module(property_)
        check: Checker = module.CHECKERS[property_] if hasattr(module, "CHECKERS") else module.check
        return check

    def __contains__(self, property_: object) -> bool:
        return property_ in FILES

    def __iter__(self) -> Iterator[str]:
        return iter(FILES)

    def __len__(self) -> int:
        return len(FILES)


CHECKERS: Mapping[str, Checker] = _Checkers()


def kinds_of(property_: str) -> tuple[Kind, ...]:
    """The anomalies that a property's checker can find, weakest first; none of one unknown."""
    found: tuple[Kind, ...] = _module(property_).KINDS if property_ in FILES else ()
    return tuple(kind for kind in found if kind.property == property_)
