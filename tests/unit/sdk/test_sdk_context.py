"""What is said of a block holds inside it, in its tasks, and nowhere else."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from inferwatch import InferenceEvent, Mirror, context
from inferwatch.context import current_fields
from inferwatch.traceparent import trace_fields
from inferwatch.transport import MemoryTransport
from inferwatch.wire import decode_inference

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"

said = st.dictionaries(
    st.sampled_from(
        ["team", "user", "conversation_id", "prompt_name", "prompt_version", "service", "environment", "traceparent"]
    ),
    st.none() | st.text(max_size=8),
)


def mirrored(given: Mapping[str, Any]) -> InferenceEvent:
    made: list[MemoryTransport] = []

    def transport(_settings: object, report: Any) -> MemoryTransport:
        made.append(MemoryTransport(report))
        return made[-1]

    with Mirror("nowhere:9", transport=transport, linger=0.0, team="everyone") as mirror:
        mirror.inference("m", **given).end()
    return decode_inference(made[0].records[0])


@given(st.lists(said, max_size=4))
def test_an_inner_block_adds_says_anew_and_leaves_nothing_behind(blocks: list[dict[str, Any]]) -> None:
    def enter(left: list[dict[str, Any]], expected: dict[str, Any]) -> None:
        assert current_fields() == expected
        if left:
            told = {name: value for name, value in left[0].items() if value is not None and name != "traceparent"}
            with context(**left[0]):
                enter(left[1:], {**expected, **told})
        assert current_fields() == expected

    enter(blocks, {})


def test_attributes_of_all_blocks_and_of_the_call_are_merged() -> None:
    with context(attributes={"a": "outer", "b": "outer"}), context(attributes={"b": "inner"}):
        assert mirrored({"attributes": {"c": "call"}}).attributes == {"a": "outer", "b": "inner", "c": "call"}
        assert mirrored({}).attributes == {"a": "outer", "b": "inner"}


def test_the_call_wins_over_the_context_and_that_over_the_mirror() -> None:
    with context(team="retail", user="u"):
        assert [mirrored({"team": "other"}).team, mirrored({}).team, mirrored({}).user] == ["other", "retail", "u"]
    assert mirrored({}).team == "everyone"


def test_a_field_that_is_none_says_nothing() -> None:
    with context(team="retail", attributes={"a": "b"}):
        event = mirrored({"team": None, "attributes": None, "user": None, "parameters": None})
    assert (event.team, event.attributes, event.user, event.parameters) == ("retail", {"a": "b"}, None, {})


def test_a_value_that_cannot_be_compared_never_reaches_the_application(caplog: pytest.LogCaptureFixture) -> None:
    class Hostile:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]  # as numpy's arrays

    with Mirror("nowhere:9", transport=lambda _, report: MemoryTransport(report), linger=0.0) as mirror:
        with context(attributes={"a": "b"}), mirror.inference("m", attributes=Hostile()):
            pass
        with context(attributes=7):  # type: ignore[arg-type]  # what an application may do all the same
            assert current_fields() == {}
    assert (mirror.stats().recorded, mirror.stats().failed) == (1, 1)
    assert "1 mirrored events were lost" in caplog.text


def test_a_thread_begins_without_context_and_does_not_give_its_own_away() -> None:
    seen = []

    def run() -> None:
        seen.append(current_fields())
        with context(team="thread"):
            seen.append(current_fields())

    with context(team="outer"):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert current_fields() == {"team": "outer"}
    assert seen == [{}, {"team": "thread"}]


async def test_tasks_have_the_context_that_they_were_started_in_and_keep_theirs_apart() -> None:
    both = asyncio.Barrier(2)

    async def task(user: str) -> Mapping[str, Any]:
        with context(user=user):
            await both.wait()
            return current_fields()

    with context(team="outer"):
        tasks = [asyncio.create_task(task("a")), asyncio.create_task(task("b"))]
        in_thread = await asyncio.to_thread(current_fields)
    assert await asyncio.gather(*tasks) == [{"team": "outer", "user": "a"}, {"team": "outer", "user": "b"}]
    assert in_thread == {"team": "outer"}
    assert current_fields() == {}


def test_a_block_may_end_in_another_context_than_it_began_in() -> None:
    # As web frameworks do that run the halves of a generator in threads.
    block = context(team="retail")
    contextvars.Context().run(block.__enter__)
    contextvars.Context().run(block.__exit__, None, None, None)
    assert current_fields() == {}


def test_an_exception_passes_and_ends_the_block() -> None:
    with pytest.raises(KeyError), context(team="retail"):
        raise KeyError
    assert current_fields() == {}


def test_the_trace_comes_from_the_header_and_an_active_span_is_nearer() -> None:
    with context(traceparent=HEADER):
        assert current_fields() == {"trace_id": TRACE, "parent_span_id": SPAN}
        with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
            told = span.get_span_context()
            assert current_fields() == {
                "trace_id": trace.format_trace_id(told.trace_id),
                "parent_span_id": trace.format_span_id(told.span_id),
            }
            assert mirrored({"trace_id": "given"}).trace_id == "given"
        assert current_fields()["trace_id"] == TRACE


def test_an_inference_belongs_to_the_span_that_was_active_when_it_began() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("request") as span:
        event = mirrored({})
    assert event.trace_id == trace.format_trace_id(span.get_span_context().trace_id)
    assert mirrored({}).trace_id is None


def test_an_opentelemetry_that_is_being_imported_or_strange_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = types.ModuleType("opentelemetry.trace")
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", strange)
    with context(team="retail"):
        assert current_fields() == {"team": "retail"}
        strange.get_current_span = lambda: None  # type: ignore[attr-defined]  # a span of a vendor's making
        assert current_fields() == {"team": "retail"}


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        HEADER.replace("-01", "-00"),
        HEADER.replace("00-", "01-", 1),
        HEADER.replace("00-", "cc-", 1) + "-what-comes-later",
    ],
)
def test_a_header_of_this_and_of_later_versions_is_read(header: str) -> None:
    assert trace_fields(header) == {"trace_id": TRACE, "parent_span_id": SPAN}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        HEADER.upper(),
        HEADER + "-more",
        HEADER + "0",
        HEADER + "\n",
        f"00-{TRACE}{SPAN}-01",
        HEADER.encode(),
        7,
    ],
)
def test_a_header_that_is_malformed_says_nothing(header: Any) -> None:
    with context(traceparent=header, team="retail"):
        assert current_fields() == {"team": "retail"}
