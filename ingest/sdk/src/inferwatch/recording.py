"""One inference, from its start to its end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeGuard

from inferwatch.buffer import size_of
from inferwatch.chat import as_messages, is_many
from inferwatch.clock import Clock
from inferwatch.events import InferenceEvent, Message, text_message
from inferwatch.ids import new_event_id

log: Final = logging.getLogger("inferwatch")

_GROWING: Final = frozenset(
    {"parameters", "attributes", "input_tensors", "output_tensors", "error_message", "embedding", "output_messages"}
)
_FLAT: Final = (str, type(None))
_CANCELLED: Final = ("CancelledError", "GeneratorExit", "KeyboardInterrupt")


class Inference:
    """Times one inference and records it when the block ends, also when it ends with an exception.

    Streamed: call `chunk` for each piece; the first one that carries text stamps the time to first token. Not
    streamed: call `output` once. An exception that leaves the block is recorded as an error and passes on. Where no
    block fits, call `end`.

    What is said is kept as it is; `event` makes an event of it, later and elsewhere where `later` is given. What is
    said after the end is not heard.
    """

    __slots__ = (
        "_chunks",
        "_clock",
        "_duration",
        "_ended",
        "_fields",
        "_input",
        "_later",
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
        later: Callable[[Inference], None] | None = None,
    ) -> None:
        self.event_id = new_event_id()
        self._record = record
        self._later = later
        self._clock = clock
        self._fields = fields
        fields.setdefault("request_model", model)
        fields.setdefault("source", "sdk")
        # A list of messages is often appended to with the answer before the block ends.
        self._input = _as_it_is_now(input)
        self._output: object = None
        self._duration = 0.0
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
        if self._ended:
            return
        if text:
            self.first_token()
            self._chunks.append(text)
        self._fields["stream"] = True

    def first_token(self, after: float | None = None) -> None:
        """Stamp the time to first token, where it carries no text, such as a piece of a tool call.

        It came now or, where it is looked at later than it came, `after` seconds, see `elapsed`.
        """
        if "time_to_first_token" not in self._fields and not self._ended:
            self._fields["time_to_first_token"] = self.elapsed() if after is None else after
            self._fields["stream"] = True

    def output(self, given: object) -> None:
        """Add output that was not streamed: its text, or messages as `Mirror.inference` takes them."""
        if self._ended:
            return
        if isinstance(given, str):
            self._chunks.append(given)
        else:
            self._output = _as_it_is_now(given)

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
        said = {
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "cache_read_tokens": cache_read_tokens,
            "cache_creation_tokens": cache_creation_tokens,
            "reasoning_tokens": reasoning_tokens,
            "token_source": "reported",
        }
        if not self._ended:
            self._fields |= said

    def finish(self, *reasons: str | None) -> None:
        """Say why generation ended, such as `stop` or `length`; None, as chunks before the last have, says nothing."""
        if said := tuple([reason for reason in reasons if reason]):
            self.set(finish_reasons=said)

    def error(self, error_type: str, message: str = "") -> None:
        """Say that the inference failed although no exception leaves the block."""
        self.set(status="error", error_type=error_type, error_message=message or None)

    def set(self, **fields: Any) -> None:
        """Say further fields of `InferenceEvent`, such as `response_id` or `response_model`."""
        if not self._ended:
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
            self._duration = self.elapsed() if after is None else after
            self._note_end(error, cancelled)
            if len(self._chunks) > 1:
                self._join_chunks()
            if self._later is None:
                self._record(self.event())
            else:
                self._later(self)
        except Exception:
            # A log handler of the application's may fail too.
            with contextlib.suppress(Exception):
                log.warning("An inference could not be mirrored", exc_info=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end(error)

    def event(self) -> InferenceEvent:
        """Return what is known by now as an event. Raises what values raise that an event cannot hold."""
        fields = self._fields
        output = "".join(self._chunks)
        if output or self._output is not None:
            told = as_messages(self._output, "assistant")
            fields = {**fields, "output_messages": (text_message("assistant", output), *told) if output else told}
        return InferenceEvent(
            event_id=self.event_id,
            started_at=self._started_at,
            duration=self._duration,
            input_messages=as_messages(self._input),
            **fields,
        )

    @property
    def size(self) -> int:
        """Roughly how many bytes it holds; counts what grows."""
        size = size_of(self._input) + sum(map(len, self._chunks))
        if self._output is not None:
            size += size_of(self._output)
        for name in _GROWING & self._fields.keys():
            size += size_of(self._fields[name])
        return size

    def _join_chunks(self) -> None:
        """Make one text of all pieces, each of which takes far more memory than its characters, which are counted."""
        # What is no text shows when an event is made, where it is counted.
        with contextlib.suppress(TypeError):
            self._chunks = ["".join(self._chunks)]

    def _note_end(self, error: BaseException | None, cancelled: bool) -> None:
        if error is not None:
            kind = type(error).__name__
            status = "cancelled" if cancelled or kind in _CANCELLED else "error"
            self._fields |= {"status": status, "error_type": kind, "error_message": _text_of(error) or None}
        elif cancelled:
            self._fields |= {"status": "cancelled", "error_type": "cancelled"}


def _as_it_is_now(given: object) -> object:
    """Return what was given so that it stays what it is: lists and dicts copied, objects of libraries as messages."""
    if given is None or isinstance(given, str):
        return given
    if type(given) is list or type(given) is tuple or is_many(given):
        return tuple([item.copy() if _is_flat(item) else _unchanging(item) for item in given])
    return given.copy() if _is_flat(given) else _unchanging(given)


def _is_flat(item: object) -> TypeGuard[dict[str, Any]]:
    """Whether something is a message whose content a shallow copy keeps as it is."""
    return type(item) is dict and type(item.get("content")) in _FLAT


def _unchanging(item: object) -> object:
    if isinstance(item, str | Message):
        return item
    try:
        return as_messages(item)[0]
    except Exception:
        return item  # whatever is wrong with it shows when an event is made


def _text_of(error: BaseException) -> str:
    """Return what an exception says; nothing where it fails even to say that."""
    try:
        return str(error)
    except Exception:
        return ""
