"""An alert transition as a Slack message in Block Kit. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final
from urllib.parse import urlencode

from processors.records import AlertTransition

_COLOURS: Final = {"critical": "#c0392b", "warning": "#e08e0b", "info": "#2c7be5"}
_RESOLVED_COLOUR: Final = "#2e8b57"
_LONGEST_NAME: Final = 100
_LONGEST_TEXT: Final = 300
_SYMBOLS: Final = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}


def slack_message(change: AlertTransition, dashboard_url: str) -> dict[str, Any]:
    """Return the payload for an incoming webhook: what, where, since when, how bad, and a link."""
    resolved = change.state == "resolved"
    symbol = ":white_check_mark:" if resolved else _SYMBOLS[change.severity]
    title = f"{'Resolved: ' if resolved else ''}{change.rule} · {change.model}"
    return {
        "text": f"{'Resolved' if resolved else change.severity.capitalize()}: {_escaped(change.rule)} on"
        f" {_escaped(change.model)} ({_escaped(change.environment)}): {_escaped(_headline(change))}",
        "attachments": [
            {
                "color": _RESOLVED_COLOUR if resolved else _COLOURS[change.severity],
                "blocks": [
                    {"type": "header", "text": {"type": "plain_text", "text": title[:150], "emoji": True}},
                    {"type": "section", "text": {"type": "mrkdwn", "text": f"{symbol} {_escaped(_headline(change))}"}},
                    {"type": "section", "fields": [_field(name, value) for name, value in _facts(change)]},
                    _actions(change, dashboard_url),
                    {
                        "type": "context",
                        "elements": [{"type": "mrkdwn", "text": f"Inferwatch · alert {change.alert_id[:8]}"}],
                    },
                ],
            }
        ],
    }


def _headline(change: AlertTransition) -> str:
    if change.state != "resolved":
        return change.summary[:1].upper() + change.summary[1:]
    minutes, seconds = divmod(round(change.at - change.started_at), 60)
    return f"Back to normal after {minutes} min {seconds} s"


def _facts(change: AlertTransition) -> list[tuple[str, str]]:
    facts = [
        ("Environment", change.environment),
        ("Model", change.model),
        ("Severity", change.severity),
        ("Since", _time(change.started_at)),
    ]
    if change.state != "resolved":
        facts += [
            (f"Value of {change.signal}", f"{change.value:.4g} (limit {change.threshold:.4g})"),
            ("Measured on", f"{change.events} inferences"),
        ]
    return facts


def _actions(change: AlertTransition, dashboard_url: str) -> dict[str, Any]:
    names = {"environment": change.environment[:_LONGEST_NAME], "model": change.model[:_LONGEST_NAME]}
    query = urlencode(names)
    base = dashboard_url.rstrip("/")
    return {
        "type": "actions",
        "elements": [
            _button("Open dashboard", f"{base}/?{query}", "open-dashboard"),
            _button("Alerts", f"{base}/alerts?{query}", "open-alerts"),
        ],
    }


def _button(text: str, url: str, action: str) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url, "action_id": action}


def _field(name: str, value: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"*{_escaped(name)}*\n{_escaped(value)}"}


def _escaped(text: str) -> str:
    """Slack's three control characters, after its "Formatting text" page: names from traffic must not make links."""
    text = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
