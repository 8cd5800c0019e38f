"""What pages share: choosing a run, and saying why one cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from chaos.errors import AftershockError
from dashboard import data, theme


def explain(error: AftershockError) -> None:
    """A problem in words: what, detail, and what to do."""
    st.error(theme.plain(error.what, 600), icon=":material/error:")
    if error.detail:
        st.code(error.detail[:4000], language=None)
    if error.fix:
        st.caption(f"→ {theme.plain(error.fix)}")


def no_runs() -> None:
    """Say where runs were looked for and how to make one."""
    st.info("There is no run here yet.", icon=":material/info:")
    st.caption("Looked in: " + ", ".join(theme.plain(root) for root in data.roots()))
    st.code("aftershock run experiments/redis-split-brain.yaml", language="bash")


def pick(
    label: str, parameter: str, entries: Sequence[data.Entry], default: data.Entry
) -> data.Entry:
    """A select box over runs that follows, and is followed by, `?parameter=` in the address."""
    keys = [entry.key for entry in entries]
    by_key = dict(zip(keys, entries, strict=True))
    asked = st.query_params.get(parameter)
    if asked is not None and asked not in by_key:
        st.warning(f"There is no run {theme.plain(asked, 80)} here; showing another.")
    start = asked if asked in by_key else default.key
    chosen = st.selectbox(
        label,
        keys,
        index=keys.index(start),
        format_func=lambda key: _label(by_key[key].name, key),
        key=f"pick-{parameter}-{start}",
    )
    if chosen != asked:
        st.query_params[parameter] = chosen
    return by_key[chosen]


def _label(name: str, key: str) -> str:
    """The experiment and which of its runs; the one that ships has no id of its own."""
    run = key.rsplit("/", 1)[-1]
    return f"{name} · {'recorded' if run == name else run}"
