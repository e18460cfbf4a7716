"""The stand-in for Slack refuses what Slack refuses, and its page shows whatever it took, without running any of it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.slack_checks import problems
from app.demo.slack_page import page


def text(kind: str = "mrkdwn", said: str = "hi") -> dict[str, Any]:
    return {"type": kind, "text": said}


def block(**fields: Any) -> dict[str, Any]:
    return {"attachments": [{"color": "#ff0000", "blocks": [fields]}]}


@pytest.mark.parametrize(
    "payload",
    [
        {"text": "hi"},
        {"blocks": [{"type": "divider"}]},
        block(type="header", text=text("plain_text", "x" * 150)),
        block(type="section", text=text(said="x" * 3000)),
        block(type="section", fields=[text(said="x" * 2000)] * 10),
        block(type="context", elements=[text()]),
        block(type="actions", elements=[{"type": "button", "text": text("plain_text"), "url": "https://x"}]),
        block(type="actions", elements=[{"type": "button", "text": text("plain_text")}]),
    ],
)
def test_what_slack_takes_is_taken(payload: dict[str, Any]) -> None:
    assert problems(payload) == []
    assert page([(0.0, payload)])


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ([], "the payload is not an object"),
        ({}, "no_text"),
        ({"text": ""}, "no_text"),
        ({"text": 7}, "text: not a text"),
        ({"text": "x" * 40_001}, "text: not a text"),
        ({"text": "x", "attachments": {}}, "attachments: not a list"),
        ({"text": "x", "attachments": ["x"]}, "attachments[0]: not an object"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "blocks: not a list of at most 50"),
        (block(type="poem"), "'poem' is no block"),
        (block(), "None is no block"),
        (block(type="header", text=text("mrkdwn")), "not an object of type plain_text"),
        (block(type="header", text=text("plain_text", "x" * 151)), "not 1 to 150 characters"),
        (block(type="header", text=text("plain_text", "")), "not 1 to 150 characters"),
        (block(type="section"), "a section needs text or fields"),
        (block(type="section", fields=[text()] * 11), "fields: more than 10"),
        (block(type="section", fields=[text(said="x" * 2001)]), "fields[0].text: not 1 to 2000"),
        (block(type="section", fields=7), "must be lists"),
        (block(type="context", elements=[]), "elements: not 1 to 10"),
        (block(type="context", elements=None), "must be lists"),
        (block(type="actions", elements=[{"type": "menu"}]), "not a button"),
        (
            block(type="actions", elements=[{"type": "button", "text": text("plain_text"), "url": "javascript:x"}]),
            "not a URL",
        ),
        (
            block(type="actions", elements=[{"type": "button", "text": text("plain_text"), "url": "http://[::1"}]),
            "not a URL",
        ),
        (block(type="actions", elements=[{"type": "button", "text": text("plain_text"), "url": 7}]), "not a URL"),
        (
            block(type="actions", elements=[{"type": "button", "text": text("plain_text", "x" * 76)}]),
            "not 1 to 75 characters",
        ),
    ],
)
def test_what_slack_refuses_is_refused_with_the_place(payload: Any, problem: str) -> None:
    assert problem in "; ".join(problems(payload))


words = st.sampled_from(["text", "blocks", "attachments", "type", "fields", "elements", "url", "color"])
kinds = st.sampled_from(
    ["header", "section", "context", "actions", "divider", "image", "button", "mrkdwn", "plain_text"]
)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(anything | st.dictionaries(words, anything))
def test_any_json_is_judged_and_what_is_taken_can_be_shown(payload: Any) -> None:
    if problems(payload) == []:
        assert page([(0.0, payload)])


class Tags(HTMLParser):
    """Collects the tags and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name == "href"]
        assert not {name for name, _ in attrs} - {"lang", "charset", "http-equiv", "content", "class", "style", "href"}


SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;script&gt;"


def test_nothing_in_a_message_runs() -> None:
    payload = {
        "text": SCRIPT,
        "attachments": [
            {
                "color": 'red"><script>',
                "blocks": [
                    {"type": "header", "text": text("plain_text", SCRIPT)},
                    {"type": "section", "text": text(said=SCRIPT), "fields": [text(said=SCRIPT)]},
                    {"type": "context", "elements": [text(said=SCRIPT)]},
                    {
                        "type": "actions",
                        "elements": [
                            {"type": "button", "text": text("plain_text", SCRIPT), "url": "javascript:alert(1)"},
                            {"type": "button", "text": text("plain_text", "b"), "url": 'http://x/"><script>'},
                        ],
                    },
                ],
            }
        ],
    }
    tags = Tags()
    tags.feed(page([(0.0, payload)]))
    assert not tags.seen & {"script", "img"}
    assert tags.links == ["#", 'http://x/"><script>']


def test_a_message_is_shown_as_slack_would_show_it() -> None:
    payload = {"text": ":red_circle: *Severity*\n3 &lt; 4 &amp;&amp; :unknown:"}
    shown = page([(3_600.0, payload)])
    assert '<span style="color: #c0392b">●</span> <b>Severity</b><br>3 &lt; 4 &amp;&amp; :unknown:' in shown
    assert "01:00:00 UTC" in shown
    assert "(1)</title>" in shown


def test_an_empty_page_says_so() -> None:
    assert "No message yet" in page([])
