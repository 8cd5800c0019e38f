"""The dashboard's router: `streamlit run dashboard/app.py -- --runs DIR …` (see launch.py)."""

from __future__ import annotations

import streamlit as st


def main() -> None:
    """Show the page that the address asks for."""
    st.set_page_config(page_title="Aftershock", page_icon="〰️", layout="wide")
    pages = {
        "runs": st.Page("views/runs.py", title="Runs", icon=":material/list:", default=True),
        "run": st.Page("views/run.py", title="Run", icon=":material/timeline:", url_path="run"),
        "tradeoffs": st.Page(
            "views/tradeoffs.py",
            title="Trade-offs",
            icon=":material/balance:",
            url_path="trade-offs",
        ),
    }
    st.session_state["pages"] = pages
    st.navigation(list(pages.values()), position="top").run()


main()
