"""What `streamlit run` runs, once for every browser and click."""

from __future__ import annotations

import os
from functools import partial

import streamlit as st

from dashboard import pages, sidebar
from dashboard.config import load
from dashboard.scope import zone


def main() -> None:
    """Draw the sidebar and the page that is open."""
    st.set_page_config(page_title="Inferwatch", page_icon="📈", layout="wide")
    settings = load(os.environ)
    scope = sidebar.draw(settings.store, zone(st.context.timezone))
    entries = (
        (pages.overview_page, "Overview", "overview", ":material/monitoring:"),
        (pages.explorer_page, "Explorer", "explorer", ":material/search:"),
        (pages.servers_page, "Servers", "servers", ":material/dns:"),
        (pages.drift_page, "Drift and alerts", "alerts", ":material/notifications_active:"),
    )
    st.navigation(
        [
            st.Page(partial(draw, settings, scope), title=title, url_path=path, icon=icon, default=path == "overview")
            for draw, title, path, icon in entries
        ]
    ).run()


if __name__ == "__main__":
    main()
