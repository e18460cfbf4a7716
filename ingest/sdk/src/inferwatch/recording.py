"""One inference, from its start to its end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from inferwatch.chat import as_messages
from inferwatch.clock import Clock
from inferwatch.events import InferenceEvent, text_message
from inferwatch.ids import new_event_id

log: Final = logging.getLogger("inferwatch")

_CANCELLED: Final = ("CancelledError", "GeneratorExit", "KeyboardInterrupt")


class Inference:
    """Times one inference and records it when the block ends, also when it ends with an exception.

    Streamed: call `chunk` for each piece; the first one that carries text stamps the time to first token. Not
    streamed: call `output` once. An exception that leaves the block is recorded as an error and passes on. Where no
    block fits, call `end`.
    """

    __slots__ = (
        "_chunks",
        "_clock",
        "_ended",
        "_fields",
        "_input",
        "_output",
        "_record",
        "_started",
        "_started_at",
        "event_id",
    )

    def __init__(
        self,
        record: Callable[[InferenceEvent], None],
        clock: Clock,
        model: str,
        input: object,
        fields: dict[str, Any],
    ) -> None:
        self.event_id = new_event_id()
        self._record = record
        self._clock = clock
        self._fields = fields
        fields.setdefault("request_model", model)
        fields.setdefault("source", "sdk")
        # A list of messages is often appended to with the answer before the block ends.
        self._input = tuple(input) if isinstance(input, list) else input
        self._output: object = None
        self._chunks: list[str] = []
        self._ended = False
        self._started_at = clock.now()
        self._started = clock.elapsed()

    def __enter__(self) -> Inference:
        self._started_at = self._clock.now()
        self._started = self._clock.elapsed()
        return self

    def chunk(self, text: str | None) -> None:
        """Add a piece of streamed output; None, as first and last chunks often have, adds nothing."""
        if text:
            self.first_token()
            self._chunks.append(text)
        self._fields["stream"] = True

    def first_token(self) -> None:
        """Stamp the time to first token, where it carries no text, such as a piece of a tool call."""
        if "time_to_first_token" not in self._fields:
            self._fields["time_to_first_token"] = self.elapsed()
            self._fields["stream"] = True

    def output(self, given: object) -> None:
        """Add output that was not streamed: its text, or messages as `Mirror.inference` takes them."""
        if isinstance(given, str):
            self._chunks.append(given)
        else:
            self._output = given

    def tokens(
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        *,
        cache_read_tokens: int | None = None,
        cache_creation_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Say how many tokens the server reported; input includes cached ones and output includes reasoning."""
        self._fields |= {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cache_read_tokens": cache_read_tokens,
            "cache_creation_tokens": cache_creation_tokens,
            "reasoning_tokens": reasoning_tokens,
            "token_source": "reported",
        }

    def finish(self, *reasons: str | None) -> None:
        """Say why generation ended, such as `stop` or `length`; None, as chunks before the last have, says nothing."""
        if said := tuple([reason for reason in reasons if reason]):
            self._fields["finish_reasons"] = said

    def error(self, error_type: str, message: str = "") -> None:
        """Say that the inference failed although no exception leaves the block."""
        self._fields |= {"status": "error", "error_type": error_type, "error_message": message or None}

    def set(self, **fields: Any) -> None:
        """Say further fields of `InferenceEvent`, such as `response_id` or `response_model`."""
        self._fields |= fields

    def elapsed(self) -> float:
        """Return the seconds since it began."""
        return self._clock.elapsed() - self._started

    def end(self, error: BaseException | None = None, *, cancelled: bool = False, after: float | None = None) -> None:
        """End the inference, with the error that ended it or as cancelled. Only the first call counts.

        It lasted until now or, where its end is noticed later than it was, `after` seconds, see `elapsed`.
        """
        if self._ended:
            return
        self._ended = True
        try:
            self._record(self._event(self.elapsed() if after is None else after, error, cancelled))
        except Exception:
            # A log handler of the application's may fail too.
            with contextlib.suppress(Exception):
                log.warning("An inference could not be mirrored", exc_info=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end(error)

    def _event(self, duration: float, error: BaseException | None, cancelled: bool) -> InferenceEvent:
        fields = self._fields
        if error is not None:
            kind = type(error).__name__
            status = "cancelled" if cancelled or kind in _CANCELLED else "error"
            fields |= {"status": status, "error_type": kind, "error_message": str(error) or None}
        elif cancelled:
            fields |= {"status": "cancelled", "error_type": "cancelled"}
        output = "".join(self._chunks)
        if output or self._output is not None:
            told = as_messages(self._output, "assistant")
            fields["output_messages"] = (text_message("assistant", output), *told) if output else told
        return InferenceEvent(
            event_id=self.event_id,
            started_at=self._started_at,
            duration=duration,
            input_messages=as_messages(self._input),
            **fields,
        )
