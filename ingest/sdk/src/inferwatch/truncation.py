"""Cut long text before it is sent, and keep how long it was.

Personal data is found and masked later, and only where it is whole: "alice.smith@" is no e-mail address any more. So
text is cut only where no such value can go on: every value written without blanks (addresses, keys, tokens, of any
length) ends at a blank at the latest, and numbers written in groups (cards, accounts, telephone numbers) have a digit
in one of any two groups that stand side by side.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from inferwatch.events import InferenceEvent, Message, Part, Truncation, characters_of, text_of

CUT_MARK: Final = "…"
"""Stands at the end of text that was cut."""
_DELIMITERS: Final = frozenset('\n\r\t,;"<>[]。，、；！？')
"""No recognised value has one of them inside, but a private key, which is recognised without its end."""
_CUT: Final = ("content", "response", "arguments")
_REACH: Final = 64
"""How far to look around a place between words; numbers in groups are shorter."""
_MOST_DROPPED: Final = 65_536
"""How far to look back for a safe place, which bounds the time it takes."""
_LETTER: Final = re.compile(r"[^\W\d_]")
_DIGIT_OR_SIGN: Final = re.compile(r"[\d@]")


def truncate(event: InferenceEvent, most: int) -> InferenceEvent:
    """Return the event with no text, of a part or an error, longer than `most` characters; the same where none is.

    The length and hash of an error's text are not kept.
    """
    if len(event.error_message or "") > most:
        event = msgspec.structs.replace(event, error_message=without_torn_end(event.error_message or "", most))
    if event.truncated is not None or not _is_long(event, most):
        return event
    return msgspec.structs.replace(
        event,
        input_messages=tuple(_cut(message, most) for message in event.input_messages),
        output_messages=tuple(_cut(message, most) for message in event.output_messages),
        truncated=Truncation(
            input_characters=characters_of(event.input_messages),
            output_characters=characters_of(event.output_messages),
            input_sha256=_hash_if_long(event.input_messages, most),
            output_sha256=_hash_if_long(event.output_messages, most),
        ),
    )


def sha256_of(messages: tuple[Message, ...]) -> str:
    """Return the SHA-256, in hexadecimal, of the texts of messages as UTF-8, with a line break between any two."""
    texts = (text for message in messages for part in message.parts if (text := text_of(part)))
    return hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).hexdigest()


def _hash_if_long(messages: tuple[Message, ...], most: int) -> str | None:
    return sha256_of(messages) if has_long_text(messages, most) else None


def has_long_text(messages: tuple[Message, ...], most: int) -> bool:
    """Whether a text of messages has more than `most` characters."""
    return any(len(text_of(part)) > most for message in messages for part in message.parts)


def _is_long(event: InferenceEvent, most: int) -> bool:
    return has_long_text((*event.input_messages, *event.output_messages), most)


def _cut(message: Message, most: int) -> Message:
    return msgspec.structs.replace(message, parts=tuple(_cut_part(part, most) for part in message.parts))


def _cut_part(part: Part, most: int) -> Part:
    long = {name: value for name in _CUT if isinstance(value := getattr(part, name), str) and len(value) > most}
    if not long:
        return part
    return msgspec.structs.replace(part, **{name: without_torn_end(text, most) for name, text in long.items()})


def shorten(text: str, most: int) -> str:
    """Return text as it is where it has at most `most` characters, else `without_torn_end`."""
    return text if len(text) <= most else without_torn_end(text, most)


def without_torn_end(text: str, most: int) -> str:
    """Return the beginning of `text` and `CUT_MARK`, at most `most` characters together, with no value cut in two.

    Text that offers no safe place, such as one long run of letters, leaves only the mark.
    """
    latest = min(most - len(CUT_MARK), len(text))
    places = range(latest, max(0, latest - _MOST_DROPPED), -1)
    return text[: next((place for place in places if _can_end(text, place)), 0)] + CUT_MARK


def _can_end(text: str, place: int) -> bool:
    """Whether no value that would have to be masked stands on both sides of `place`."""
    last = text[place - 1]
    if last in _DELIMITERS:
        return True
    if last == " ":
        before = text[max(0, place - 1 - _REACH) : place - 1].rpartition(" ")[2]
        after = text[place : place + _REACH].partition(" ")[0]
        return _is_word(before) and _is_word(after)
    # Scripts without blanks between words, which have no upper and lower case either.
    if place < len(text) and _is_uncased(last) and _is_uncased(text[place]):
        return _is_word(text[max(0, place - _REACH) : place + _REACH])
    return False


def _is_word(text: str) -> bool:
    return _DIGIT_OR_SIGN.search(text) is None and _LETTER.search(text) is not None


def _is_uncased(character: str) -> bool:
    return character.isalpha() and character.lower() == character.upper()
