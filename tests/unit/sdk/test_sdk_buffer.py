"""The buffer between threads: bounded by number and by size, the oldest dropped first, all of it counted."""

from __future__ import annotations

import sys
import threading
from array import array
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import inferwatch.buffer as buffer_module
from inferwatch import FeedbackEvent, InferenceEvent, Message, Part, text_message
from inferwatch.buffer import EventBuffer, text_size
from tests.unit.sdk.events import event


def id_of(taken: object) -> str:
    assert isinstance(taken, InferenceEvent)
    return taken.event_id


@given(st.lists(st.one_of(st.just("put"), st.integers(1, 4)), max_size=60), st.integers(1, 5))
def test_what_was_put_is_taken_in_order_or_was_dropped_as_the_oldest(steps: list[object], most: int) -> None:
    buffer, held, dropped, put = EventBuffer(most, 1 << 30), list[str](), 0, 0
    for step in steps:
        if isinstance(step, int):
            assert [id_of(one) for one in buffer.take(step)] == held[:step]
            held = held[step:]
        else:
            put += 1
            buffer.put(event(event_id=str(put)))
            held.append(str(put))
            dropped += len(held) - len(held[-most:])
            held = held[-most:]
        assert (len(buffer), buffer.recorded, buffer.dropped) == (len(held), put, dropped)


def test_text_beyond_the_limit_drops_the_oldest_but_never_the_only_one() -> None:
    buffer = EventBuffer(100, 5_000)
    for name in "abc":
        buffer.put(event(event_id=name, input_messages=(text_message("user", "x" * 3_000),)))
    assert [id_of(one) for one in buffer.take(10)] == ["c"]
    buffer.put(event(event_id="huge", input_messages=(text_message("user", "x" * 50_000),)))
    assert [id_of(one) for one in buffer.take(10)] == ["huge"]
    assert buffer.dropped == 2


def test_the_size_counts_everything_that_grows() -> None:
    big = "x" * 100_000
    call = Part(type="tool_call", arguments={"a": [big]})
    answer = Part(type="tool_call_response", response=big)
    for fields in (
        {"parameters": {"a": big}},
        {"attributes": {big: ""}},
        {"error_message": big},
        {"input_messages": (Message(role="user", parts=(call,)),)},
        {"output_messages": (Message(role="tool", parts=(answer,)),)},
        {"embedding": (0.5,) * 10_000},
        {"parameters": {"a": bytearray(100_000)}},
        {"parameters": {"a": memoryview(bytes(100_000))}},
        {"parameters": {"a": {big}}},
        {"parameters": {"a": array("d", [0.5]) * 20_000}},
    ):
        assert text_size(event(**fields)) > 100_000
    feedback = FeedbackEvent(feedback_id="f", at=1.0)
    for said in ("comment", "label", "who"):
        assert text_size(msgspec.structs.replace(feedback, **{said: big})) > 100_000


def test_many_threads_lose_nothing_that_is_not_counted() -> None:
    buffer = EventBuffer(50, 1 << 30)

    def put() -> None:
        for _ in range(200):
            buffer.put(event())

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += len(buffer.take(20))
    taken += len(buffer.take(1000))
    assert buffer.recorded == 800 == taken + buffer.dropped


@pytest.mark.parametrize("step", ["put", "take"])
def test_an_event_put_wherever_the_lock_is_held_does_not_hang(step: str) -> None:
    buffer = EventBuffer(5, 1 << 30)

    def again(frame: FrameType, *_: object) -> None:
        # The tracer stands in for the garbage collector, which may run at any line, also of the standard library.
        if frame.f_code.co_filename in (buffer_module.__file__, threading.__file__):
            sys.settrace(None)
            buffer.put(event())
            sys.settrace(trace)

    def trace(frame: FrameType, *_: object) -> Any:
        again(frame)
        return trace

    def run() -> None:
        call: Callable[[], object] = (lambda: buffer.put(event())) if step == "put" else (lambda: buffer.take(5))
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(10.0)
    assert not running.is_alive(), "it waits for a lock that it holds"
    assert buffer.recorded > 1
