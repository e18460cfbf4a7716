"""Looking for words in messages, tool calls and error messages, whatever their case.

The index of words (migration 0003) knows which words are in which rows, so nothing has to be read but the index. Two
things cost reading the texts: what stands in double quotes, and scripts that do not part words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

SETTINGS: Final = {
    # Beyond these the engine would rather read the texts, which takes longer whatever the index answers.
    "text_index_like_max_postings_to_read": "1000000",
    "text_index_like_min_pattern_length": "3",
}
"""Settings of a query with text, for engines that know them."""

SHORTEST_PART: Final = 3
"""A word of fewer letters is looked for as a whole word; a longer one may be part of a longer word."""

_LOWER: Final = "lowerUTF8(concat(t.input_messages, ' ', t.output_messages, ' ', t.error_message))"
_BARE: Final = f"""replaceRegexpAll({_LOWER}, '"(?:role|type|finish_reason)": ?"[a-z_]+"|"[a-z_]+":', ' ')"""
SEARCHED: Final = f"replaceAll(replaceAll({_BARE}, '\\\\\\\\', '  '), '\\\\n', '  ')"
"""What the index is on: texts without the names that JSON has beside them, in which backslashes and line breaks, two
characters each in JSON, part words as they do in the text."""

_QUOTED: Final = re.compile(r'"([^"]+)"')
_WORD: Final = re.compile(r"[0-9A-Za-z\u0080-\U0010ffff]+")
_UNPARTED: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u9fff\uac00-\ud7ff\uf900-\U0010ffff]")
"""Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean, and what is no letter at all."""


def has_text(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return conditions on `inferences AS t` and the values of their places: every word and every quoted phrase."""
    words = sorted({found.lower() for found in _WORD.findall(text)}, key=len, reverse=True)
    for number, word in enumerate(words):
        yield _has_word(word, f"word{number}")
    phrases = _QUOTED.findall(text) if words else [text]
    for number, phrase in enumerate(phrases):
        name = f"phrase{number}"
        as_stored = json.dumps(phrase.lower(), ensure_ascii=False)[1:-1]
        yield f"position({_LOWER}, {{{name}:String}}) > 0", {name: as_stored}


def _has_word(word: str, name: str) -> tuple[str, dict[str, Any]]:
    place = f"{{{name}:String}}"
    if _UNPARTED.search(word):
        return f"position({_LOWER}, {place}) > 0", {name: word}
    if len(word) < SHORTEST_PART or not word.isascii():
        return f"hasToken({SEARCHED}, {place})", {name: word}
    return f"{SEARCHED} LIKE {place}", {name: f"%{word}%"}
