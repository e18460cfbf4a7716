"""One call through a wrapped client: what all of them say about their ends, in the same words."""

from __future__ import annotations

from typing import Any, Final

from inferwatch.recording import Inference
from inferwatch.truncation import shorten

_CANCELLED: Final = ("CANCELLED", "499")
_MESSAGE_CHARACTERS: Final = 1_000


def end_with(inference: Inference, error: BaseException, *, after: float | None = None) -> None:
    """End an inference with what the client raised or handed over, now or `after` seconds from its start.

    Where a server answered, the type is its status (`429`, `UNAVAILABLE`), as in events of the sidecar; else it is the
    class of the exception.
    """
    status = _status(error)
    if status is None:
        inference.end(error, after=after)
    elif status in _CANCELLED:
        inference.end(cancelled=True, after=after)
    else:
        inference.error(status, shorten(_message(error), _MESSAGE_CHARACTERS))
        inference.end(after=after)


def _status(error: BaseException) -> str | None:
    """Return the status of tritonclient's `InferenceServerException` or of openai's `APIStatusError`."""
    given: Any = getattr(error, "status", None)
    given = given() if callable(given) else getattr(error, "status_code", None)
    return str(given).removeprefix("StatusCode.") if isinstance(given, str | int) and given != "" else None


def _message(error: BaseException) -> str:
    body: Any = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    given: Any = getattr(error, "message", None)
    return str(given() if callable(given) else given or error)
