"""Replacing findings by their type: ``write to ann@example.com`` → ``write to <EMAIL_ADDRESS>``."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.errors import BadInput
from detectors.pii.spans import Span


def mask(text: str, spans: Sequence[Span]) -> str:
    """`text` with each span replaced by its type in angle brackets; the same input always gives the same output.

    Raises `BadInput` when spans are not sorted, overlap, or reach outside the text: they belong to another text then,
    and masking would leave the value standing.
    """
    parts: list[str] = []
    place = 0
    for span in spans:
        if not place <= span.start < span.end <= len(text):
            where = f"characters {span.start} to {span.end} of {len(text)}"
            raise BadInput(span.entity_type, where, "spans must be sorted, apart, and of this text")
        parts += (text[place : span.start], f"<{span.entity_type}>")
        place = span.end
    parts.append(text[place:])
    return "".join(parts)


def mask_all(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[str]:
    """`mask` for each text with its spans."""
    return [mask(text, found) if found else text for text, found in zip(texts, spans, strict=True)]
