"""Page Run: the verdict in a sentence, then everything on one clock, then the operations."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from analysis.compare import row_of, usd
from analysis.doubts import doubts, left_out
from chaos.errors import AftershockError
from chaos.record.reader import RunData
from chaos.record.rundir import is_imported
from dashboard import clock, data, theme
from dashboard.views import common

ANOMALIES_SHOWN = 20
DOUBTS_SHOWN = 10
# Times of another tool's history may be the numbers of its events.
BEGUN = {False: "%.4f", True: "%.9f"}
TOOK = {False: "%.2f", True: "%.6f"}


def show() -> None:
    """The page. `?run=…&from=…&to=…` (seconds) is the whole state."""
    entries = data.entries()
    if not entries:
        st.title("Run")
        common.no_runs()
        return
    head, choice = st.columns([3, 2], vertical_alignment="bottom")
    with choice:
        entry = common.pick("Run", "run", entries, entries[0])
    with head:
        st.title(theme.plain(entry.name, 80))
    if entry.summary is None:
        st.error(theme.plain(entry.problem, 600), icon=":material/error:")
        return
    _made(entry.summary.meta)
    run = _read(entry)
    _verdict(entry)
    if run is not None:
        _timeline(entry, run)


def _made(meta: dict[str, Any]) -> None:
    """When and on what the run was made; of an imported history, what it was read from."""
    if is_imported(meta):
        imported = meta["imported"]
        st.caption(theme.plain(f"imported from {imported.get('file')} ({imported['format']})"))
        return
    nodes = ", ".join(_node(node) for node in meta["nodes"])
    facts = [meta["started_utc"].replace("T", " "), f"seed {meta['seed']}", nodes]
    st.caption(" · ".join(theme.plain(fact) for fact in facts if fact))


def _node(node: dict[str, Any]) -> str:
    group = f" ({node['group']})" if node.get("group") else ""
    return f"{node.get('name')}{group} in {node.get('zone')}"


def _read(entry: data.Entry) -> RunData | None:
    """The run's tables, and what is to be known first: faults that did not take effect or did not
    end, a run cut short, one that still goes on."""
    try:
        run = data.run_of(entry)
    except AftershockError as error:
        common.explain(error)
        return None
    for doubt in doubts(run)[:DOUBTS_SHOWN]:
        st.error(theme.plain(doubt, 600), icon=":material/report:")
    for sentence in left_out(run)[:DOUBTS_SHOWN]:
        st.warning(theme.plain(sentence, 600), icon=":material/block:")
    for note in run.notes:
        st.warning(theme.plain(note[:1].upper() + note[1:], 600), icon=":material/content_cut:")
    return run


def _verdict(entry: data.Entry) -> None:
    """The verdict and the figures, after how many faults are in doubt."""
    if entry.summary is None or entry.summary.results is None:
        st.info("This run has not been judged yet.", icon=":material/gavel:")
        st.code(f"aftershock check {entry.path}", language="bash")
        return
    results = entry.summary.results
    row = row_of(entry.summary)
    faults = results.get("faults") or {}
    doubtful = [f"{faults[k]} {k}" for k in ("mismatch", "inconclusive") if faults.get(k)]
    if doubtful:
        st.warning(
            f"Of {faults.get('injected')} faults, {' and '.join(doubtful)}: they may not have "
            "taken effect as asked.",
            icon=":material/warning:",
        )
    shape, word, _ = theme.VERDICTS[entry.verdict]
    box = {"valid": st.success, "invalid": st.error}.get(entry.verdict, st.warning)
    summary = str(results.get("summary") or "")
    box(f"{shape} **{word}** — {theme.plain(summary, 900)}")
    counts = results.get("counts") or {}
    done = " · ".join(f"{counts.get(k, 0):,} {k}" for k in ("ok", "fail", "info"))
    if is_imported(entry.summary.meta):
        st.caption(f"Operations: {done}")
        return
    lost = theme.NONE if row.lost is None else f"{row.lost:,}"
    share = row.lost_share
    figures = [
        ("Acknowledged, lost", lost, f"{share:.0%} of {row.acknowledged:,}" if share else None),
        ("Two primaries for", theme.seconds(row.two_at_once_s), None),
        ("Served, by requests", theme.percent(row.by_requests), None),
        ("Served, by time", theme.percent(row.by_time), None),
        ("Longest outage", theme.seconds(row.longest_outage_s), None),
        ("Recovery", theme.seconds(row.recover_s), None),
        ("p99", theme.number(row.p99_ms, "ms"), None),
        ("Cost a month", usd(row.usd_month) if row.usd_month is not None else theme.NONE, None),
    ]
    # Two rows: eight in one are cut short on a laptop's screen.
    columns = [column for _ in range(2) for column in st.columns(4)]
    for column, (name, value, delta) in zip(columns, figures, strict=True):
        column.metric(name, value, delta, delta_color="inverse", delta_arrow="off")
    st.caption(f"Operations: {done} · faults: {theme.plain(_fault_line(faults))}")


def _fault_line(faults: dict[str, Any]) -> str:
    words = ("injected", "confirmed", "mismatch", "inconclusive", "healed", "skipped")
    return ", ".join(f"{faults[w]} {w}" for w in words if faults.get(w)) or "none"


def _timeline(entry: data.Entry, run: RunData) -> None:
    series = data.series(entry)
    window = _window()
    st.caption("Drag across the chart to choose a window; what is below it follows.")
    st.plotly_chart(
        clock.figure(series, window),
        key="clock",
        on_select=_dragged,
        selection_mode="box",
        config={"displaylogo": False, "scrollZoom": False},
    )
    start, end = window or (series.start, series.end)
    _below(entry, run, series, start, end, chosen=window is not None)


def _window() -> tuple[float, float] | None:
    """`?from=…&to=…` in seconds; None when there is none, or it is no window."""
    try:
        start, end = (float(st.query_params[name]) for name in ("from", "to"))
    except (KeyError, ValueError):
        return None
    return (start, end) if -1e9 < start < end < 1e9 else None


def _dragged() -> None:
    """A box was drawn: its sides become the window in the address."""
    boxes = st.session_state["clock"]["selection"]["box"]
    if boxes:
        sides = sorted(float(x) for x in boxes[0]["x"])
        st.query_params["from"] = f"{sides[0]:.3f}"
        st.query_params["to"] = f"{sides[-1]:.3f}"


def _clear() -> None:
    for name in ("from", "to"):
        st.query_params.pop(name, None)


def _below(
    entry: data.Entry,
    run: RunData,
    series: data.Series,
    start: float,
    end: float,
    *,
    chosen: bool,
) -> None:
    head, button = st.columns([5, 1], vertical_alignment="bottom")
    where = f"{start:.2f} s to {end:.2f} s" if chosen else "the whole run"
    head.subheader(f"Window: {where}")
    if chosen:
        button.button("Whole run", on_click=_clear, width="stretch")
    kinds = st.pills(
        "Outcomes", ["ok", "fail", "info"], selection_mode="multi", key="kinds", default=[]
    )
    cut = data.cut(run, start, end, kinds)
    near = series.anomalies[series.anomalies["t"].between(start, end)]
    seen = series.faults[(series.faults["start"] <= end) & (series.faults["end"] >= start)]
    counts = " · ".join(f"**{cut.counts.get(k, 0):,}** {k}" for k in ("ok", "fail", "info"))
    marks = f"**{len(near):,}** operations named by anomalies"
    st.markdown(f"{counts} · {marks} · **{len(seen)}** faults")
    foreign = is_imported(run.meta)
    if cut.total > len(cut.rows):
        st.caption(f"The first {len(cut.rows):,} of {cut.total:,} operations.")
    st.dataframe(
        cut.rows,
        hide_index=True,
        height=360,
        column_config={
            "begun (s)": st.column_config.NumberColumn(format=BEGUN[foreign]),
            "took (ms)": st.column_config.NumberColumn(format=TOOK[foreign]),
        },
    )
    _details(entry, seen)


def _details(entry: data.Entry, faults: pd.DataFrame) -> None:
    results = (entry.summary.results if entry.summary else None) or {}
    found = [a for c in results.get("checks") or [] for a in c.get("anomalies") or []]
    if found:
        with st.expander(f"Anomalies of the whole run ({len(found)})", expanded=True):
            for anomaly in found[:ANOMALIES_SHOWN]:
                during = ", ".join(map(str, anomaly.get("faults") or [])) or "no fault"
                name, count = anomaly.get("name"), anomaly.get("count")
                head = f"**{theme.plain(name)}** × {theme.plain(count)}"
                foreign = entry.summary is not None and is_imported(entry.summary.meta)
                st.markdown(head if foreign else f"{head}, during {theme.plain(during)}")
                st.caption(theme.plain(anomaly.get("argument") or "", 1200))
    if len(faults):
        with st.expander(f"Faults and operator steps in the window ({len(faults)})"):
            shown = faults.assign(targets=faults["targets"].map(data.pretty))
            st.dataframe(shown, hide_index=True)
    cost = results.get("cost") or {}
    if cost.get("lines"):
        with st.expander("What it would cost a month, line by line"):
            st.dataframe(pd.DataFrame(cost["lines"]), hide_index=True)
            st.caption(theme.plain((cost.get("measured") or {}).get("statement") or "", 600))
            for note in cost.get("notes") or []:
                st.caption(theme.plain(note))


if __name__ == "__main__":
    show()
