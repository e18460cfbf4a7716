"""The receiver's page: messages as Slack would show them. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

# Drawn with plain characters: not every machine has a font with emoji.
_EMOJI: Final = {
    "red_circle": '<span style="color: #c0392b">●</span>',
    "large_orange_circle": '<span style="color: #e08e0b">●</span>',
    "large_blue_circle": '<span style="color: #2c7be5">●</span>',
    "white_check_mark": '<span style="color: #2e8b57">✔</span>',
}

_STYLE: Final = """
body { font: 15px/1.46 Lato, "Helvetica Neue", Arial, sans-serif; margin: 0; color: #1d1c1d; background: #fff }
.bar { background: #4a154b; color: #fff; padding: 12px 24px; font-weight: 700 }
.channel { border-bottom: 1px solid #ddd; padding: 12px 24px; font-weight: 700 }
.channel small { font-weight: 400; color: #616061; margin-left: 8px }
.message { display: flex; padding: 10px 24px; gap: 10px }
.message:hover { background: #f8f8f8 }
.avatar { width: 36px; height: 36px; border-radius: 6px; background: #2c7be5; color: #fff; font-weight: 700;
          display: flex; align-items: center; justify-content: center; flex: none }
.who b { font-weight: 900 } .who .app { background: #e8e8e8; font-size: 10px; padding: 1px 4px; border-radius: 3px }
.who .time { color: #616061; font-size: 12px; margin-left: 6px }
.attachment { border-left: 4px solid; border-radius: 4px; padding: 2px 0 2px 12px; margin-top: 6px; max-width: 640px }
.attachment h3 { margin: 4px 0; font-size: 18px }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; margin: 6px 0 }
.button { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 5px 12px; margin: 4px 8px 4px 0;
          color: #1d1c1d; font-weight: 700; font-size: 13px; text-decoration: none }
.context { color: #616061; font-size: 12px } .empty { padding: 48px 24px; color: #616061 }
"""


def page(messages: Sequence[tuple[float, dict[str, Any]]]) -> str:
    """Return the page for messages, newest first, each with the Unix time it came at. It renews itself."""
    shown = "".join(_message(at, payload) for at, payload in messages)
    shown = shown or '<div class="empty">No message yet. Alerts appear here a few seconds after their cause.</div>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        f"<title>#inferwatch-alerts ({len(messages)})</title><style>{_STYLE}</style></head><body>"
        '<div class="bar">Local message receiver</div>'
        '<div class="channel"># inferwatch-alerts<small>what Slack would show; set SLACK_WEBHOOK_URL to send it there'
        f"</small></div>{shown}</body></html>"
    )


def _message(at: float, payload: dict[str, Any]) -> str:
    time = f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
    body = "".join(_attachment(attachment) for attachment in payload.get("attachments", []))
    return (
        '<div class="message"><div class="avatar">IW</div><div><div class="who"><b>Inferwatch</b> '
        f'<span class="app">APP</span><span class="time">{time}</span></div>'
        f"<div>{_mrkdwn(payload.get('text') or '')}</div>{body}</div></div>"
    )


def _attachment(attachment: dict[str, Any]) -> str:
    colour = str(attachment.get("color"))
    colour = colour if re.fullmatch(r"#[0-9a-fA-F]{6}", colour) else "#ddd"
    blocks = "".join(_block(block) for block in attachment.get("blocks", []))
    return f'<div class="attachment" style="border-color: {colour}">{blocks}</div>'


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        case "section":
            text = f"<div>{_mrkdwn(block['text']['text'])}</div>" if block.get("text") else ""
            fields = "".join(f"<div>{_mrkdwn(field['text'])}</div>" for field in block.get("fields", []))
            return text + (f'<div class="fields">{fields}</div>' if fields else "")
        case "actions":
            return "<div>" + "".join(_button(element) for element in block["elements"]) + "</div>"
        case "context":
            return '<div class="context">' + " ".join(_mrkdwn(e["text"]) for e in block["elements"]) + "</div>"
        case _:
            return "<hr>"


def _button(element: dict[str, Any]) -> str:
    url = element.get("url") or ""
    safe = url if urlsplit(url).scheme in ("http", "https") else "#"
    return f'<a class="button" href="{html.escape(safe)}">{html.escape(element["text"]["text"])}</a>'


def _mrkdwn(text: str) -> str:
    """Bold, line breaks and emoji. Slack's own escapes are undone first, then everything is escaped for HTML."""
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    shown = re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", html.escape(plain)).replace("\n", "<br>")
    return re.sub(r":([a-z_]+):", lambda match: _EMOJI.get(match[1], match[0]), shown)
