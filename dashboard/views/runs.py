"""Page Runs: every run, newest first, its verdict before anything else."""

from __future__ import annotations

import streamlit as st

from analysis.compare import Row, row_of, usd
from dashboard import data, theme
from dashboard.views import common

WIDTHS = (1.3, 3.6, 1.9, 2.1, 1.3, 1.3, 1.3)
HEADS = ("Verdict", "Run", "Started (UTC)", "Lost of acknowledged", "Served", "p99", "$ / month")
SHOWN = 50


def show() -> None:
    """The page."""
    st.title("Runs")
    entries = data.entries()
    if not entries:
        common.no_runs()
        return
    limit = st.session_state.setdefault("runs_shown", SHOWN)
    for column, head in zip(st.columns(WIDTHS), HEADS, strict=True):
        column.caption(head)
    for entry in entries[:limit]:
        _line(entry)
    if len(entries) > limit and st.button(f"Show more ({len(entries) - limit} older)"):
        st.session_state["runs_shown"] = limit + SHOWN
        st.rerun()


def _line(entry: data.Entry) -> None:
    columns = st.columns(WIDTHS, vertical_alignment="center")
    columns[0].markdown(theme.badge(entry.verdict))
    if entry.summary is None:
        columns[1].markdown(f"**{theme.plain(entry.key, 80)}**")
        columns[1].caption(theme.plain(entry.problem, 200))
        return
    columns[1].page_link(
        st.session_state["pages"]["run"],
        label=f"**{theme.plain(entry.name, 60)}**",
        query_params={"run": entry.key},
    )
    meta = entry.summary.meta
    columns[2].markdown(theme.plain(meta["started_utc"].replace("T", " ").rstrip("Z"), 19))
    if meta["state"] in ("interrupted", "failed"):
        columns[2].caption(theme.plain(f"{meta['state']}: {meta['reason']}", 80))
    for column, text in zip(columns[3:], _figures(row_of(entry.summary)), strict=True):
        column.markdown(text)


def _figures(row: Row) -> tuple[str, str, str, str]:
    lost = theme.NONE
    if row.lost is not None:
        lost = f"{row.lost:,}" + ("" if row.acknowledged is None else f" of {row.acknowledged:,}")
        lost = f":red[**{lost}**]" if row.lost else lost
    cost = theme.NONE if row.usd_month is None else usd(row.usd_month).replace("$", r"\$")
    return lost, theme.percent(row.by_requests), theme.number(row.p99_ms, "ms"), cost


if __name__ == "__main__":
    show()
