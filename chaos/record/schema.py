"""Columns of every table in a run directory. All times: int64 nanoseconds since the run's start.

The run's start (t = 0) is the moment the clients begin; the set-up before it has negative times.
`docs/run-directory.md` explains each column; a test compares the two.
"""

from __future__ import annotations

import pyarrow as pa

RUN_VERSION = 1

_text = pa.dictionary(pa.int32(), pa.string())

# One row per operation, ordered by completion. A row's position is its index in every witness.
HISTORY = pa.schema(
    [
        ("process", pa.int32()),  # logical process; never reused after an indefinite answer
        ("node", _text),  # node the client was talking to, "" when it had none
        ("zone", _text),  # client zone
        ("f", _text),  # read, write, cas, add, ...
        ("key", _text),  # null when the workload has no keys
        ("value", pa.int64()),  # written or added, read (null: nothing there), or a lock's token
        ("expected", pa.int64()),  # cas: the value it was to replace; else a fencing token
        ("payload", pa.string()),  # JSON of what is no single integer (a whole set, a text)
        ("type", _text),  # ok | fail | info; "open" only in segments of a run cut short
        ("error", _text),  # "code: reason"; null when ok, except of an ok read of unknown value
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),  # of an info: when the client gave up; the effect may come later
    ]
)

# One row per node and tick.
SAMPLES = pa.schema(
    [
        ("t_ns", pa.int64()),
        ("node", pa.string()),
        # As the node itself claims: primary | member | replica | candidate | down | unknown.
        ("role", pa.string()),
        ("shard", pa.string()),  # the part of the data that the role is about, where it is parted
        ("term", pa.int64()),  # term, epoch or timeline where the system has one
        ("lag_ms", pa.float64()),  # replication lag as the node sees it
        ("lag_bytes", pa.int64()),
        ("clock_offset_ms", pa.float64()),
        ("cpu_pct", pa.float64()),  # 100 is one core
        ("mem_bytes", pa.int64()),
        ("rx_bytes", pa.string()),  # JSON {peer node: bytes received from it since the run began}
        ("note", pa.string()),  # why something above is null
    ]
)

# Columns of samples that runs of earlier versions have not; they are null there.
ADDED = ("shard",)


def without_added(schema: pa.Schema) -> pa.Schema:
    """`schema` as it was in earlier versions."""
    return pa.schema([field for field in schema if field.name not in ADDED])


# One row per fault, or per operator step (kind = "step": only the inject times are set).
FAULTS = pa.schema(
    [
        ("id", pa.string()),  # f1, f2, ... in schedule order
        ("kind", pa.string()),  # fault | step
        ("fault", pa.string()),  # partition, kill, ... or promote, rejoin, ...
        ("asked", pa.string()),  # JSON of the schedule entry
        ("targets", pa.string()),  # JSON list of node and client-zone names it resolved to
        ("scheduled_ns", pa.int64()),
        ("inject_ns", pa.int64()),  # when injecting began
        ("effect_ns", pa.int64()),  # when the probe first saw the effect on every target
        ("heal_scheduled_ns", pa.int64()),
        ("heal_ns", pa.int64()),  # when healing began
        ("healed_ns", pa.int64()),  # when the probe saw the effect gone
        ("requested", pa.string()),  # JSON of what the probe should have seen
        ("measured", pa.string()),  # JSON of what it saw
        ("outcome", pa.string()),  # confirmed | mismatch | inconclusive | failed
        ("heal_outcome", pa.string()),  # confirmed | mismatch | inconclusive | failed | pending
        ("why", pa.string()),  # one sentence for anything but confirmed
    ]
)
