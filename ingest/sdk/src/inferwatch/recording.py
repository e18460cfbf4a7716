"""One inference, from its start to its end, as a context manager."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from inferwatch.clock import Clock
from inferwatch.events import InferenceEvent, Message, text_message
from inferwatch.ids import new_event_id

log: Final = logging.getLogger("inferwatch")


class Inference:
    """Times one inference and records it when the block ends, also when it ends with an exception.

    Streamed: call `chunk` for each piece; the first one that carries text stamps the time to first token. Not
    streamed: call `output` once. An exception that leaves the block is recorded as an error and passes on.
    """

    def __init__(
        self,
        record: Callable[[InferenceEvent], None],
        clock: Clock,
        model: str,
        input: object,
        fields: Mapping[str, Any],
    ) -> None:
        self.event_id = new_event_id()
        self._record = record
        self._clock = clock
        self._fields: dict[str, Any] = {"request_model": model, **fields}
        # A list of messages is often appended to with the answer before the block ends.
        self._input = tuple(input) if isinstance(input, list) else input
        self._chunks: list[str] = []
        self._started_at = clock.now()
        self._started = clock.elapsed()

    def __enter__(self) -> Inference:
        self._started_at = self._clock.now()
        self._started = self._clock.elapsed()
        return self

    def chunk(self, text: str | None) -> None:
        """Add a piece of streamed output; None, as first and last chunks often have, adds nothing."""
        if text and "time_to_first_token" not in self._fields:
            self._fields["time_to_first_token"] = self._clock.elapsed() - self._started
        self._fields["stream"] = True
        self._chunks.append(text or "")

    def output(self, text: str) -> None:
        """Add the output of a response that was not streamed."""
        self._chunks.append(text)

    def tokens(self, input_tokens: int | None = None, output_tokens: int | None = None) -> None:
        """Say how many tokens the server reported."""
        self._fields |= {"input_tokens": input_tokens, "output_tokens": output_tokens, "token_source": "reported"}

    def finish(self, *reasons: str) -> None:
        """Say why generation ended, such as `stop` or `length`."""
        self._fields["finish_reasons"] = tuple(reasons)

    def error(self, error_type: str, message: str = "") -> None:
        """Say that the inference failed although no exception leaves the block."""
        self._fields |= {"status": "error", "error_type": error_type, "error_message": message or None}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self._record(self._event(self._clock.elapsed() - self._started, kind, error))
        except Exception:
            log.warning("An inference could not be mirrored", exc_info=True)

    def _event(self, duration: float, kind: type[BaseException] | None, error: BaseException | None) -> InferenceEvent:
        if kind is not None:
            cancelled = kind.__name__ in ("CancelledError", "GeneratorExit", "KeyboardInterrupt")
            self._fields |= {
                "status": "cancelled" if cancelled else "error",
                "error_type": kind.__name__,
                "error_message": str(error) or None,
            }
        output = "".join(self._chunks)
        return InferenceEvent(
            event_id=self.event_id,
            started_at=self._started_at,
            duration=duration,
            input_messages=as_messages(self._input),
            output_messages=(text_message("assistant", output),) if output else (),
            **{"source": "sdk", **self._fields},
        )


def as_messages(given: object) -> tuple[Message, ...]:
    """Return a prompt, `Message`s or dicts with `role` and `content` as messages; anything else as its text."""
    if given is None:
        return ()
    if isinstance(given, str):
        return (text_message("user", given),)
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return tuple(_as_message(item) for item in given)
    return (_as_message(given),)


def _as_message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping):
        return text_message(str(given.get("role", "user")), str(given.get("content") or ""))
    return text_message("user", str(given))
