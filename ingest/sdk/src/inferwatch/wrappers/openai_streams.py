"""Watch what openai's client returns: a parsed response, a stream, a response as it came."""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.openai_call import OpenAICall
from inferwatch.wrappers.patching import patch, unwrap


def watch_response(response: Any, call: OpenAICall) -> None:
    """Let whatever the request gave end the call: now, or when the application has read it."""
    if _watched(response, call) is None:
        call.leave_unread()


@guarded
def _watched(response: Any, call: OpenAICall) -> bool:
    if hasattr(response, "http_response"):
        _watch_raw(response, call)
    elif call.streamed:
        _watch_stream(response, call)
    else:
        call.take(response)
        call.end()
    return True


def _watch_stream(stream: Any, call: OpenAICall) -> None:
    """Look at chunks as the application fetches them, in the stream's own iterator; its class stays what it is."""
    chunks = stream._iterator
    if isinstance(chunks, _Chunks | _AsyncChunks):
        return
    watched = _AsyncChunks(chunks, call) if hasattr(chunks, "__anext__") else _Chunks(chunks, call)
    _watch_close(stream.response, watched.closed)
    stream._iterator = watched
    # The call knows nothing of the stream, which can so be found abandoned.
    weakref.finalize(stream, call.drop).atexit = False


def _watch_raw(response: Any, call: OpenAICall) -> None:
    """Look at what `with_raw_response` and `with_streaming_response` give."""
    http = response.http_response
    if call.streamed:
        patch(response, {"parse": _watched_parse(response.parse, call)})
        _watch_close(http, call.leave_unread)
        weakref.finalize(http, call.leave_unread).atexit = False
    elif http.is_closed:
        call.take_json(http.content)
        call.end()
    else:
        patch(response, {"close": _watched_close(response.close, functools.partial(_end_read, http, call))})
        weakref.finalize(response, call.leave_unread).atexit = False


def _end_read(http: Any, call: OpenAICall) -> None:
    """End with a body that the application may have read as it liked: parsed, as bytes, line by line or not at all."""
    body = _body_of(http)
    if body is None:
        call.leave_unread()
    else:
        call.take_json(body)
        call.end()


def _body_of(http: Any) -> bytes | None:
    try:
        body: bytes = http.content
    except RuntimeError:  # what httpx raises where nobody asked for the body as a whole
        return None
    return body


def _watched_parse(original: Callable[..., Any], call: OpenAICall) -> Callable[..., Any]:
    """Return `parse` of a response with a stream; it is awaited in one of openai's classes and not in the others."""

    @functools.wraps(original)
    def parse(*args: Any, **kwargs: Any) -> Any:
        parsed = original(*args, **kwargs)
        if hasattr(parsed, "__await__"):
            return _awaited(parsed)
        _watch_parsed(parsed, call)
        return parsed

    async def _awaited(parsing: Any) -> Any:
        parsed = await parsing
        _watch_parsed(parsed, call)
        return parsed

    return parse


@guarded
def _watch_parsed(parsed: Any, call: OpenAICall) -> None:
    _watch_stream(parsed, call)


@guarded
def _watch_close(http: Any, closed: Callable[[], None]) -> None:
    """Learn of the end of a response; openai closes streams by their response, whoever asks for it."""
    original = unwrap(http)
    patch(original, {name: _watched_close(getattr(original, name), closed) for name in ("close", "aclose")})


def _watched_close(original: Callable[..., Any], closed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def close(*args: Any, **kwargs: Any) -> Any:
        closing = original(*args, **kwargs)
        closed()
        return closing

    return close


class _Chunks(Iterator[Any]):
    """Chunks of a stream, looked at as they pass."""

    def __init__(self, chunks: Any, call: OpenAICall) -> None:
        self._chunks = chunks
        self._call = call
        self._reading = False

    def __next__(self) -> Any:
        self._reading = True
        try:
            while self._call.take(chunk := next(self._chunks)):
                pass
        except StopIteration:
            self._call.end()
            raise
        except BaseException as error:
            self._call.fail(error)
            raise
        finally:
            self._reading = False
        return chunk

    def closed(self) -> None:
        """Hear that the response was closed; its own end closes it too, in the middle of reading."""
        if not self._reading:
            self._call.leave()


class _AsyncChunks(AsyncIterator[Any]):
    """Chunks of an asynchronous stream, looked at as they pass."""

    def __init__(self, chunks: Any, call: OpenAICall) -> None:
        self._chunks = chunks
        self._call = call
        self._reading = False

    async def __anext__(self) -> Any:
        self._reading = True
        try:
            while self._call.take(chunk := await anext(self._chunks)):
                pass
        except StopAsyncIteration:
            self._call.end()
            raise
        except BaseException as error:
            self._call.fail(error)
            raise
        finally:
            self._reading = False
        return chunk

    def closed(self) -> None:
        """Hear that the response was closed; its own end closes it too, in the middle of reading."""
        if not self._reading:
            self._call.leave()
