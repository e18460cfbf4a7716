"""Text of about so many tokens that means nothing, the same for the same seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Final

from ingest.replay.mooncake import BLOCK_TOKENS

# Each is one token, with the blank before it, for the byte-pair encodings of GPT-2 and of those after it.
_WORDS: Final = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state"),
    *("family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system"),
    *("program", "question", "work", "government", "number", "night", "point", "home", "water", "room", "mother"),
    *("area", "money", "story", "fact", "month", "lot", "right", "study", "book", "eye", "job", "word", "business"),
    *("issue", "side", "kind", "head", "house", "service", "friend", "father", "power", "hour", "game", "line", "end"),
    *("member", "law", "car", "city", "community", "name", "president", "team", "minute", "idea", "body", "back"),
    *("parent", "face", "level", "office", "door", "health", "person", "art", "war", "history", "party", "result"),
    *("change", "morning", "reason", "research", "girl", "guy", "moment", "air", "teacher", "force", "education"),
)


def filler(tokens: int, seed: str, blocks: Sequence[int | str] = ()) -> str:
    """Return text of about that many tokens. Texts whose first `blocks` are the same begin with the same text.

    `seed` decides what follows the blocks, or all of it where there are none.
    """
    return " ".join(itertools.islice(_words(seed, blocks), tokens))


def _words(seed: str, blocks: Sequence[int | str]) -> Iterator[str]:
    for block in blocks:
        yield from random.Random(f"block {block}").choices(_WORDS, k=BLOCK_TOKENS)  # noqa: S311 - text, not a secret
    rng = random.Random(seed)  # noqa: S311
    while True:
        yield rng.choice(_WORDS)
