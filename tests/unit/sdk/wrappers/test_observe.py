"""The decorator: functions stay what they are, and each call of them is recorded."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from inferwatch import InferenceEvent, text_message
from inferwatch.wrappers import faults, observe, unwrap
from tests.unit.sdk.wrappers.recorded import RecordedMirror

PROMPT = (text_message("user", "hi"),)
ANSWER = (text_message("assistant", "hello"),)


@pytest.fixture
def mirror() -> Iterator[RecordedMirror]:
    before = faults()
    yield RecordedMirror()
    assert faults() == before


def plain(prompt: str, times: int = 1) -> str:
    """Answer."""
    return "hello" * times


async def coroutine(prompt: str, times: int = 1) -> str:
    """Answer."""
    await asyncio.sleep(0)
    return "hello" * times


def generator(prompt: str, times: int = 1) -> Iterator[str]:
    """Answer."""
    yield from ("hel", "lo") * times


async def async_generator(prompt: str, times: int = 1) -> AsyncIterator[str]:
    """Answer."""
    for piece in ("hel", "lo") * times:
        yield piece


KINDS: list[Callable[..., Any]] = [plain, coroutine, generator, async_generator]
TESTS: list[Callable[[Any], bool]] = [
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
]


def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of any kind to its end."""
    result = function(*args, **kwargs)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isasyncgen(result):

        async def collect() -> list[Any]:
            return [item async for item in result]

        return asyncio.run(collect())
    return list(result) if inspect.isgenerator(result) else result


def check_answered(event: InferenceEvent, *, stream: bool) -> None:
    assert (event.status, event.request_model, event.stream) == ("ok", "m", stream)
    assert (event.input_messages, event.output_messages) == (PROMPT, ANSWER)


@pytest.mark.parametrize("function", KINDS)
def test_a_decorated_function_is_of_the_same_kind_and_does_the_same(
    mirror: RecordedMirror, function: Callable[..., Any]
) -> None:
    watched = observe(mirror, "m")(function)
    assert inspect.signature(watched) == inspect.signature(function)
    assert (watched.__name__, watched.__doc__, watched.__module__) == (function.__name__, "Answer.", __name__)
    assert [test(watched) for test in TESTS] == [test(function) for test in TESTS]
    assert run(watched, "hi") == run(function, "hi")
    check_answered(mirror.event(), stream=function in (generator, async_generator))


@pytest.mark.parametrize("function", KINDS)
def test_decorating_twice_records_once_and_unwrapping_gives_the_original(
    mirror: RecordedMirror, function: Callable[..., Any]
) -> None:
    watched = observe(mirror, "m")(observe(mirror, "n")(function))
    run(watched, prompt="hi")
    assert mirror.event().request_model == "m"
    assert unwrap(watched) is function


def test_a_decorator_in_between_is_not_lost(mirror: RecordedMirror) -> None:
    watched = observe(mirror, "m")(plain)

    @functools.wraps(watched)
    def shouted(prompt: str) -> str:
        return watched(prompt).upper()

    assert unwrap(shouted) is shouted
    assert observe(mirror, "n")(shouted)("hi") == "HELLO"


@pytest.mark.parametrize("function", KINDS)
def test_what_is_raised_is_recorded_and_passes_on(mirror: RecordedMirror, function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        run(observe(mirror, "m")(function), "hi", times="often")
    assert (mirror.event().status, mirror.event().error_type) == ("error", "TypeError")


def test_a_function_that_is_a_method(mirror: RecordedMirror) -> None:
    class Ranker:
        @observe(mirror, "m", operation="infer", team="search")
        def rank(self, query: str) -> str:
            return "hello"

    assert Ranker().rank("hi") == "hello"
    check_answered(mirror.event(), stream=False)
    assert (mirror.event().operation, mirror.event().team) == ("infer", "search")


def test_messages_are_a_prompt_too(mirror: RecordedMirror) -> None:
    @observe(mirror, "m")
    def answer(count: int, messages: list[dict[str, str]]) -> str:
        return "hello"

    answer(3, messages=[{"role": "user", "content": "hi"}])
    check_answered(mirror.event(), stream=False)


def test_content_is_what_the_application_says_it_is(mirror: RecordedMirror) -> None:
    @observe(mirror, "m", capture_input=lambda query, **_: query["text"], capture_output=lambda ranked: ranked[0])
    def rank(query: dict[str, str], *, limit: int) -> list[str]:
        return ["hello", "goodbye"][:limit]

    assert rank({"text": "hi"}, limit=2) == ["hello", "goodbye"]
    check_answered(mirror.event(), stream=False)


def test_content_that_must_not_be_taken_is_said_to_be_absent(mirror: RecordedMirror) -> None:
    observe(mirror, "m", capture_input=False, capture_output=False)(plain)("hi")
    event = mirror.event()
    assert (event.input_messages, event.output_messages, event.content_unavailable) == ((), (), True)


def test_the_first_item_stamps_the_time_to_first_token(mirror: RecordedMirror) -> None:
    @observe(mirror, "m")
    def answer() -> Iterator[str]:
        mirror.clock.move(2)
        yield "hel"
        mirror.clock.move(1)
        yield "lo"

    items = answer()
    mirror.clock.move(5)  # nothing runs before the first item is asked for
    assert list(items) == ["hel", "lo"]
    assert (mirror.event().time_to_first_token, mirror.event().duration) == (2, 3)


def test_a_generator_that_is_left_early_is_cancelled(mirror: RecordedMirror) -> None:
    items = observe(mirror, "m")(generator)("hi", times=2)
    next(items)
    items.close()  # type: ignore[attr-defined]  # a generator, as the annotation does not say
    event = mirror.event()
    assert (event.status, event.output_messages) == ("cancelled", (text_message("assistant", "hel"),))


async def test_an_async_generator_that_is_left_early_is_cancelled(mirror: RecordedMirror) -> None:
    items = observe(mirror, "m")(async_generator)("hi", times=2)
    await anext(items)
    await items.aclose()  # type: ignore[attr-defined]  # a generator, as the annotation does not say
    assert mirror.event().status == "cancelled"


async def test_a_task_that_is_cancelled_is_no_error(mirror: RecordedMirror) -> None:
    @observe(mirror, "m")
    async def answer() -> None:
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(answer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mirror.event().status == "cancelled"


def converse() -> Generator[str, str, str]:
    """Say back what is sent or thrown in, until `bye`."""
    said = "start"
    while said != "bye":
        try:
            said = yield said
        except ValueError as error:
            said = f"caught {error}"
    return "end"


def test_what_is_sent_and_thrown_in_arrives_and_the_result_comes_back(mirror: RecordedMirror) -> None:
    talk = observe(mirror, "m")(converse)()
    assert next(talk) == "start"
    assert talk.send("one") == "one"
    assert talk.throw(ValueError("two")) == "caught two"
    with pytest.raises(StopIteration) as end:
        talk.send("bye")
    assert end.value.value == "end"
    assert mirror.event().output_messages == (text_message("assistant", "startonecaught two"),)


async def test_what_is_sent_and_thrown_into_an_async_generator_arrives(mirror: RecordedMirror) -> None:
    @observe(mirror, "m")
    async def talks() -> Any:
        said = "start"
        while said != "bye":
            try:
                said = yield said
            except ValueError as error:
                said = f"caught {error}"

    talk = talks()
    assert await anext(talk) == "start"
    assert await talk.asend("one") == "one"
    assert await talk.athrow(ValueError("two")) == "caught two"
    with pytest.raises(StopAsyncIteration):
        await talk.asend("bye")
    assert mirror.event().status == "ok"


@pytest.mark.parametrize("function", KINDS)
def test_a_mirror_and_captures_that_fail_are_not_noticed(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = RecordedMirror()
    before = sum(faults().values())
    fails = observe(mirror, "m", capture_input=lambda: 1, capture_output=lambda: 1)(function)
    assert run(fails, "hi") == run(function, "hi")
    assert mirror.event().input_messages == ()
    monkeypatch.setattr(mirror, "inference", lambda *_, **__: 1 / 0)
    assert run(fails, "hi") == run(function, "hi")
    assert sum(faults().values()) > before
