"""What the pages read: run directories, cached by path and time of change, small enough to draw.

A chart never gets more than `BINS` points a line: the history is counted into bins here, so that a
run of a million operations is as quick to show as one of a thousand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from analysis.compare import row_of
from analysis.primaries import groups_of
from chaos.errors import AftershockError, RecordError
from chaos.record import rundir
from chaos.record.reader import RunData, RunSummary, find_runs, open_run, run_summary

BINS = 600
PAYLOAD_SHOWN = 200  # characters
ROWS_SHOWN = 500
S = 1e9


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list of runs; `problem` says why it cannot be read."""

    key: str  # what `?run=` calls it
    path: Path
    summary: RunSummary | None
    problem: str = ""

    @property
    def verdict(self) -> str:
        """A key of `theme.VERDICTS`."""
        if self.summary is None:
            return "unreadable"
        if self.summary.results is None:
            return "running" if self.summary.meta["state"] == "running" else "not judged"
        verdict = self.summary.results.get("verdict")
        return verdict if verdict in ("valid", "invalid") else "unknown"

    @property
    def name(self) -> str:
        """The experiment's name, or the folder's."""
        return str((self.summary and self.summary.meta["name"]) or self.path.name)


def roots(arguments: Sequence[str] | None = None) -> list[Path]:
    """The folders after `--runs` on the command line; `runs` here if there are none."""
    words = list(sys.argv if arguments is None else arguments)
    given = words[words.index("--runs") + 1 :] if "--runs" in words else []
    return [Path(word).resolve() for word in given] or [Path("runs").resolve()]


def entries() -> list[Entry]:
    """Every run in the roots, newest first. Never raises for what a folder holds."""
    found: dict[str, Entry] = {}
    for root in roots():
        for path in find_runs(root):
            key = "/".join(path.parts[-2:])
            while key in found and found[key].path != path:
                key += "+"
            found.setdefault(key, _entry(key, path))
    return sorted(found.values(), key=_started, reverse=True)


def _entry(key: str, path: Path) -> Entry:
    try:
        return Entry(key, path, _summary(str(path), _changed(path)))
    except AftershockError as error:
        return Entry(key, path, None, str(error))
    except (AttributeError, TypeError) as error:
        return Entry(key, path, None, f"{rundir.RESULTS} is not one of ours: {error}")


def _started(entry: Entry) -> str:
    return str(entry.summary.meta["started_utc"]) if entry.summary else ""


def _changed(path: Path) -> tuple[float, ...]:
    """When each part of the run changed last; part of every cache's key."""
    names = (rundir.RUN_JSON, rundir.RESULTS, rundir.HISTORY, rundir.SAMPLES, rundir.FAULTS)
    files = [path / name for name in (*names, rundir.JOURNAL)]
    files += sorted((path / rundir.SEGMENTS).glob("*"))  # of a run that goes on, or was cut
    return tuple(_time(file) for file in files)


def _time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


@st.cache_data(show_spinner=False, max_entries=500)
def _summary(path: str, changed: tuple[float, ...]) -> RunSummary:
    summary = run_summary(Path(path))
    row_of(summary)  # refuses figures that are no figures
    if not _shaped(summary.results or {}):
        raise RecordError(
            f"{Path(path) / rundir.RESULTS} is not as `aftershock check` writes it",
            fix=f"judge the run again: aftershock check {path}",
        )
    return summary


def _shaped(results: Mapping[str, Any]) -> bool:
    """Whether the parts that pages loop over and print are lists and numbers."""
    cost = results.get("cost") or {}
    numbers = [*(results.get("counts") or {}).values(), *(results.get("faults") or {}).values()]
    anomalies = [a for c in results.get("checks") or [] for a in c.get("anomalies") or []]
    lists = [a.get(key) or [] for a in anomalies for key in ("operations", "instances", "faults")]
    lists += [cost.get("lines") or [], cost.get("notes") or []]
    return (
        all(isinstance(n, int) for n in numbers)
        and all(isinstance(part, list) for part in lists)
        and all(isinstance(line, dict) for line in cost.get("lines") or [])
        and isinstance(cost.get("measured") or {}, dict)
    )


@st.cache_resource(show_spinner="Reading the run …", max_entries=4)
def _run(path: str, changed: tuple[float, ...]) -> RunData:
    return open_run(Path(path))


@dataclass(frozen=True, slots=True)
class Series:
    """A run counted into bins. Times in seconds since the clients began."""

    ops: pd.DataFrame  # t, ok, fail, info (operations/s), p50, p99 (ms of ok operations)
    lanes: pd.DataFrame  # node, role, start, end
    two_primaries: list[tuple[float, float]]
    lag: pd.DataFrame  # t, node, lag_ms
    anomalies: pd.DataFrame  # t, name, operation
    faults: pd.DataFrame  # id, fault, kind, start, end, outcome
    start: float
    end: float


def run_of(entry: Entry) -> RunData:
    """The tables of a run; RecordError when they cannot be read."""
    return _run(str(entry.path), _changed(entry.path))


def series(entry: Entry) -> Series:
    """Everything the Run page's chart shows."""
    return _series(str(entry.path), _changed(entry.path))


@st.cache_resource(show_spinner="Drawing the run …", max_entries=16)
def _series(path: str, changed: tuple[float, ...]) -> Series:
    run = _run(path, changed)
    summary = _summary(path, changed)
    results = summary.results or {}
    start, end = _range(run)
    return Series(
        ops=_binned(run.history, start, end, 1e-9 if rundir.is_imported(run.meta) else 1e-3),
        lanes=_lanes(_by_group(run), end),
        two_primaries=_spans((results.get("primaries") or {}).get("windows")),
        lag=_lag(_by_group(run)),
        anomalies=_anomalies(results, run.history),
        faults=_faults(run.faults, end),
        start=start,
        end=end,
    )


def _range(run: RunData) -> tuple[float, float]:
    columns = (run.history["start_ns"], run.history["end_ns"], run.samples["t_ns"])
    times = [t for column in columns for t in _bounds(column)]
    if rundir.is_imported(run.meta) and times:  # on a clock of its own, or without one
        return min(times) / S, max(max(times), min(times) + 1) / S
    return min([*times, 0]) / S, max([*times, 1]) / S


def _bounds(column: pa.ChunkedArray) -> list[int]:
    found = pc.min_max(column).as_py()
    return [t for t in found.values() if t is not None]


def _binned(history: pa.Table, start: float, end: float, least: float) -> pd.DataFrame:
    """Operations a second by outcome, by when they ended, and quantiles of latency; in bins of
    `least` seconds or more."""
    width = _nice(max((end - start) / BINS, least))
    count = max(1, int(np.ceil((end - start) / width)))
    ended = history["end_ns"].to_numpy() / S
    slot = np.clip(((ended - start) / width).astype(np.int64), 0, count - 1)
    kinds = history["type"].cast(pa.string())
    frame = pd.DataFrame({"t": start + (np.arange(count) + 0.5) * width})
    for kind in ("ok", "fail", "info"):
        mask = pc.equal(kinds, kind).to_numpy()
        frame[kind] = np.bincount(slot[mask], minlength=count) / width
    ok = pc.equal(kinds, "ok").to_numpy()
    latency_ms = (ended - history["start_ns"].to_numpy() / S)[ok] * 1e3
    order = np.lexsort((latency_ms, slot[ok]))
    sizes = np.bincount(slot[ok], minlength=count)
    firsts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        at = np.minimum(firsts + np.floor(share * sizes).astype(np.int64), firsts + sizes - 1)
        values = np.full(count, np.nan)
        values[sizes > 0] = latency_ms[order][at[sizes > 0]]
        frame[name] = values
    return frame


def _nice(width: float) -> float:
    """The next larger 1, 2 or 5 × 10^n."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= width * (1 - 1e-9)))


def _by_group(run: RunData) -> pa.Table:
    """The samples, with each node called GROUP/NODE where the topology has groups."""
    groups = groups_of(run.meta)
    if not any(groups.values()):
        return run.samples
    names = [f"{groups[n]}/{n}" if groups.get(n) else n for n in run.samples["node"].to_pylist()]
    at = run.samples.column_names.index("node")
    return run.samples.set_column(at, "node", pa.array(names, pa.string()))


def _lanes(samples: pa.Table, end: float) -> pd.DataFrame:
    """Spans in which a node kept claiming one role; a claim holds until the node's next one."""
    frame = samples.select(["t_ns", "node", "role"]).to_pandas().sort_values(["node", "t_ns"])
    frame["role"] = frame["role"].fillna("unknown")
    changed = (frame["node"] != frame["node"].shift()) | (frame["role"] != frame["role"].shift())
    begun = frame[changed].copy()
    begun["start"] = begun["t_ns"] / S
    begun["end"] = begun.groupby("node")["start"].shift(-1).fillna(end)
    lanes: pd.DataFrame = begun[["node", "role", "start", "end"]].reset_index(drop=True)
    return lanes


def _lag(samples: pa.Table) -> pd.DataFrame:
    frame = samples.select(["t_ns", "node", "lag_ms"]).to_pandas()
    frame["t"] = frame.pop("t_ns") / S
    parts = []
    for _, part in frame.groupby("node", sort=True):
        step = -(-len(part) // BINS)
        parts.append(part if step <= 1 else _widest(part, step))
    return pd.concat(parts) if parts else frame  # type: ignore[no-any-return]


def _widest(part: pd.DataFrame, step: int) -> pd.DataFrame:
    """One sample of every `step`: the one with the most lag, so that no peak is lost."""
    group = np.arange(len(part)) // step
    worst = part["lag_ms"].fillna(-1.0).groupby(group).idxmax()
    return part.loc[worst]


def _anomalies(results: Mapping[str, Any], history: pa.Table) -> pd.DataFrame:
    """The operations that anomalies count (or that prove them), when they ended; `BINS` a name.

    `results.json` may list fewer than it counts; then the name says how many of how many.
    """
    rows: list[dict[str, Any]] = []
    ends = history["end_ns"]
    for check in results.get("checks") or []:
        for found in check.get("anomalies") or []:
            named = found.get("instances") or found.get("operations") or []
            inside = [i for i in named if isinstance(i, int) and 0 <= i < len(ends)]
            count = found.get("count")
            some = isinstance(count, int) and count > len(inside)
            name = (
                f"{found.get('name')} ({len(inside)} of {count:,})" if some else found.get("name")
            )
            inside = inside[:: -(-len(inside) // BINS) or 1]  # evenly, so that the span shows
            rows += [{"t": ends[i].as_py() / S, "name": str(name), "operation": i} for i in inside]
            if not inside and isinstance(found.get("first_ns"), int):
                rows.append({"t": found["first_ns"] / S, "name": str(name), "operation": -1})
    return pd.DataFrame(rows, columns=["t", "name", "operation"])


def _faults(faults: pa.Table, end: float) -> pd.DataFrame:
    frame = faults.to_pandas()
    frame = frame[frame["inject_ns"].notna()]
    healed = frame["healed_ns"].fillna(frame["heal_ns"]) / S
    step = frame["kind"] == "step"
    frame["start"] = frame["inject_ns"] / S
    frame["end"] = healed.where(healed.notna(), end).where(~step, frame["start"])
    columns = ["id", "fault", "kind", "start", "end", "outcome", "heal_outcome", "targets", "why"]
    shown: pd.DataFrame = frame[columns].reset_index(drop=True)
    return shown


def _spans(windows: Any) -> list[tuple[float, float]]:
    found = windows if isinstance(windows, list) else []
    return [
        (w["start_ns"] / S, w["end_ns"] / S)
        for w in found
        if isinstance(w, dict) and isinstance(w.get("start_ns"), int) and "end_ns" in w
    ]


@dataclass(frozen=True, slots=True)
class Cut:
    """The operations within a window: how many, and the first `ROWS_SHOWN` of them."""

    counts: dict[str, int]
    rows: pd.DataFrame
    total: int


def cut(run: RunData, start: float, end: float, kinds: Sequence[str] = ()) -> Cut:
    """Operations in flight within [start, end] seconds; `kinds` keeps only some outcomes."""
    history = run.history
    low, high = int(start * S), int(end * S)
    within = (history["start_ns"].to_numpy() <= high) & (history["end_ns"].to_numpy() >= low)
    index = np.flatnonzero(within)
    types = history["type"].take(index).cast(pa.string())
    counts = {d["values"]: d["counts"] for d in pc.value_counts(types).to_pylist()}
    if kinds:
        index = index[pc.is_in(types, value_set=pa.array(list(kinds))).to_numpy()]
    shown = history.take(index[:ROWS_SHOWN]).to_pandas()
    rows = pd.DataFrame(
        {
            "operation": index[:ROWS_SHOWN],
            "begun (s)": shown["start_ns"] / S,
            "took (ms)": (shown["end_ns"] - shown["start_ns"]) / 1e6,
            "process": shown["process"],
            "zone": shown["zone"].astype(str),
            "node": shown["node"].astype(str),
            "does": shown["f"].astype(str),
            "key": shown["key"].astype("string"),
            "value": shown["value"].astype("Int64"),
            "payload": shown["payload"].astype("string").str.slice(0, PAYLOAD_SHOWN),
            "outcome": shown["type"].astype(str),
            "error": shown["error"].astype("string"),
        }
    )
    return Cut(counts, rows, len(index))


def pretty(text: Any) -> str:
    """A JSON list of names as a line, "|" between the sides of a cut; anything else as it is."""
    try:
        data = json.loads(text)
    except (TypeError, ValueError):
        return "" if text is None else str(text)
    line = ", ".join(map(str, data)) if isinstance(data, list) else str(data)
    return line.replace(", |, ", " | ")
