"""Step 3: how long texts are, and which of them are cut. What is cut keeps its length and its hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from inferwatch.events import InferenceEvent, Message, characters_of, text_of
from inferwatch.truncation import sha256_of
from processors.enrich.fields import Fields

Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Lengths:
    """The texts of n events, measured.

    Attributes:
        characters: of the input's and output's texts, before anything was cut.
        hashes: SHA-256 of texts that were cut, "" for others and where whoever cut them did not tell.
        cut: whether text was cut, here or before it was sent.
        cut_here: events whose text is cut here.
    """

    characters: dict[Side, list[int]]
    hashes: dict[Side, list[str]]
    cut: list[bool]
    cut_here: list[int]


def measure(events: Sequence[InferenceEvent], fields: Fields, most: int) -> Lengths:
    """Measure texts, those of tools' calls and answers too; one of more than `most` characters will be cut."""
    characters: dict[Side, list[int]] = {
        "input": _characters(fields["input_messages"]),
        "output": _characters(fields["output_messages"]),
    }
    hashes: dict[Side, list[str]] = {"input": [""] * fields.size, "output": [""] * fields.size}
    cut_here = []
    for side in characters:
        for at in [at for at, length in enumerate(characters[side]) if length > most]:
            messages = events[at].input_messages if side == "input" else events[at].output_messages
            if any(len(text_of(part)) > most for message in messages for part in message.parts):
                hashes[side][at] = sha256_of(messages)
                cut_here.append(at)
    cut = [told is not None for told in fields["truncated"]]
    for at in [at for at, told in enumerate(cut) if told]:
        told = fields["truncated"][at]
        characters["input"][at], characters["output"][at] = told.input_characters, told.output_characters
        hashes["input"][at], hashes["output"][at] = told.input_sha256 or "", told.output_sha256 or ""
    for at in cut_here:
        cut[at] = True
    return Lengths(characters, hashes, cut, sorted(set(cut_here)))


def _characters(column: Sequence[tuple[Message, ...]]) -> list[int]:
    return [characters_of(messages) for messages in column]
