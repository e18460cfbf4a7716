"""What Slack checks of a message before it takes it, after its Block Kit reference. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any, Final
from urllib.parse import urlsplit

MOST_BLOCKS: Final = 50
MOST_TEXT: Final = 40_000
_TEXT_KINDS: Final = frozenset({"plain_text", "mrkdwn"})
_TEXT_LIMITS: Final = {"header": 150, "section": 3000}


def problems(payload: Any) -> list[str]:
    """Return what Slack would refuse about the payload of an incoming webhook; nothing where it would take it."""
    if not isinstance(payload, dict):
        return ["the payload is not an object"]
    found = list(_of_attachments(payload.get("attachments", [])))
    found += _of_blocks(payload.get("blocks", []), "blocks")
    text = payload.get("text")
    if text is not None and (not isinstance(text, str) or len(text) > MOST_TEXT):
        found.append(f"text: not a text of at most {MOST_TEXT} characters")
    if not text and not payload.get("blocks") and not payload.get("attachments"):
        found.append("no_text: neither text nor blocks nor attachments")
    return found


def _of_attachments(attachments: Any) -> Iterator[str]:
    if not isinstance(attachments, list) or len(attachments) > 100:
        yield "attachments: not a list of at most 100"
        return
    for index, attachment in enumerate(attachments):
        if not isinstance(attachment, dict):
            yield f"attachments[{index}]: not an object"
        else:
            yield from _of_blocks(attachment.get("blocks", []), f"attachments[{index}].blocks")


def _of_blocks(blocks: Any, path: str) -> Iterator[str]:
    if not isinstance(blocks, list) or len(blocks) > MOST_BLOCKS:
        yield f"{path}: not a list of at most {MOST_BLOCKS}"
        return
    for index, block in enumerate(blocks):
        yield from _of_block(block, f"{path}[{index}]")


def _of_block(block: Any, path: str) -> Iterator[str]:
    kind = block.get("type") if isinstance(block, dict) else None
    match kind:
        case "header":
            yield from _of_text(block.get("text"), f"{path}.text", _TEXT_LIMITS["header"], {"plain_text"})
        case "section" | "context" | "actions" if not _has_lists(block):
            yield f"{path}: fields and elements must be lists"
        case "section":
            if not block.get("text") and not block.get("fields"):
                yield f"{path}: a section needs text or fields"
            if block.get("text"):
                yield from _of_text(block["text"], f"{path}.text", _TEXT_LIMITS["section"])
            fields = block.get("fields", [])
            if len(fields) > 10:
                yield f"{path}.fields: more than 10"
            for index, field in enumerate(fields):
                yield from _of_text(field, f"{path}.fields[{index}]", 2000)
        case "context":
            if not 1 <= len(block.get("elements", [])) <= 10:
                yield f"{path}.elements: not 1 to 10"
            for index, element in enumerate(block.get("elements", [])):
                yield from _of_text(element, f"{path}.elements[{index}]", 2000)
        case "actions":
            if not 1 <= len(block.get("elements", [])) <= 25:
                yield f"{path}.elements: not 1 to 25"
            for index, element in enumerate(block.get("elements", [])):
                yield from _of_button(element, f"{path}.elements[{index}]")
        case "divider" | "image":
            return
        case _:
            yield f"{path}.type: {kind!r} is no block that a webhook takes here"


def _has_lists(block: dict[str, Any]) -> bool:
    return all(isinstance(block.get(name, []), list) for name in ("fields", "elements"))


def _of_text(text: Any, path: str, most: int, kinds: Set[str] = _TEXT_KINDS) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"{path}: not an object of type {' or '.join(sorted(kinds))}"
    elif not isinstance(text.get("text"), str) or not 1 <= len(text["text"]) <= most:
        yield f"{path}.text: not 1 to {most} characters"


def _of_button(element: Any, path: str) -> Iterator[str]:
    if not isinstance(element, dict) or element.get("type") != "button":
        yield f"{path}.type: not a button"
        return
    yield from _of_text(element.get("text"), f"{path}.text", 75, {"plain_text"})
    url = element.get("url")
    if url is not None and not (isinstance(url, str) and len(url) <= 3000 and _is_http(url)):
        yield f"{path}.url: not a URL of at most 3000 characters"


def _is_http(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False
