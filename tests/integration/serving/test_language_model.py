"""SmolLM2 on a real Triton, over HTTP and gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.serving.chat_client import generate, generate_stream, stream_grpc
from tests.support.triton import ENDLESS, RunningTriton

LONG = "Count from one to a million and write every number down."


def test_without_stream_there_is_one_whole_response(triton: RunningTriton) -> None:
    status, answer = generate(triton.http_url, text_input="What is the capital of France?", max_tokens=8)
    assert status == 200
    assert answer["text_output"]
    assert answer["finish_reason"] in {"stop", "length"}
    assert answer["num_input_tokens"] > 10
    assert 1 <= answer["num_output_tokens"] <= 8


def test_a_stream_comes_token_by_token_and_its_counts_add_up(triton: RunningTriton) -> None:
    begun = time.monotonic()
    events, times = [], []
    for event in generate_stream(triton.http_url, text_input=LONG, max_tokens=40, temperature=0.0):
        events.append(event)
        times.append(time.monotonic() - begun)
    assert sum(event["num_output_tokens"] for event in events) == 40
    assert {event["finish_reason"] for event in events[:-1]} == {""}
    assert events[-1]["finish_reason"] == "length"
    assert len({event["num_input_tokens"] for event in events}) == 1
    assert len(events) > 20
    assert times[0] < times[-1] * 0.75


def test_stream_and_whole_response_agree_for_a_seed(triton: RunningTriton) -> None:
    asked = {"text_input": "Name a colour.", "max_tokens": 24, "seed": 7, "temperature": 0.9}
    streamed = "".join(event["text_output"] for event in generate_stream(triton.http_url, **asked))
    _, whole = generate(triton.http_url, **asked)
    _, other = generate(triton.http_url, **{**asked, "seed": 8})
    assert streamed == whole["text_output"]
    assert other["text_output"] != whole["text_output"]


async def test_grpc_streams_the_same_fields(triton: RunningTriton) -> None:
    asked = {"text_input": LONG, "max_tokens": 6, "stream": True}
    answers = [answer async for answer in stream_grpc(triton.grpc_url, **asked)]
    assert set(answers[0]) == {"text_output", "finish_reason", "num_input_tokens", "num_output_tokens"}
    assert sum(int(answer["num_output_tokens"]) for answer in answers) == 6
    assert answers[-1]["finish_reason"] == b"length"


def test_a_system_prompt_replaces_the_default_one(triton: RunningTriton) -> None:
    _, default = generate(triton.http_url, text_input="hi", max_tokens=1)
    _, short = generate(triton.http_url, text_input="hi", max_tokens=1, system_prompt="Be brief.")
    assert short["num_input_tokens"] < default["num_input_tokens"]


def test_text_beyond_ascii_survives(triton: RunningTriton) -> None:
    status, answer = generate(triton.http_url, text_input="Übersetze: 今日は 😀", max_tokens=3)
    assert status == 200
    assert answer["num_output_tokens"] <= 3


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(triton: RunningTriton) -> None:
    status, answer = generate(triton.http_url, text_input="word " * 3000)
    assert status == 400
    assert "has 3031 tokens" in answer["error"]
    assert "at most 2047 fit" in answer["error"]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"text_input": ""}, "text_input"),
        ({"text_input": "x", "max_tokens": 0}, "max_tokens"),
        ({"text_input": "x", "temperature": -1}, "temperature"),
        ({"text_input": "x", "seed": -5}, "seed"),
    ],
)
def test_bad_input_is_refused_by_name(triton: RunningTriton, wrong: dict[str, object], name: str) -> None:
    status, answer = generate(triton.http_url, **wrong)
    assert status == 400
    assert f"input '{name}'" in answer["error"]


def test_requests_side_by_side_progress_together(triton: RunningTriton) -> None:
    def first_and_last(number: int) -> tuple[float, float]:
        times = [
            time.monotonic() for _ in generate_stream(triton.http_url, **{**ENDLESS, "max_tokens": 60}, seed=number)
        ]
        return times[0], times[-1]

    with ThreadPoolExecutor(4) as pool:
        spans = list(pool.map(first_and_last, range(4)))
    assert max(first for first, _ in spans) < min(last for _, last in spans)


def test_a_stream_that_the_client_leaves_stops_generating(triton: RunningTriton) -> None:
    events = generate_stream(triton.http_url, **ENDLESS)
    next(events)
    events.close()
    _wait_until(lambda: _idle(triton), within=5)


async def test_a_cancelled_grpc_stream_stops_generating(triton: RunningTriton) -> None:
    answers = stream_grpc(triton.grpc_url, **ENDLESS, stream=True)
    await anext(answers)
    await answers.aclose()
    _wait_until(lambda: _idle(triton), within=5)


def test_more_requests_than_slots_wait_and_are_all_answered(triton: RunningTriton) -> None:
    with ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(generate, triton.http_url, text_input=f"Say {n}.", max_tokens=8) for n in range(9)]
        assert [one.result()[0] for one in asked] == [200] * 9


def _idle(triton: RunningTriton) -> bool:
    """Whether the models use no processor time for a quarter of a second."""
    before = _ticks(triton)
    time.sleep(0.25)
    return _ticks(triton) - before <= 1


def _ticks(triton: RunningTriton) -> int:
    stats = [Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split() for pid in triton.stubs()]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats)


def _wait_until(met: Callable[[], bool], within: float) -> None:
    deadline = time.monotonic() + within
    while not met():
        assert time.monotonic() < deadline
