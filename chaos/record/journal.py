"""The journal of faults: one JSON object a line, on disk before anything is injected.

Each event has "id" (f1, f2, …), "event", "t_ns", and whatever columns of FAULTS are known by then;
later events override earlier ones. The events:

    planned    in the schedule: fault, asked, scheduled_ns, heal_scheduled_ns
    inject     about to be injected, into these targets: a crash from here on leaves it to be
               healed. `undo`: what another process must do for that, see chaos/healing/undo.py;
               [] when the agents and the kernel see to it
    injected   the injecting call returned
    probed     outcome, requested, measured, effect_ns, why
    heal · healed · heal-probed     the same for its end: healed_ns, heal_outcome, heal_measured;
               `tries`: how often it was healed; `by`: who, when it was not the run itself;
               `removed`: true when its containers are gone, and it with them
    step · step-done                an operator's step
    failed     it could not be done: why
    skipped    it was left out: the host cannot do it, or the faults were ended early: why
    cancelled  "inject" was written, but nothing was injected: why
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS = (
    "planned", "inject", "injected", "probed", "heal", "healed", "heal-probed",
    "step", "step-done", "failed", "skipped", "cancelled",
)  # fmt: skip
_TIMES = {"inject": "inject_ns", "step": "inject_ns", "heal": "heal_ns"}
_JSON_COLUMNS = ("asked", "targets", "requested", "measured")
BYTES_MAX = 256 << 20


class Journal:
    """Appends events; each is on disk when `append` returns. Threads may share it.

    A last line that a crash cut short is taken off first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = path.open("ab+", buffering=0)
            self._mend()
        except OSError as error:
            raise RecordError(f"cannot write {path}: {error.strerror}") from None

    def append(self, event: Mapping[str, Any]) -> None:
        """Write `event`; RecordError when it is no event, or the disk would not take it."""
        if event.get("event") not in EVENTS or not isinstance(event.get("id"), str):
            raise RecordError(f"expected an id and one of {', '.join(EVENTS)}, got {event!r}")
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._file.closed:
                raise RecordError(f"cannot write {self.path}: the run has ended")
            try:
                if self._file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file.fileno())
            except OSError as error:
                self._mend()
                raise RecordError(
                    f"cannot write {self.path}: {error.strerror}",
                    fix="free some space; a fault is only injected once it is in the journal",
                ) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _mend(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        if not data.endswith(b"\n"):
            self._file.truncate(data.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events, in order; none when there is no journal. Lines that are no events (a last line
    cut short, bytes a crash left behind) are passed over."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise RecordError(f"{path} is larger than the {BYTES_MAX} bytes that are read")
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from None
    events = (_event(line) for line in lines)
    return [event for event in events if event is not None]


def faults_from_journal(path: Path) -> pa.Table:
    """The journal's events folded into one row a fault or step (chaos.record.schema.FAULTS)."""
    # Imported here, for they take a while: whoever only heals has none to lose.
    from chaos.record.schema import FAULTS
    from chaos.record.tables import table_of

    rows: dict[str, dict[str, Any]] = {}
    for event in read_journal(path):
        row = rows.setdefault(event["id"], {"id": event["id"], "kind": "fault", "fault": ""})
        if event["event"] in ("step", "step-done"):
            row["kind"] = "step"
        if event["event"] == "failed":
            row["outcome"] = "failed"
        if (column := _TIMES.get(event["event"])) and isinstance(event.get("t_ns"), int):
            row[column] = event["t_ns"]
        if event["event"] == "inject":
            row["heal_outcome"] = "pending"
        if event["event"] == "cancelled":  # nothing was injected, so there is nothing to heal
            row.pop("inject_ns", None)
            row.pop("heal_outcome", None)
        row.update(
            {key: _cell(key, event[key]) for key in FAULTS.names if event.get(key) is not None}
        )
    return table_of(list(rows.values()), FAULTS, str(path))


def open_faults(path: Path) -> list[dict[str, Any]]:
    """Faults that were, or may have been, injected and not yet healed: each one's events, merged.

    An "inject" without an answer counts: it may have been done. "cancelled" says that it was not.
    A "healed" that the probe did not confirm does not count, unless its containers are gone.
    """
    found: dict[str, dict[str, Any]] = {}
    planned: dict[str, dict[str, Any]] = {}
    for event in read_journal(path):
        if event["event"] == "planned":
            planned[event["id"]] = event
        if event["event"] == "inject":
            found[event["id"]] = planned.get(event["id"], {}) | event
        elif event["id"] in found:
            found[event["id"]] |= event
        proven = event["event"] == "healed" and (
            event.get("removed") is True or event.get("heal_outcome", "confirmed") == "confirmed"
        )
        if proven or event["event"] == "cancelled":
            found.pop(event["id"], None)
    return list(found.values())


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    good = isinstance(event, dict) and isinstance(event.get("id"), str)
    return event if good and event.get("event") in EVENTS else None


def _cell(column: str, value: Any) -> Any:
    """`value` as its column wants it: JSON columns may be given as JSON text or as data."""
    if column in _JSON_COLUMNS and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value
