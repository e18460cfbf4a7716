"""openai's clients, blocking and asynchronous: chat, completions, embeddings and responses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from inferwatch.mirror import Mirror
from inferwatch.wrappers.errors import UnknownClientError
from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.openai_call import OpenAICall, Plan, begin
from inferwatch.wrappers.openai_streams import watch_response
from inferwatch.wrappers.patching import loaded_class, patch, unwrap

C = TypeVar("C")

Request = Callable[..., Any]


def wrap_openai(client: C, mirror: Mirror, *, include_usage: bool = False, **fields: Any) -> C:
    """Mirror every inference of an `openai` client, and return the same client.

    Covered: `chat.completions`, `completions`, `embeddings` and `responses`, whole and streamed, by `create`, `parse`
    and `stream`, also through `with_raw_response`, `with_streaming_response`, and clients made by `with_options`.
    Retries of the client belong to their inference. `fields` are further fields of `InferenceEvent`, such as
    `provider`. Wrapping again replaces what was said before; `unwrap` undoes it.

    Requests are not altered, so a streamed completion has tokens only where the application asks for them
    (`stream_options`). `include_usage` asks where the application does not, and keeps the extra chunk from it.

    Raises:
        UnknownClientError: `client` is neither `openai.OpenAI` nor `openai.AsyncOpenAI`, nor derived from one.
    """
    plan = Plan(mirror, include_usage, fields)
    for name, watched in (("OpenAI", _blocking), ("AsyncOpenAI", _awaited)):
        known = loaded_class("openai", name)
        if known is not None and isinstance(client, known):
            original: Any = unwrap(client)
            # Every method of every resource goes through `request`, with the path and the body that it sends.
            replacements = {"request": watched(original.request, plan, original)}
            for copies in ("copy", "with_options"):
                replacements[copies] = _wrapping(getattr(original, copies), plan)
            patch(original, replacements)
            return client
    raise UnknownClientError(client, "a client of openai, OpenAI or AsyncOpenAI", "openai")


def _blocking(original: Request, plan: Plan, client: Any) -> Request:
    @functools.wraps(original)
    def request(*args: Any, **kwargs: Any) -> Any:
        call = _begin(plan, client, args, kwargs)
        if call is None:
            return original(*args, **kwargs)
        try:
            response = original(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        watch_response(response, call)
        return response

    return request


def _awaited(original: Request, plan: Plan, client: Any) -> Request:
    @functools.wraps(original)
    async def request(*args: Any, **kwargs: Any) -> Any:
        call = _begin(plan, client, args, kwargs)
        if call is None:
            return await original(*args, **kwargs)
        try:
            response = await original(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        watch_response(response, call)
        return response

    return request


@guarded
def _begin(plan: Plan, client: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> OpenAICall | None:
    options = kwargs["options"] if "options" in kwargs else args[1]
    return begin(plan, client, options, streamed=bool(kwargs.get("stream")))


def _wrapping(original: Callable[..., Any], plan: Plan) -> Callable[..., Any]:
    @functools.wraps(original)
    def copy(*args: Any, **kwargs: Any) -> Any:
        copied = original(*args, **kwargs)
        _wrap_copy(copied, plan)
        return copied

    return copy


@guarded
def _wrap_copy(client: Any, plan: Plan) -> None:
    wrap_openai(client, plan.mirror, include_usage=plan.include_usage, **plan.fields)
