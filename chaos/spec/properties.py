"""The names of the properties that a history can be judged by (docs/checkers.md).

They are decided in another package, which nothing here imports; a test compares the names.
"""

from __future__ import annotations

PROPERTIES = (
    "linearizable-register",
    "linearizable-cas-register",
    "linearizable-kv-append",
    "linearizable-set",
    "linearizable-queue",
    "linearizable-stack",
    "linearizable-counter",
    "linearizable-lock",
    "sequential",
    "staleness",
    "set",
    "set-full",
    "total-queue",
    "at-least-once",
    "unique-ids",
    "counter",
    "lock",
    "convergence",
    "authorised-edits",
    "bank",
    "log",
    "group-at-least-once",
    "group-exactly-once",
    "long-fork",
    "session-guarantees",
    "probes",
    "list-append",
    "rw-register",
    "read-uncommitted",
    "read-committed",
    "read-atomic",
    "causal",
    "parallel-snapshot-isolation",
    "snapshot-isolation",
    "strong-session-snapshot-isolation",
    "serializable",
    "strict-serializable",
)
