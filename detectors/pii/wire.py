r"""Pieces of patterns over the bytes of JSON, for `Signs`.

The bytes are UTF-8 with non-ASCII characters as they are, so in these patterns a class such as ``\w`` is ASCII only and
a negated one takes any byte of a character beyond. Where a text has a line break, JSON has a backslash and an ``n``: a
letter that is no part of the word after it. JSON with any other escapes (``\u0001``) is suspect without a further look,
see `UNUSUAL_ESCAPE`. A line feed separates documents, so no repetition here takes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

ESCAPE: Final = r'\\["\\bfnrt]'
"""A quote, a backslash, a line break or the like, as one thing."""

UNUSUAL_ESCAPE: Final = r"[^\\](?:\\\\)*\\[u/]"
"""A character written by its number, or a slash that need not be escaped."""

NUMBER: Final = r"(?:[^\w.,\-]|[^\w][.,\-]|[^0-9][.,]|\\[bfnrt])\d(?:[ ().\-/]*\d){6}"
"""Seven digits, alone or in groups, that do not go on a word, a decimal fraction or something hyphenated.

This and the other coarse patterns are what it is because together they fit into one small automaton, which reads a
byte in a nanosecond; one more condition on the left can make it two automata and twice the time.
"""

WRITTEN_NUMBER: Final = (r",\d{12}", r"\d[eE]\+?1\d[,\]}\s]")
"""JSON numbers of 12 digits or more that `NUMBER` misses: after another in a list, and with an exponent."""

TOGETHER: Final = 7

_LOWERED: Final = {"k": "\u212a", "\xe9": "\xc9"}
"""Characters beyond ASCII that become these letters when lowered."""

_IGNORED_CASE: Final = {"i": "\u0130\u0131", "k": "\u212a", "s": "\u017f"}
"""Characters beyond ASCII that match these letters where case is ignored."""

_UNIT: Final = r'(?:[^"\\\n]|\\[^\n])'
_NO_LETTER: Final = r'(?:[^A-Za-z"\\\n]|\\[^\n])'


def after(excluded: str) -> str:
    """One place after a byte that is not in the class `excluded`."""
    return rf"(?:[^{excluded}]|{ESCAPE})"


def any_of(words: Iterable[str], alike: Mapping[str, str] = _IGNORED_CASE) -> str:
    """One of `words` in any case."""
    return rf"(?i:{'|'.join(''.join(_alike(letter, alike) for letter in word) for word in sorted(words))})"


def after_words(words: Iterable[str], reach: int, number: str) -> tuple[str, ...]:
    """`number`, which begins with the byte before it, with one of `words` in the `reach` characters before.

    `words_before` cuts a word that reaches out of its sight, and may so see "text" in "context": at that distance, the
    end of a word is enough. Characters beyond ASCII have more bytes than one: among them, any distance will do.
    """
    known = tuple(words)
    said, cut = any_of(known, _LOWERED), reach - max(map(len, known)) - 3
    return (
        rf"{after('A-Za-z')}{said}(?:{_NO_LETTER}{_UNIT}{{0,{reach}}})?{number}",
        rf"{said}{_NO_LETTER}{_UNIT}{{{cut},{reach}}}{number}",
        rf"{said}{_NO_LETTER}{_UNIT}*[\x80-\xff]{_UNIT}*{number}",
    )


def non_ascii_digit() -> str:
    """Any digit, as ``\\d`` in texts understands it, that is not ASCII; all of them are below U+20000."""
    digits = (chr(code).encode() for code in range(0x80, 0x20000) if chr(code).isdecimal())
    return "|".join(
        f"{_hex(lead)}[{_hex(bytes(each[-1] for each in same))}]"
        for lead, same in groupby(digits, key=lambda encoded: encoded[:-1])
    )


def _hex(some: bytes) -> str:
    return "".join(rf"\x{byte:02x}" for byte in some)


def _alike(letter: str, alike: Mapping[str, str]) -> str:
    others = [_hex(each.encode()) for each in alike.get(letter, "")]
    itself = letter if letter.isascii() else _hex(letter.encode())
    return f"(?:{'|'.join((itself, *others))})" if others else itself
