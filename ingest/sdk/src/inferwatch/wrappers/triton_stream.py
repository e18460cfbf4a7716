"""gRPC streams of tritonclient: many requests on one stream, any number of responses to each."""

from __future__ import annotations

import functools
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from inferwatch.mirror import Mirror
from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.triton_call import Arguments, TritonCall, begin, end, fail, take

_MOST_OPEN: Final = 4_096
"""Requests of one stream that may be open; some models answer without ever saying that they have done so."""


class OpenRequests:
    """The requests on one stream that wait for responses.

    A response names its request's id and model; of several requests with the same, the oldest that is open is meant. An
    error of one request names neither (tritonclient drops them): the oldest request of the stream is meant. Where more
    than `_MOST_OPEN` are open, the oldest ends.
    """

    def __init__(self) -> None:
        # Responses come in a thread of their own. Re-entrant, because the garbage collector may end streams in here.
        self._lock = threading.RLock()
        self._by_key: dict[tuple[str, str], deque[TritonCall]] = {}
        self._in_order: dict[TritonCall, None] = {}

    @guarded
    def add(self, call: TritonCall | None) -> None:
        """Expect responses."""
        if call is None:
            return
        with self._lock:
            self._by_key.setdefault(call.key, deque()).append(call)
            self._in_order[call] = None
            oldest = next(iter(self._in_order)) if len(self._in_order) > _MOST_OPEN else None
        if oldest is not None:
            self.remove(oldest)
            _end_unsaid(oldest)

    @guarded
    def remove(self, call: TritonCall | None) -> None:
        """Expect no more responses."""
        with self._lock:
            if call is None or call not in self._in_order:
                return
            del self._in_order[call]
            waiting = self._by_key[call.key]
            waiting.remove(call)
            if not waiting:
                del self._by_key[call.key]

    @guarded
    def respond(self, result: Any, error: Any) -> None:
        """Take in what the stream gave: one response, one request's error, or the end of the stream."""
        if error is None:
            self._take(result)
        elif error.status() is None:
            with self._lock:
                oldest = next(iter(self._in_order), None)
            self.remove(oldest)
            fail(oldest, error)
        else:
            self.fail_all(error)

    @guarded
    def fail_all(self, error: BaseException) -> None:
        """End what is open with the error that ended the stream."""
        for call in self._emptied():
            fail(call, error)

    @guarded
    def end_all(self, *, cancelled: bool) -> None:
        """End what is open because the stream has."""
        for call in self._emptied():
            _end_unsaid(call, cancelled=cancelled)

    def _emptied(self) -> list[TritonCall]:
        with self._lock:
            calls = list(self._in_order)
            self._in_order.clear()
            self._by_key.clear()
        return calls

    def _take(self, result: Any) -> None:
        response = result.get_response()
        with self._lock:
            waiting = self._by_key.get((response.id, response.model_name))
            call = waiting[0] if waiting else None
        if call is None:
            return
        take(call, result, streamed=True)
        # Where the flag would come in a response of its own, Triton sends it only to who asks for it: to others the
        # reason for the end is the end.
        if _is_final(response) or (call.answer.reasons and not call.awaits_final):
            self.remove(call)
            end(call)


def _end_unsaid(call: TritonCall, *, cancelled: bool = False) -> None:
    """End a request whose end nobody said; one that nothing came for was not answered."""
    end(call, cancelled=cancelled or call.last_heard is None)


def _is_final(response: Any) -> bool:
    # Asking a protobuf map for what it has not would add it to the application's response.
    return "triton_final_response" in response.parameters and response.parameters["triton_final_response"].bool_param


def stream_methods(client: Any, mirror: Mirror, fields: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return replacements for the methods of the blocking gRPC client that have to do with its one stream."""
    starts, asks, stops = client.start_stream, client.async_stream_infer, client.stop_stream
    start_arguments, ask_arguments, stop_arguments = Arguments(starts), Arguments(asks), Arguments(stops)
    stream = OpenRequests()

    @functools.wraps(starts)
    def start_stream(*args: Any, **kwargs: Any) -> Any:
        def watched(callback: Callable[..., Any]) -> Callable[..., Any]:
            def answered(result: Any, error: Any) -> None:
                stream.respond(result, error)
                callback(result=result, error=error)

            return answered

        args, kwargs = start_arguments.replaced(args, kwargs, "callback", watched)
        return starts(*args, **kwargs)

    @functools.wraps(asks)
    def async_stream_infer(*args: Any, **kwargs: Any) -> Any:
        call = begin(mirror, fields, ask_arguments.named(args, kwargs), streamed=True)
        stream.add(call)
        try:
            return asks(*args, **kwargs)
        except BaseException as error:
            stream.remove(call)
            fail(call, error)
            raise

    @functools.wraps(stops)
    def stop_stream(*args: Any, **kwargs: Any) -> Any:
        try:
            return stops(*args, **kwargs)
        finally:
            stream.end_all(cancelled=bool(stop_arguments.named(args, kwargs).get("cancel_requests")))

    return {"start_stream": start_stream, "async_stream_infer": async_stream_infer, "stop_stream": stop_stream}


def async_stream_methods(client: Any, mirror: Mirror, fields: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return a replacement for `stream_infer` of the asyncio gRPC client."""
    original = client.stream_infer
    arguments = Arguments(original)

    @functools.wraps(original)
    def stream_infer(*args: Any, **kwargs: Any) -> Any:
        stream = OpenRequests()

        def watched(requests: Any) -> Any:
            return _Requests(requests, mirror, fields, stream)

        args, kwargs = arguments.replaced(args, kwargs, "inputs_iterator", watched)
        responses = original(*args, **kwargs)
        _watch_responses(responses, stream)
        return responses

    return {"stream_infer": stream_infer}


class _Requests:
    """The application's requests, looked at as gRPC fetches them."""

    def __init__(self, requests: Any, mirror: Mirror, fields: Mapping[str, Any], stream: OpenRequests) -> None:
        self._requests = requests
        self._mirror = mirror
        self._fields = fields
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[Any]:
        self._requests = aiter(self._requests)
        return self

    async def __anext__(self) -> Any:
        request = await anext(self._requests)
        self._stream.add(begin(self._mirror, self._fields, request, streamed=True))
        return request


@guarded
def _watch_responses(responses: Any, stream: OpenRequests) -> None:
    """Look at responses as the application fetches them.

    The iterator's methods are looked up on its class, so it gets one that is derived from its own.
    """
    kind: Any = type(responses)

    class Watched(kind):  # type: ignore[misc]  # the base is tritonclient's, a local class of which no type is known
        async def __anext__(self) -> Any:
            try:
                result, error = await super().__anext__()
            except StopAsyncIteration:
                stream.end_all(cancelled=False)
                raise
            except BaseException as raised:
                stream.fail_all(raised)
                raise
            stream.respond(result, error)
            return result, error

        def cancel(self) -> Any:
            stream.end_all(cancelled=True)
            return super().cancel()

    Watched.__name__, Watched.__qualname__, Watched.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    responses.__class__ = Watched
    weakref.finalize(responses, stream.end_all, cancelled=True).atexit = False
