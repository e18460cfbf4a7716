"""Colours that mean the same on every page and are told apart on light and dark, and by colour-blind people."""

from __future__ import annotations

from typing import Final

STATUS: Final = {"ok": "#4c9be8", "cancelled": "#9aa3ae", "error": "#e5484d"}
LATENCY: Final = {"p50": "#56b4e9", "p95": "#e69f00", "p99": "#d55e00"}
TOKENS: Final = {"input": "#8e8cd8", "output": "#2ba88c"}
COST: Final = {"known": "#2ba88c"}
PII: Final = {"input": "#c678b0", "output": "#7d5ba6"}
ALERT: Final = {"firing": "#e5484d", "pending": "#f0a020", "resolved": "#30a46c"}
DRIFT: Final = "#b45bcf"
REQUEST: Final = {"queue": "#e69f00", "input": "#8ecae6", "inference": "#4c9be8", "output": "#2ba88c"}
PENDING: Final = {"pending": "#e69f00"}
FAILURE: Final = {
    "REJECTED": "#f0a020",
    "CANCELED": "#9aa3ae",
    "BACKEND": "#e5484d",
    "OTHER": "#b45bcf",
    "UNKNOWN": "#7d5ba6",
}

# Streamlit's own names for badges, near the colours above.
BADGES: Final = {
    "ok": "blue",
    "error": "red",
    "cancelled": "gray",
    "firing": "red",
    "pending": "orange",
    "resolved": "green",
    "critical": "red",
    "warning": "orange",
    "info": "blue",
}


def badge(word: str) -> str:
    """Return Streamlit's name of the colour of a state, status or severity."""
    return BADGES.get(word, "gray")
