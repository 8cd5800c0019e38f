"""The Run page's chart: everything that happened in a run, on one clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard import theme
from dashboard.data import Series, pretty

PANELS = {  # title above the panel, relative height
    "faults": ("Faults", 0.5),
    "roles": ("Who claims to be primary", 1.0),
    "rate": ("Operations per second", 1.6),
    "latency": ("Latency of ok operations, ms", 1.3),
    "lag": ("Replication lag, ms", 0.9),
    "anomalies": ("Operations that an anomaly names", 0.6),
}
DASHES = {"solid": "━", "dash": "╍", "dot": "┅"}
FAULT_ROWS_MAX = 6  # more faults than this take turns at the rows, and are named more briefly
PIXELS = 118  # of a panel of height 1


def figure(data: Series, window: tuple[float, float] | None) -> go.Figure:
    """The chart; `window` (seconds) is outlined. All names in it are escaped."""
    fault_rows = max(1, len(data.faults))
    nodes = list(dict.fromkeys(data.lanes["node"]))
    names = list(dict.fromkeys(data.anomalies["name"]))
    heights = {name: share for name, (_, share) in PANELS.items()}
    heights["faults"] = 0.32 * min(fault_rows, FAULT_ROWS_MAX) + 0.12
    heights["roles"] = 0.28 * max(len(nodes), 1) + 0.1
    heights["anomalies"] = 0.28 * max(len(names), 1) + 0.15
    chart = make_subplots(
        rows=len(PANELS),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.045,
        row_heights=list(heights.values()),
        subplot_titles=_titles(data),
    )
    _faults(chart, data.faults)
    _roles(chart, data, nodes)
    _rate(chart, data.ops)
    _latency(chart, data.ops)
    _lag(chart, data.lag)
    _anomalies(chart, data.anomalies, names)
    _axes(chart, data)
    if window:
        chart.add_vrect(
            *window,
            line={"color": theme.PRIMARY, "width": 1.5, "dash": "dash"},
            fillcolor=theme.PRIMARY,
            opacity=0.10,
            layer="below",
            row="all",
            col=1,
        )
    height = int(sum(heights.values()) * PIXELS + 44 * len(PANELS))
    chart.update_layout(**theme.layout(height=height))
    chart.update_layout(
        margin={"t": 34, "b": 36},
        dragmode="select",
        selectdirection="h",
        barmode="overlay",
        hoverlabel={"namelength": -1},
        showlegend=False,
    )
    return chart


def row(panel: str) -> int:
    """A panel's row in the chart, from 1."""
    return list(PANELS).index(panel) + 1


def _titles(data: Series) -> list[str]:
    """Each panel's title with its own legend: colour and shape beside every name."""
    roles = [
        ("■", colour, role)
        for role, (colour, _) in theme.ROLES.items()
        if (data.lanes["role"] == role).any()
    ]
    rates = [(DASHES[look["dash"]], look["color"], k) for k, look in theme.OUTCOMES.items()]
    lags = [("━", colour, theme.label(node)) for node, colour, _ in _lagging(data.lag)]
    quantiles = [("━", theme.REPLICA, "p50"), ("━", theme.PRIMARY, "p99")]
    keys = {"roles": roles, "rate": rates, "latency": quantiles, "lag": lags}
    return [
        title
        + "".join(
            f'   <span style="color:{colour}">{shape}</span> {name}'
            for shape, colour, name in keys.get(panel, [])
        )
        for panel, (title, _) in PANELS.items()
    ]


def _faults(chart: go.Figure, faults: pd.DataFrame) -> None:
    """A bar per fault with its id, and its shade over every panel below; a step is a mark."""
    if faults.empty:
        _nothing(chart, "faults", "no fault was injected")
        return
    brief = len(faults) > FAULT_ROWS_MAX
    for i, fault in enumerate(faults.to_dict("records")):
        colour = theme.FAULTS[i % len(theme.FAULTS)]
        name = f"{theme.label(fault['id'])} {theme.label(fault['fault'])}"
        targets = theme.label(pretty(fault["targets"]), 80)
        doubt = (
            ""
            if fault["outcome"] in ("confirmed", None)
            else f" · {theme.label(fault['outcome'])}!"
        )
        span = f"{fault['start']:.2f}–{fault['end']:.2f} s"
        told = f"{name}<br>{targets}<br>{span}{doubt}<extra></extra>"
        if fault["kind"] == "step":
            chart.add_vline(fault["start"], line={"color": colour, "dash": "dot", "width": 1.5})
        else:
            chart.add_vrect(
                fault["start"],
                fault["end"],
                fillcolor=colour,
                opacity=0.13,
                line_width=0,
                layer="below",
                row="all",
                col=1,
                exclude_empty_subplots=False,
            )
        chart.add_trace(
            go.Bar(
                base=[fault['start']], x=[max(fault['end'] - fault['start'], 0.02)],
                y=[str(i % FAULT_ROWS_MAX)],
                orientation="h", text=f"{name}{doubt}" + ("" if brief else f" → {targets}"),
                textposition="outside" if brief else "auto",
                insidetextanchor="start", textangle=0, marker={"color": colour}, width=0.8,
                hovertemplate=told, showlegend=False, unselected={"marker": {"opacity": 1}},
                constraintext="none", cliponaxis=False,
            ),
            row=row("faults"), col=1,
        )  # fmt: skip


def _roles(chart: go.Figure, data: Series, nodes: list[str]) -> None:
    """A lane per node; two primaries at once is a red band with words in it."""
    if not nodes:
        _nothing(chart, "roles", "no node was asked for its role")
        return
    for role, (colour, pattern) in theme.ROLES.items():
        part = data.lanes[data.lanes["role"] == role]
        if part.empty:
            continue
        chart.add_trace(
            go.Bar(
                base=part["start"], x=part["end"] - part["start"],
                y=[theme.label(n) for n in part["node"]], orientation="h", width=0.7,
                marker={"color": colour, "pattern": {"shape": pattern, "size": 6},
                        "line": {"width": 0}},
                opacity=1.0 if role == "primary" else 0.55,
                text=["PRIMARY" if role == "primary" else ""] * len(part),
                insidetextanchor="start", textposition="inside", textangle=0,
                textfont={"color": "white", "size": 11},
                name=f"claims {role}", legendgroup="roles",
                unselected={"marker": {"opacity": 1}},
                hovertemplate="%{y} claims " + role + "<extra></extra>",
            ),
            row=row("roles"), col=1,
        )  # fmt: skip
    for start, end in data.two_primaries:
        chart.add_vrect(
            start,
            end,
            fillcolor=theme.ALARM,
            opacity=0.22,
            row=row("roles"),
            col=1,
            line={"color": theme.ALARM, "width": 2},
        )
        chart.add_annotation(
            x=(start + end) / 2,
            y=1.0,
            yanchor="bottom",
            xref=f"x{row('roles')}",
            yref=f"y{row('roles')} domain",
            showarrow=False,
            text=f"<b>⚠ TWO PRIMARIES · {end - start:.1f} s</b>",
            font={"color": "white", "size": 12},
            bgcolor=theme.ALARM,
            borderpad=3,
        )


def _rate(chart: go.Figure, ops: pd.DataFrame) -> None:
    for kind, look in theme.OUTCOMES.items():
        rate = ops[kind]
        if kind != "ok":  # a line along zero would say nothing, loudly
            near = rate.rolling(3, center=True, min_periods=1).max()
            rate = rate.where(near > 0)
        chart.add_trace(
            go.Scatter(
                x=ops["t"], y=rate, name=kind, legendgroup="rate", mode="lines",
                line={"color": look["color"], "dash": look["dash"], "width": 2, "shape": "hvh"},
                fill="tozeroy" if kind == "ok" else None,
                fillcolor="rgba(109,182,254,0.25)",
                hovertemplate="%{y:,.0f}/s",
            ),
            row=row("rate"), col=1,
        )  # fmt: skip


def _latency(chart: go.Figure, ops: pd.DataFrame) -> None:
    looks = {"p50": ("solid", theme.REPLICA), "p99": ("solid", theme.PRIMARY)}
    for name, (dash, colour) in looks.items():
        chart.add_trace(
            go.Scatter(
                x=ops["t"], y=ops[name], name=name, mode="lines", legendgroup="latency",
                line={"color": colour, "dash": dash, "width": 1.6},
                hovertemplate="%{y:,.2f} ms",
            ),
            row=row("latency"), col=1,
        )  # fmt: skip


def _lag(chart: go.Figure, lag: pd.DataFrame) -> None:
    if lag.empty or lag["lag_ms"].isna().all():
        _nothing(chart, "lag", "no node reported its lag in ms")
        return
    for node, colour, part in _lagging(lag):
        chart.add_trace(
            go.Scatter(
                x=part["t"], y=part["lag_ms"], name=f"lag {theme.label(node)}", mode="lines",
                line={"color": colour, "width": 1.6}, hovertemplate="%{y:,.0f} ms",
            ),
            row=row("lag"), col=1,
        )  # fmt: skip


def _lagging(lag: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Each node that ever reported a lag, with its colour and its samples."""
    known = lag.dropna(subset=["lag_ms"])
    parts = [
        (str(node), part)
        for node, part in lag.groupby("node", sort=True)
        if (known["node"] == node).any()
    ]
    return [(node, theme.NODES[i % len(theme.NODES)], part) for i, (node, part) in enumerate(parts)]


def _anomalies(chart: go.Figure, anomalies: pd.DataFrame, names: list[str]) -> None:
    if anomalies.empty:
        _nothing(chart, "anomalies", "none was found")
        return
    for name in names:
        part = anomalies[anomalies["name"] == name]
        chart.add_trace(
            go.Scatter(
                x=part["t"], y=[theme.label(name)] * len(part), mode="markers",
                marker={"symbol": "x-thin", "size": 10,
                        "line": {"color": theme.ALARM, "width": 1.6}},
                customdata=part["operation"], showlegend=False,
                hovertemplate="%{y}, operation %{customdata}<extra></extra>",
            ),
            row=row("anomalies"), col=1,
        )  # fmt: skip


def _axes(chart: go.Figure, data: Series) -> None:
    chart.update_xaxes(range=[data.start, data.end], gridcolor=theme.GRID, zeroline=False)
    chart.update_xaxes(title="seconds since the clients began", row=len(PANELS), col=1)
    chart.update_yaxes(gridcolor=theme.GRID, zeroline=False, rangemode="tozero", fixedrange=True)
    chart.update_yaxes(
        showticklabels=False, showgrid=False, row=row("faults"), col=1, autorange="reversed"
    )
    for panel in ("roles", "anomalies"):
        chart.update_yaxes(type="category", showgrid=False, row=row(panel), col=1)
    lanes = [theme.label(node) for node in dict.fromkeys(data.lanes["node"])]
    chart.update_yaxes(
        categoryorder="array", categoryarray=lanes, autorange="reversed", row=row("roles"), col=1
    )
    chart.update_yaxes(type="log", rangemode="normal", row=row("latency"), col=1)
    chart.update_yaxes(**_decades(data.ops), row=row("latency"), col=1)
    for annotation in chart.layout.annotations[: len(PANELS)]:
        annotation.update(x=0, xanchor="left", font={"size": 13}, yshift=2)


def _decades(ops: pd.DataFrame) -> dict[str, object]:
    """Range and few, round ticks for the logarithmic axis of latency."""
    known = ops[["p50", "p99"]].to_numpy().ravel()
    known = known[known > 0]
    if not len(known):
        return {}
    low, high = float(np.log10(known.min())) - 0.1, float(np.log10(known.max())) + 0.1
    steps = (1, 10) if high - low > 1.6 else (1, 2, 5, 10)
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    ticks = sorted({step * 10.0**power for power in powers for step in steps})
    return {"range": [low, high], "tickvals": ticks, "ticktext": [f"{t:g}" for t in ticks]}


def _nothing(chart: go.Figure, panel: str, why: str) -> None:
    """Say in an empty panel why it is empty."""
    n = row(panel)
    chart.add_trace(go.Scatter(x=[], y=[], showlegend=False), row=n, col=1)
    chart.add_annotation(
        text=why, xref=f"x{n if n > 1 else ''} domain", yref=f"y{n if n > 1 else ''} domain",
        x=0.01, y=0.5, xanchor="left", showarrow=False, font={"size": 12}, opacity=0.7,
    )  # fmt: skip
    chart.update_yaxes(showticklabels=False, row=n, col=1)
