"""One request of a trace, whatever the format that it was read from."""

from __future__ import annotations

from dataclasses import dataclass

from inferwatch.events import InferenceEvent


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        at: seconds since any moment that is the same for the whole trace.
        line: where it stood, counted from 1.
        size: bytes of its line, which is roughly what it takes in memory.
        place: bytes of the file that were read when it was found.
        input_tokens: length of the prompt, None where the trace does not say.
        output_tokens: length of the answer, None where the trace does not say.
        blocks: ids of the blocks of `BLOCK_TOKENS` tokens that the prompt begins with; prompts that share their first
            ids share their beginning.
        event: what was recorded, where the trace is a recording.
    """

    at: float
    line: int
    size: int
    place: int
    input_tokens: int | None
    output_tokens: int | None
    blocks: tuple[int | str, ...] = ()
    event: InferenceEvent | None = None
