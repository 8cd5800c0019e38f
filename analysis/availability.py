"""How available the system was to its users, from the history alone.

Only requests that began in the load phase count, and no poll that was never sent because its client
had no logs yet (`NEVER_SENT`). Definitions, for a zone's requests:

- *answered*: `ok`, or a definite "no" that the system is there to give (`ANSWERS`: a compare-and-
  set that met another value, a lock that another has, a token that is too old). *unserved*: failed,
  indefinite, or answered later than `PATIENCE_NS`.
- **by requests**: answered ÷ all that were due. At a fixed rate that includes those a client left
  out because it still waited for an answer (`skipped` in run.json); in a closed loop nobody knows
  how many there would have been, and a waiting client counts as one request.
- **by time**: cut the phase into slots of 100 ms. A slot is up when an answered request ended in
  it; down when none did and an unserved request was in flight in it; otherwise nobody was let down
  and it does not count. Share of up among up and down; zones are weighted by their clients.
  (Windowed uptime, after Hauer et al., "Meaningful Availability", NSDI 2020.)
- **outage window**: a gap between two answers in which an unserved request began; it runs from
  the first such beginning to the answer that ends the gap (or the end of the load), and counts
  from 250 ms up.
- of probes each zone's requests of each probe are looked at by themselves, as `us-east-a/page`:
  a page that fails is down, though another probe of that zone was answered.
- **recovery**: from the end of the last fault until the end of the outage window then open, or
  beginning within `HOLD_NS` of it, and so on, in the slowest zone. None: not seen to recover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.history import FAIL, INFO, OK, Codes, History, Ints, Mask, read_history
from chaos.record.reader import RunData

SLOT_NS = 100_000_000
OUTAGE_NS = 250_000_000
PATIENCE_NS = 1_000_000_000
HOLD_NS = 2_000_000_000
ANSWERS = frozenset({"cas-mismatch", "held", "not-held", "stale-token"})
NEVER_SENT = "not-assigned"
PHASES = ("before fault", "during faults", "after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span on the run's clock, ns. `name` is a fault's id, or a zone's name."""

    name: str
    start_ns: int
    end_ns: int

    def overlaps(self, other: Window) -> bool:
        """Whether the two share a moment."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns


@dataclass(frozen=True, slots=True)
class Requests:
    """The load phase's requests as columns, in the order of their beginning."""

    start_ns: Ints
    end_ns: Ints
    zone: Codes  # index into `zones`
    f: Codes  # index into `fs`
    ok: Mask
    info: Mask
    answered: Mask
    unserved: Mask
    zones: Sequence[str]
    fs: Sequence[str]

    def where(self, chosen: Ints | Mask) -> Requests:
        """Those requests that a mask, or an order, chooses."""
        return Requests(
            self.start_ns[chosen],
            self.end_ns[chosen],
            self.zone[chosen],
            self.f[chosen],
            self.ok[chosen],
            self.info[chosen],
            self.answered[chosen],
            self.unserved[chosen],
            self.zones,
            self.fs,
        )

    def __len__(self) -> int:
        return len(self.start_ns)


def measure(run: RunData) -> dict[str, Any]:
    """Availability as `results.json` holds it (docs/interfaces.md): shares 0-1, times in s and ms.

    A share or a quantile over nothing is None. Never raises for a short or empty run.
    """
    load = load_phase(run)
    faults = fault_windows(run)
    requests = requests_of(run.history, load)
    zones = [requests.where(requests.zone == z) for z in range(len(requests.zones))]
    weights = _weights(run.meta, requests.zones)
    slots = [slot_counts(zone, load) for zone in zones]
    windows = [
        Window(name=name, start_ns=start, end_ns=end)
        for name, zone in zip(requests.zones, zones, strict=True)
        for start, end in outages(zone, load)
    ]
    recover_s, recover_why = recovery(zones, windows, faults)
    skipped = max(0, run.meta["skipped"])
    return {
        "by_requests": _share(int(requests.answered.sum()), len(requests) + skipped),
        "skipped": skipped,
        "by_time": _weighted([_share(up, up + down) for up, down in slots], weights),
        "load_s": round((load.end_ns - load.start_ns) / 1e9, 3),
        "down_s": _weighted([down * SLOT_NS / 1e9 for _, down in slots], weights),
        "longest_outage_s": _longest_s([(w.start_ns, w.end_ns) for w in windows]),
        "recover_s": recover_s,
        "recover_why": recover_why,
        "latency_ms": quantiles_ms(requests.where(requests.ok)),
        "latency_ms_by_phase": _latency_by_phase(requests, faults),
        "groups": _groups(requests, load),
        "windows": _describe(zones, requests.zones, windows, faults),
    }


def load_phase(run: RunData) -> Window:
    """The phase that counts; of a run cut short, up to the last thing it recorded."""
    ends = [t for t in (run.cut_ns, _last_ns(run.history)) if t is not None]
    last = max(ends, default=0)
    for phase in run.meta["phases"]:
        if phase["name"] == "load":
            start, end = phase["start_ns"], phase["end_ns"]
            return Window(name="load", start_ns=start, end_ns=max(start, end))
    return Window(name="load", start_ns=0, end_ns=max(0, last))


def fault_windows(run: RunData) -> list[Window]:
    """When each fault was there: from its injection until it was seen gone (or the run's end).

    Operator steps and faults that could not be injected have no window.
    """
    end_of_run = max(load_phase(run).end_ns, _last_ns(run.history) or 0)
    windows = []
    for row in run.faults.to_pylist():
        start = row["inject_ns"]
        if row["kind"] != "fault" or start is None or row["outcome"] == "failed":
            continue
        end = row["healed_ns"] if row["healed_ns"] is not None else row["heal_ns"]
        end = end_of_run if end is None else end
        windows.append(Window(name=str(row["id"]), start_ns=start, end_ns=max(start, end)))
    return sorted(windows, key=lambda w: w.start_ns)


def requests_of(table: pa.Table, load: Window) -> Requests:
    """The requests that began in `load`, by their beginning."""
    history = read_history(table)
    start, end = history.start_ns, history.end_ns
    ok, info = history.type == OK, history.type == INFO
    answered = ok | ((history.type == FAIL) & _was_answer(table))
    late = (end - start) > PATIENCE_NS
    within = (start >= load.start_ns) & (start < load.end_ns)
    chosen = np.flatnonzero(within & ~history.errors(NEVER_SENT))
    order = chosen[np.argsort(start[chosen], kind="stable")]
    f, unserved = history.f, ~answered | late
    zone, zones = _zones(history)
    every = Requests(start, end, zone, f.codes, ok, info, answered, unserved, zones, f.names)
    return every.where(order)


def _zones(history: History) -> tuple[Codes, Sequence[str]]:
    """Each request's zone; of a probe, the zone and what was probed: `us-east-a/page`."""
    zone, key = history.zone, history.key
    probes = history.f.equals("probe") & (key.codes >= 0)
    if not probes.any():
        return zone.codes, zone.names
    pairs = zone.codes.astype(np.int64) * (len(key.names) + 1) + np.where(probes, key.codes + 1, 0)
    known, codes = np.unique(pairs, return_inverse=True)
    names = [
        zone.names[z] + (f"/{key.names[k - 1]}" if k else "")
        for z, k in (divmod(int(pair), len(key.names) + 1) for pair in known)
    ]
    return codes.astype(np.int32), names


def _was_answer(table: pa.Table) -> Mask:
    """Which errors are answers: their code, the text before the colon, is one of `ANSWERS`."""
    errors = table.column("error").cast(pa.string())
    codes = pc.replace_substring_regex(errors, pattern=":.*", replacement="")
    found: Mask = pc.is_in(codes, value_set=pa.array(sorted(ANSWERS))).to_numpy()
    return found


def outages(requests: Requests, load: Window) -> list[tuple[int, int]]:
    """One zone's outage windows (see above) as (start_ns, end_ns), in order."""
    answers = np.sort(requests.end_ns[requests.answered])
    began = requests.start_ns[requests.unserved]
    gap = np.searchsorted(answers, began, side="right")
    gaps, first = np.unique(gap, return_index=True)  # `began` is sorted: first is the earliest
    ends = np.append(answers, load.end_ns)[gaps]
    starts = began[first]
    long = (np.minimum(ends, load.end_ns) - starts) >= OUTAGE_NS
    return list(zip(starts[long].tolist(), ends[long].tolist(), strict=True))


def slot_counts(requests: Requests, load: Window) -> tuple[int, int]:
    """How many slots of the load phase were up, and how many down, for these requests."""
    count = -(-(load.end_ns - load.start_ns) // SLOT_NS)
    if count <= 0:
        return 0, 0

    def slot(ns: Ints) -> Ints:
        return np.clip((ns - load.start_ns) // SLOT_NS, 0, count - 1)

    up = np.zeros(count, dtype=bool)
    within = requests.answered & (requests.end_ns < load.end_ns)
    up[slot(requests.end_ns[within])] = True
    begun = np.bincount(slot(requests.start_ns[requests.unserved]), minlength=count + 1)
    ended = np.bincount(slot(requests.end_ns[requests.unserved]) + 1, minlength=count + 1)
    waiting = np.cumsum(begun - ended)[:-1] > 0
    return int(up.sum()), int((waiting & ~up).sum())


def recovery(
    zones: Sequence[Requests], windows: Sequence[Window], faults: Sequence[Window]
) -> tuple[float | None, str]:
    """Seconds from the last fault's end until every zone is served again; and how to read it."""
    if not faults:
        return None, "no fault was injected"
    healed = max(fault.end_ns for fault in faults)
    back = healed
    for requests in zones:
        after = requests.end_ns[requests.answered & (requests.end_ns >= healed)]
        if not len(requests):
            continue
        if not len(after):
            return None, "a zone had no answer after the last fault ended"
        name = requests.zones[int(requests.zone[0])]
        at = healed
        for window in sorted((w for w in windows if w.name == name), key=lambda w: w.start_ns):
            if window.end_ns > at and window.start_ns <= at + HOLD_NS:
                at = window.end_ns
        if at > int(after.max()):
            return None, f"zone {name} had not recovered when the load ended"
        back = max(back, at)
    return round((back - healed) / 1e9, 3), "from the end of the last fault, slowest zone"


def quantiles_ms(requests: Requests) -> dict[str, float | None]:
    """p50, p90, p99 and max of these requests' latencies, ms."""
    names = ("p50", "p90", "p99", "max")
    if not len(requests):
        return dict.fromkeys(names)
    latencies_ns = requests.end_ns - requests.start_ns
    values = np.quantile(latencies_ns, (0.5, 0.9, 0.99, 1.0)) / 1e6
    return {name: round(float(v), 3) for name, v in zip(names, values, strict=True)}


def _latency_by_phase(requests: Requests, faults: Sequence[Window]) -> dict[str, Any]:
    if not faults:
        return {PHASES[0]: quantiles_ms(requests.where(requests.ok))}
    during = np.zeros(len(requests), dtype=bool)
    for fault in faults:
        during |= (requests.start_ns < fault.end_ns) & (requests.end_ns > fault.start_ns)
    before = ~during & (requests.start_ns < faults[0].start_ns)
    masks = (before, during, ~during & ~before)
    return {
        name: quantiles_ms(requests.where(requests.ok & mask))
        for name, mask in zip(PHASES, masks, strict=True)
    }


def _groups(requests: Requests, load: Window) -> list[dict[str, Any]]:
    groups = []
    for z, zone in enumerate(requests.zones):
        for k, f in enumerate(requests.fs):
            part = requests.where((requests.zone == z) & (requests.f == k))
            if not len(part):
                continue
            up, down = slot_counts(part, load)
            ok, info = int(part.ok.sum()), int(part.info.sum())
            groups.append(
                {
                    "zone": zone,
                    "f": f,
                    "ok": ok,
                    "fail": len(part) - ok - info,
                    "info": info,
                    "by_requests": _share(int(part.answered.sum()), len(part)),
                    "by_time": _share(up, up + down),
                    "longest_outage_s": _longest_s(outages(part, load)),
                }
            )
    return sorted(groups, key=lambda g: (g["zone"], g["f"]))


def _describe(
    zones: Sequence[Requests],
    names: Sequence[str],
    windows: Sequence[Window],
    faults: Sequence[Window],
) -> list[dict[str, Any]]:
    by_name = dict(zip(names, zones, strict=True))
    described = []
    for window in sorted(windows, key=lambda w: w.start_ns):
        zone = by_name[window.name]
        began = zone.start_ns[zone.unserved]
        low, high = np.searchsorted(began, (window.start_ns, window.end_ns))
        described.append(
            {
                "zone": window.name,
                "start_ns": window.start_ns,
                "end_ns": window.end_ns,
                "failed": int(high - low),
                "faults": [fault.name for fault in faults if fault.overlaps(window)],
            }
        )
    return described


def _last_ns(history: pa.Table) -> int | None:
    last: int | None = pc.max(history.column("end_ns")).as_py()
    return last


def _weights(meta: Mapping[str, Any], zones: Sequence[str]) -> list[float]:
    """Clients per zone; 1 for a zone that run.json does not know."""
    clients = meta["clients"]
    counts = [clients.get(zone.partition("/")[0]) for zone in zones]
    return [float(n) if isinstance(n, int) and n > 0 else 1.0 for n in counts]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _weighted(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    total = sum(w for _, w in known)
    return round(sum(v * w for v, w in known) / total, 6) if total else None


def _longest_s(spans: Sequence[tuple[int, int]]) -> float:
    return round(max((end - start for start, end in spans), default=0) / 1e9, 3)
