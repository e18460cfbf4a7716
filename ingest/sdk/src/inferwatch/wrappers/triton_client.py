"""tritonclient's four clients: HTTP and gRPC, each in its blocking form and for asyncio."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from inferwatch.mirror import Mirror
from inferwatch.wrappers.errors import UnknownClientError
from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.patching import loaded_class, patch, unwrap
from inferwatch.wrappers.triton_call import Arguments, TritonCall, arrive, begin, end, fail, finish
from inferwatch.wrappers.triton_stream import async_stream_methods, stream_methods

C = TypeVar("C")

Methods = dict[str, Callable[..., Any]]


def wrap_triton(client: C, mirror: Mirror, **fields: Any) -> C:
    """Mirror every inference of a `tritonclient` client, and return the same client.

    Covered: `infer` and `async_infer` over HTTP; `infer`, `async_infer` and streams (`start_stream`,
    `async_stream_infer`, `stop_stream`) over gRPC; `infer` and, over gRPC, `stream_infer` of the asyncio clients.
    `fields` are further fields of `InferenceEvent`. Wrapping again replaces what was said before; `unwrap` undoes it.

    Raises:
        UnknownClientError: `client` is none of these.
    """
    for module, methods in _METHODS.items():
        known = loaded_class(module, "InferenceServerClient")
        if known is not None and isinstance(client, known):
            patch(client, methods(unwrap(client), mirror, fields))
            return client
    raise UnknownClientError(client, "an InferenceServerClient of tritonclient", "tritonclient")


def _http(client: Any, mirror: Mirror, fields: Mapping[str, Any]) -> Methods:
    return {
        "infer": _blocking(client.infer, mirror, fields),
        "async_infer": _greenlet(client.async_infer, mirror, fields),
    }


def _grpc(client: Any, mirror: Mirror, fields: Mapping[str, Any]) -> Methods:
    return {
        "infer": _blocking(client.infer, mirror, fields),
        "async_infer": _callback(client.async_infer, mirror, fields),
        **stream_methods(client, mirror, fields),
    }


def _http_aio(client: Any, mirror: Mirror, fields: Mapping[str, Any]) -> Methods:
    return {"infer": _awaited(client.infer, mirror, fields)}


def _grpc_aio(client: Any, mirror: Mirror, fields: Mapping[str, Any]) -> Methods:
    return {"infer": _awaited(client.infer, mirror, fields), **async_stream_methods(client, mirror, fields)}


_METHODS: Final[dict[str, Callable[[Any, Mirror, Mapping[str, Any]], Methods]]] = {
    "tritonclient.http": _http,
    "tritonclient.grpc": _grpc,
    "tritonclient.http.aio": _http_aio,
    "tritonclient.grpc.aio": _grpc_aio,
}


def _blocking(original: Callable[..., Any], mirror: Mirror, fields: Mapping[str, Any]) -> Callable[..., Any]:
    arguments = Arguments(original)

    @functools.wraps(original)
    def infer(*args: Any, **kwargs: Any) -> Any:
        call = begin(mirror, fields, arguments.named(args, kwargs))
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            fail(call, error)
            raise
        finish(call, result, None)
        return result

    return infer


def _awaited(original: Callable[..., Any], mirror: Mirror, fields: Mapping[str, Any]) -> Callable[..., Any]:
    arguments = Arguments(original)

    @functools.wraps(original)
    async def infer(*args: Any, **kwargs: Any) -> Any:
        call = begin(mirror, fields, arguments.named(args, kwargs))
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            fail(call, error)
            raise
        finish(call, result, None)
        return result

    return infer


def _callback(original: Callable[..., Any], mirror: Mirror, fields: Mapping[str, Any]) -> Callable[..., Any]:
    arguments = Arguments(original)

    @functools.wraps(original)
    def async_infer(*args: Any, **kwargs: Any) -> Any:
        call = begin(mirror, fields, arguments.named(args, kwargs))

        def watched(callback: Callable[..., Any]) -> Callable[..., Any]:
            def answered(result: Any, error: Any) -> None:
                finish(call, result, error)
                callback(result=result, error=error)

            return answered

        args, kwargs = arguments.replaced(args, kwargs, "callback", watched)
        try:
            return original(*args, **kwargs)
        except BaseException as error:
            fail(call, error)
            raise

    return async_infer


def _greenlet(original: Callable[..., Any], mirror: Mirror, fields: Mapping[str, Any]) -> Callable[..., Any]:
    arguments = Arguments(original)

    @functools.wraps(original)
    def async_infer(*args: Any, **kwargs: Any) -> Any:
        call = begin(mirror, fields, arguments.named(args, kwargs))
        try:
            request = original(*args, **kwargs)
        except BaseException as error:
            fail(call, error)
            raise
        _watch_request(request, call)
        return request

    return async_infer


@guarded
def _watch_request(request: Any, call: TritonCall | None) -> None:
    """Let the result that is asked for end the call; a request that is dropped without asking was cancelled."""
    original = request.get_result

    @functools.wraps(original)
    def get_result(*args: Any, **kwargs: Any) -> Any:
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            # A caller who only waited for a while may come back.
            if _is_over(request):
                fail(call, error)
            raise
        finish(call, result, None)
        return result

    patch(request, {"get_result": get_result})
    # The response came when its greenlet ended; the application may fetch it much later.
    # Not `link`, which starts another greenlet for it: that one runs when the application waits for something next.
    if _is_over(request):
        arrive(call)
    else:
        request._greenlet.rawlink(lambda _: arrive(call))
    weakref.finalize(request, end, call, cancelled=True).atexit = False


@guarded
def _is_over(request: Any) -> bool:
    return bool(request._greenlet.ready())
