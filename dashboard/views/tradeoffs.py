"""Page Trade-offs: two runs side by side, and the price at which the safer one wins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from analysis.compare import Assumptions, Comparison, Row, compare, monthly_cost, usd
from chaos.errors import AftershockError
from dashboard import data, theme
from dashboard.views import common

LOST_USD = [0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000]
HOUR_USD = [0, 10, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 300_000, 1_000_000]


def show() -> None:
    """The page. `?naked=…&guarded=…` name the runs."""
    st.title("Trade-offs")
    entries = [e for e in data.entries() if e.summary and e.summary.results]
    if len(entries) < 2:
        st.info("Two judged runs are needed to weigh one against the other.")
        common.no_runs()
        return
    naked, guarded = default_pair(entries)
    left, right = st.columns(2)
    with left:
        naked = common.pick("As it is (naked)", "naked", entries, naked)
    with right:
        guarded = common.pick("The safer one (guarded)", "guarded", entries, guarded)
    try:
        _page(naked, guarded)
    except AftershockError as error:
        common.explain(error)


def default_pair(entries: list[data.Entry]) -> tuple[data.Entry, data.Entry]:
    """The newest run whose name is another's plus `-guarded` (or `-sync`), with that other."""
    for guarded in entries:
        for ending, plain in (("-guarded", ""), ("-sync", "-async"), ("-sync", "")):
            if guarded.name.endswith(ending):
                wanted = guarded.name.removesuffix(ending) + plain
                naked = next((e for e in entries if e.name == wanted), None)
                if naked:
                    return naked, guarded
    return entries[1], entries[0]


def _page(naked: data.Entry, guarded: data.Entry) -> None:
    with st.container(border=True):
        st.markdown("**Your prices** — runs cannot know them; the figures are yours to choose.")
        one, two, three = st.columns(3)
        lost_usd = one.select_slider(
            "Price of a lost write", LOST_USD, value=1, format_func=_dollars, key="lost_usd"
        )
        hour_usd = two.select_slider(
            "Price of an hour down", HOUR_USD, value=1000, format_func=_dollars, key="hour_usd"
        )
        faults = three.number_input(
            "Such faults a month", min_value=0.1, max_value=100.0, value=1.0, step=0.5
        )
    assumptions = Assumptions(faults_per_month=float(faults), downtime_usd_per_hour=float(hour_usd))
    summaries = [entry.summary for entry in (naked, guarded) if entry.summary]
    found = compare(summaries, assumptions)
    st.info(theme.plain(found.break_evens[0].sentence, 900), icon=":material/balance:")
    names = _names(naked, guarded)
    st.dataframe(_table(found, names), hide_index=True, height="content")
    for note in found.notes:
        st.caption(theme.plain(note))
    _chart(found, assumptions, float(lost_usd), names)
    st.caption(
        "Losses and downtime are those of these two runs, under their own load and one fault "
        "each; a month with another load or other faults has others."
    )


def _names(naked: data.Entry, guarded: data.Entry) -> tuple[str, str]:
    """What to call the two; runs of one experiment need their folder's name as well."""
    if naked.name != guarded.name:
        return naked.name, guarded.name
    return naked.key, guarded.key if guarded.key != naked.key else f"{guarded.key} (the same)"


def _table(found: Comparison, names: tuple[str, str]) -> pd.DataFrame:
    first, second = found.rows
    lines = [
        ("Verdict", *(_verdict(r) for r in found.rows), ""),
        _line("Acknowledged writes lost", first.lost, second.lost, lambda v: f"{v:,.0f}"),
        ("Acknowledged writes", *(theme.number(r.acknowledged) for r in found.rows), ""),
        _line("Share lost", first.lost_share, second.lost_share, theme.percent, theme.points),
        _line("Two primaries for", first.two_at_once_s, second.two_at_once_s, theme.seconds),
        _line(
            "Served, by requests",
            first.by_requests,
            second.by_requests,
            theme.percent,
            theme.points,
        ),
        _line("Served, by time", first.by_time, second.by_time, theme.percent, theme.points),
        _line("Down, mean of clients", first.down_s, second.down_s, theme.seconds),
        _line("Longest outage", first.longest_outage_s, second.longest_outage_s, theme.seconds),
        _line("Recovery", first.recover_s, second.recover_s, theme.seconds),
        _line("p99 latency", first.p99_ms, second.p99_ms, lambda v: theme.number(v, "ms")),
        _line("Infrastructure, $/month", first.usd_month, second.usd_month, usd),
    ]
    kinds = sorted(set(first.anomalies) | set(second.anomalies))
    for kind in kinds:
        one, two = first.anomalies.get(kind, 0), second.anomalies.get(kind, 0)
        lines.append(_line(f"Anomalies: {kind}", one, two, lambda v: f"{v:,.0f}"))
    return pd.DataFrame(lines, columns=["", *names, "Difference"])


def _line(
    name: str,
    one: float | None,
    two: float | None,
    shown: theme.Show,
    difference: theme.Show | None = None,
) -> tuple[str, str, str, str]:
    texts = [theme.NONE if v is None else shown(v) for v in (one, two)]
    if one is None or two is None:
        return name, texts[0], texts[1], theme.NONE
    change = two - one
    sign = "+" if change > 0 else "−"
    text = sign + (difference or shown)(abs(change))
    return name, texts[0], texts[1], text if change else "same"


def _verdict(row: Row) -> str:
    shape, word, _ = theme.VERDICTS[row.verdict]
    return f"{shape} {word}"


def _chart(
    found: Comparison, assumptions: Assumptions, lost_usd: float, names: tuple[str, str]
) -> None:
    """A month's whole cost over the price of a lost write, with the crossing marked."""
    break_even = found.break_evens[0]
    if any(r.usd_month is None or r.down_s is None or r.lost is None for r in found.rows):
        st.caption("No chart: cost, downtime or losses of one of the runs are not known.")
        return
    low = min((break_even.usd_per_lost_write or 0.01) / 10, 0.001)
    top = max(break_even.usd_per_lost_write or 1.0, 10.0) * 10
    prices = np.geomspace(low, top, 200)
    chart = go.Figure()
    looks = ((theme.ALARM, "dash"), (theme.PRIMARY, "solid"))
    for row, name, (colour, dash) in zip(found.rows, names, looks, strict=True):
        parts = [monthly_cost(row, assumptions, float(p)) for p in prices]
        total = [sum(v or 0.0 for v in part.values()) for part in parts]
        chart.add_scatter(
            x=prices, y=total, name=theme.label(name), mode="lines",
            line={"color": colour, "dash": dash, "width": 2.5}, hovertemplate="$%{y:,.2f}",
        )  # fmt: skip
    _mark(chart, break_even.usd_per_lost_write, "break-even", "gray", 1.0)
    _mark(chart, lost_usd, "your price", theme.INFO, 0.9)
    chart.update_xaxes(
        type="log",
        title="price of a lost write ($, log)",
        gridcolor=theme.GRID,
        tickprefix="$",
        tickformat="~g",
    )
    chart.update_yaxes(
        title="$ a month, all in (log)",
        type="log",
        gridcolor=theme.GRID,
        tickprefix="$",
        tickformat="~s",
    )
    chart.update_layout(**theme.layout(height=380))
    chart.update_layout(margin={"t": 40, "b": 40, "l": 60})
    st.subheader("What a month costs, all in")
    st.plotly_chart(chart, key="costs", config={"displaylogo": False})


def _mark(chart: go.Figure, price: float | None, name: str, colour: str, height: float) -> None:
    """A vertical line with words at a price; zero is not on a logarithmic axis."""
    if not price or price <= 0:
        return
    chart.add_vline(price, line={"dash": "dot", "width": 2, "color": colour})
    chart.add_annotation(
        x=float(np.log10(price)), y=height, yref="paper", text=f"{name} {usd(price)}",
        showarrow=False, xanchor="left", xshift=4, yanchor="top",
    )  # fmt: skip


def _dollars(value: float) -> str:
    return f"${value:,.0f}" if value >= 1 or not value else f"${value:g}"


if __name__ == "__main__":
    show()
