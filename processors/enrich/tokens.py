"""Step 3: token counts where the server gave none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from inferwatch.events import InferenceEvent, Message, characters_of

CHARACTERS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English; `token_source` says that it was used."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts and where they come from: `reported`, `counted`, `estimated`, or empty where there is no text."""

    input: int | None
    output: int | None
    source: str


def count_tokens(event: InferenceEvent) -> Tokens:
    """Return the reported counts; a side that was not reported is estimated from the length of its text.

    An estimate of the input is never less than what was reported to come from and go to a cache. Reasoning that was
    reported is added to an estimate of the output where no part shows it; where one does, its text is counted already,
    and the estimate is never less than it. That holds for cut texts too: parts and lengths are those of the whole.
    """
    given, made = event.input_tokens, event.output_tokens
    if given is not None and made is not None:
        return Tokens(given, made, event.token_source or "reported")
    without_text = event.content_unavailable or not (event.input_messages or event.output_messages)
    if without_text or event.status == "error":
        # A request that failed is not billed by the length of its text.
        return Tokens(given, made, "" if given is None and made is None else event.token_source or "reported")
    cut = event.truncated
    if given is None:
        of_cache = (event.cache_read_tokens or 0) + (event.cache_creation_tokens or 0)
        given = max(_estimate(cut.input_characters if cut else characters_of(event.input_messages)), of_cache)
    if made is None:
        reasoning = event.reasoning_tokens or 0
        of_text = _estimate(cut.output_characters if cut else characters_of(event.output_messages))
        made = max(of_text, reasoning) if _shows_reasoning(event.output_messages) else of_text + reasoning
    return Tokens(given, made, "estimated")


def _estimate(characters: int) -> int:
    return math.ceil(characters / CHARACTERS_PER_TOKEN)


def _shows_reasoning(messages: tuple[Message, ...]) -> bool:
    return any(part.type == "reasoning" for message in messages for part in message.parts)
