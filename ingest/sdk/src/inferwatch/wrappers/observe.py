"""A decorator for any function that infers: plain, async, generator or async generator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from inferwatch.mirror import Mirror
from inferwatch.recording import Inference
from inferwatch.wrappers.guard import guarded
from inferwatch.wrappers.patching import OBSERVED, unwrap

P = ParamSpec("P")
R = TypeVar("R")

Capture = bool | Callable[..., object]


def observe(
    mirror: Mirror,
    model: str,
    *,
    capture_input: Capture = True,
    capture_output: Capture = True,
    **fields: Any,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mirror every call of a function as an inference of `model`; `fields` are further fields of `InferenceEvent`.

    `capture_input` is called with the function's arguments and returns what `Mirror.inference` takes as input. True
    takes the first argument that is a text or a list of messages, False nothing. `capture_output` is called with the
    result, of a generator with each item, and returns a text, messages or None. True takes texts, False nothing.

    The decorated function has the name, signature and kind of the original, and returns and raises what that does. A
    generator is timed from its first item asked for to its end; one that is left early is cancelled. Only a plain
    function refuses wrong arguments where it is called; the others do with the first item, or when they are awaited.
    """
    plan = _Plan(mirror, model, capture_input, capture_output, fields)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        original = unwrap(function)
        watched = functools.wraps(original)(_watcher_of(original)(plan, original))
        setattr(watched, OBSERVED, original)
        return cast(Callable[P, R], watched)

    return decorate


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a decorator was told, and the guarded steps it takes around a call."""

    mirror: Mirror
    model: str
    capture_input: Capture
    capture_output: Capture
    fields: dict[str, Any]

    @guarded
    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inference:
        fields = self.fields
        if self.capture_input is False or self.capture_output is False:
            fields = {"content_unavailable": True, **fields}
        return self.mirror.inference(self.model, self.input_of(args, kwargs), **fields)

    @guarded
    def input_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        if callable(self.capture_input):
            return self.capture_input(*args, **kwargs)
        if not self.capture_input:
            return None
        return next((given for given in (*args, *kwargs.values()) if _is_prompt(given)), None)

    @guarded
    def answer(self, inference: Inference | None, result: object) -> None:
        if inference is not None and (output := self._output_of(result)) is not None:
            inference.output(output)

    @guarded
    def item(self, inference: Inference | None, item: object) -> None:
        if inference is None:
            return
        output = self._output_of(item)
        if output is None or isinstance(output, str):
            inference.chunk(output)
        else:
            inference.first_token()
            inference.output(output)

    @guarded
    def end(self, inference: Inference | None, error: BaseException | None = None) -> None:
        if inference is not None:
            inference.end(error)

    def _output_of(self, result: object) -> object:
        if callable(self.capture_output):
            return self.capture_output(result)
        return result if self.capture_output and isinstance(result, str) else None


def _is_prompt(given: object) -> bool:
    if isinstance(given, str):
        return True
    is_list = isinstance(given, Sequence) and not isinstance(given, bytes) and len(given) > 0
    return is_list and all(isinstance(item, dict) and "role" in item for item in cast(Sequence[object], given))


def _watcher_of(function: Callable[..., Any]) -> Callable[[_Plan, Callable[..., Any]], Callable[..., Any]]:
    if inspect.isasyncgenfunction(function):
        return _async_generator
    if inspect.isgeneratorfunction(function):
        return _generator
    return _coroutine if inspect.iscoroutinefunction(function) else _plain


def _plain(plan: _Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        inference = plan.begin(args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            plan.end(inference, error)
            raise
        plan.answer(inference, result)
        plan.end(inference)
        return result

    return call


def _coroutine(plan: _Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        inference = plan.begin(args, kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            plan.end(inference, error)
            raise
        plan.answer(inference, result)
        plan.end(inference)
        return result

    return call


def _generator(plan: _Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inference = plan.begin(args, kwargs)
        try:
            result = yield from _Items(plan, inference, function(*args, **kwargs))
        except BaseException as error:
            plan.end(inference, error)
            raise
        plan.end(inference)
        return result

    return call


class _Items(Generator[Any, Any, Any]):
    """Items of a generator, looked at as they pass; what is sent or thrown in goes to the generator."""

    def __init__(self, plan: _Plan, inference: Inference | None, items: Generator[Any, Any, Any]) -> None:
        self._plan = plan
        self._inference = inference
        self._items = items

    def send(self, value: Any) -> Any:
        item = self._items.send(value)
        self._plan.item(self._inference, item)
        return item

    def throw(self, *error: Any) -> Any:
        item = self._items.throw(*error)
        self._plan.item(self._inference, item)
        return item

    def close(self) -> None:
        self._items.close()


def _async_generator(plan: _Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        inference = plan.begin(args, kwargs)
        items: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        try:
            item = await anext(items)
            while True:
                plan.item(inference, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    await items.aclose()
                    raise
                except BaseException as error:
                    item = await items.athrow(error)
                else:
                    item = await items.asend(sent)
        except StopAsyncIteration:
            plan.end(inference)
        except BaseException as error:
            plan.end(inference, error)
            raise

    return call
