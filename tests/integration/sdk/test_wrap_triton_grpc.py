"""tritonclient over gRPC against a real Triton: single requests and streams, blocking and for asyncio."""

from __future__ import annotations

import asyncio
import gc
import queue
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

from inferwatch import InferenceEvent, text_message
from inferwatch.wrappers import faults, wrap_triton
from tests.integration.sdk.mirrored import Mirrored
from tests.integration.sdk.tensors import inputs
from tests.support.triton import ENDLESS, RunningTriton

SECONDS = 60


@pytest.fixture
def client(triton: RunningTriton, mirrored: Mirrored) -> Iterator[Any]:
    with tritonclient.grpc.InferenceServerClient(triton.grpc_url) as client:
        yield wrap_triton(client, mirrored.mirror)


@pytest.fixture
async def aio(triton: RunningTriton, mirrored: Mirrored) -> AsyncIterator[Any]:
    async with tritonclient.grpc.aio.InferenceServerClient(triton.grpc_url) as client:
        yield wrap_triton(client, mirrored.mirror)


class Answers:
    """The callback of a stream; keeps what it is called with."""

    def __init__(self) -> None:
        self._got: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def __call__(self, result: Any, error: Any) -> None:
        self._got.put((result, error))

    def next(self) -> tuple[Any, Any]:
        return self._got.get(timeout=SECONDS)

    def text(self) -> str:
        """Read one answer to its end."""
        pieces = []
        while True:
            result, error = self.next()
            assert error is None
            pieces.append(result.as_numpy("text_output")[0].decode())
            if result.as_numpy("finish_reason")[0]:
                return "".join(pieces)


def texts(*given: str) -> list[Any]:
    return inputs(tritonclient.grpc, text=list(given or ("the sea",)))


def prompt(text: str = "Say hi.", **more: Any) -> list[Any]:
    return inputs(tritonclient.grpc, text_input=text, **{"stream": True, "max_tokens": 4, "seed": 1, **more})


def endless() -> list[Any]:
    return inputs(tritonclient.grpc, **ENDLESS, stream=True)


def check_generated(event: InferenceEvent, text: str, **fields: Any) -> None:
    assert (event.status, event.operation, event.response_model) == ("ok", "text_completion", "smollm2")
    assert event.output_messages[0].parts == text_message("assistant", text).parts
    assert event.finish_reasons == (event.output_messages[0].finish_reason,)
    assert event.stream
    assert event.time_to_first_token is not None
    assert 0 < event.time_to_first_token <= event.duration
    assert event.output_tokens is not None
    assert event.input_tokens is not None
    assert event.token_source == "reported"
    assert {name: getattr(event, name) for name in fields} == fields


def test_infer_and_async_infer(client: Any, mirrored: Mirrored) -> None:
    result = client.infer("minilm", texts("the sea"), request_id="r-1")
    assert isinstance(result, tritonclient.grpc.InferResult)
    answers = Answers()
    context = client.async_infer("minilm", texts("the sea"), answers, request_id="r-2")
    assert type(context).__name__ == "CallContext"
    later, error = answers.next()
    assert error is None
    np.testing.assert_array_equal(later.as_numpy("embedding"), result.as_numpy("embedding"))
    events = mirrored.events()
    assert [event.response_id for event in events] == ["r-1", "r-2"]
    for event in events:
        assert (event.status, event.operation, event.model_version) == ("ok", "embeddings", "1")
        assert event.input_messages == (text_message("user", "the sea"),)
        assert [tensor.shape for tensor in event.output_tensors] == [(1, 384)]


def test_errors_are_the_clients_own_and_recorded_by_their_status(client: Any, mirrored: Mirrored) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("minilm", prompt())
    answers = Answers()
    client.async_infer("minilm", prompt(), answers)
    result, error = answers.next()
    assert result is None
    assert error.message() == caught.value.message()
    for event in mirrored.events():
        assert (event.status, event.error_type) == ("error", "INVALID_ARGUMENT")
        assert event.error_message == caught.value.message()


def test_a_call_that_is_cancelled_is_no_error(client: Any, mirrored: Mirrored) -> None:
    answers = Answers()
    client.async_infer("minilm", texts(*["word " * 200] * 40), callback=answers).cancel()
    result, error = answers.next()
    assert (result, error.status()) == (None, "StatusCode.CANCELLED")
    assert mirrored.event().status == "cancelled"


def test_a_call_that_takes_too_long_is_an_error(client: Any, mirrored: Mirrored) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("minilm", texts(*["word " * 200] * 40), client_timeout=0.001)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "DEADLINE_EXCEEDED")


def test_a_server_that_is_not_there(mirrored: Mirrored) -> None:
    with tritonclient.grpc.InferenceServerClient("127.0.0.1:1") as client:
        wrap_triton(client, mirrored.mirror)
        with pytest.raises(InferenceServerException):
            client.infer("minilm", texts())
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "UNAVAILABLE")


def test_a_mirror_that_fails_is_not_noticed(triton: RunningTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored, answers, before = Mirrored(), Answers(), sum(faults().values())
    monkeypatch.setattr(mirrored.mirror, "inference", lambda *_, **__: 1 / 0)
    with tritonclient.grpc.InferenceServerClient(triton.grpc_url) as client:
        wrap_triton(client, mirrored.mirror)
        assert client.infer("minilm", texts()).as_numpy("embedding").shape == (1, 384)
        client.start_stream(answers)
        client.async_stream_infer("smollm2", prompt())
        assert answers.text()
    assert sum(faults().values()) - before == 2


def test_a_client_that_is_dropped_is_freed(triton: RunningTriton, mirrored: Mirrored) -> None:
    client = wrap_triton(tritonclient.grpc.InferenceServerClient(triton.grpc_url), mirrored.mirror)
    client.infer("minilm", texts())
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None


def test_a_stream_with_several_requests_at_once(client: Any, mirrored: Mirrored) -> None:
    answers = Answers()
    client.start_stream(callback=answers)
    client.async_stream_infer("smollm2", prompt("Say hi.", system_prompt="be kind"), request_id="a")
    client.async_stream_infer("smollm2", prompt("Count to ten."), request_id="b", parameters={"tier": "gold"})
    client.async_stream_infer("minilm", texts(), request_id="c")
    client.stop_stream()
    said: dict[str, str] = {"a": "", "b": ""}
    while not answers._got.empty():
        result, error = answers.next()
        assert error is None
        request = result.get_response().id
        if request in said:
            said[request] += result.as_numpy("text_output")[0].decode()
    events = {event.response_id: event for event in mirrored.events()}
    assert len(mirrored.events()) == 3
    asked = (text_message("system", "be kind"), text_message("user", "Say hi."))
    check_generated(events["a"], said["a"], input_messages=asked, parameters={"max_tokens": 4, "seed": 1})
    check_generated(events["b"], said["b"], parameters={"max_tokens": 4, "seed": 1, "tier": "gold"})
    assert (events["c"].status, events["c"].operation, events["c"].stream) == ("ok", "embeddings", True)


@pytest.mark.parametrize("final", [False, True])
def test_requests_without_an_id_end_where_their_answer_does(client: Any, mirrored: Mirrored, final: bool) -> None:
    answers = Answers()
    client.start_stream(answers)
    for count in (1, 2):
        client.async_stream_infer("smollm2", prompt(), enable_empty_final_response=final)
        text = answers.text()
        assert len(mirrored.events()) == count
        check_generated(mirrored.events()[-1], text, response_id=None)
    client.stop_stream()


def test_an_error_on_a_stream_ends_its_request_and_no_other(client: Any, mirrored: Mirrored) -> None:
    answers = Answers()
    client.start_stream(answers)
    client.async_stream_infer("smollm2", inputs(tritonclient.grpc, max_tokens=3))
    _, error = answers.next()
    assert "text_input" in error.message()
    client.async_stream_infer("smollm2", prompt())
    answers.text()
    client.stop_stream()
    failed, answered = mirrored.events()
    assert (failed.status, failed.error_type) == ("error", "InferenceServerException")
    assert answered.status == "ok"


def test_a_stream_that_is_cancelled_keeps_what_came(client: Any, mirrored: Mirrored) -> None:
    answers = Answers()
    client.start_stream(answers)
    client.async_stream_infer("smollm2", endless())
    result, _ = answers.next()
    client.stop_stream(cancel_requests=True)
    event = mirrored.event()
    assert event.status == "cancelled"
    assert event.output_messages[0].parts[0].content.startswith(result.as_numpy("text_output")[0].decode())  # type: ignore[union-attr]  # None fails the test too


def test_a_request_without_a_stream_fails_as_it_does_without(client: Any, mirrored: Mirrored) -> None:
    with pytest.raises(InferenceServerException, match="stream not available"):
        client.async_stream_infer("smollm2", prompt())
    assert mirrored.event().status == "error"


async def requests(*given: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for request in given:
        yield request


async def test_the_asyncio_client_infers(aio: Any, mirrored: Mirrored) -> None:
    result = await aio.infer("minilm", texts())
    assert isinstance(result, tritonclient.grpc.aio.InferResult)
    assert (mirrored.event().status, mirrored.event().operation) == ("ok", "embeddings")


async def test_a_stream_of_the_asyncio_client(aio: Any, mirrored: Mirrored) -> None:
    asked = {"model_name": "smollm2", "inputs": prompt(), "request_id": "a"}
    other = {"model_name": "minilm", "inputs": texts(), "request_id": "b"}
    said = ""
    async for result, error in aio.stream_infer(requests(asked, other)):
        assert error is None
        if result.get_response().id == "a":
            said += result.as_numpy("text_output")[0].decode()
    events = {event.response_id: event for event in mirrored.events()}
    check_generated(events["a"], said, input_messages=(text_message("user", "Say hi."),))
    assert events["b"].status == "ok"


async def test_a_stream_of_the_asyncio_client_hands_over_errors(aio: Any, mirrored: Mirrored) -> None:
    wrong = {"model_name": "smollm2", "inputs": inputs(tritonclient.grpc, max_tokens=3)}
    answers = [answer async for answer in aio.stream_infer(inputs_iterator=requests(wrong))]
    assert [type(error) for _, error in answers] == [InferenceServerException]
    assert mirrored.event().status == "error"


async def test_a_stream_of_the_asyncio_client_that_is_cancelled(aio: Any, mirrored: Mirrored) -> None:
    responses = aio.stream_infer(requests({"model_name": "smollm2", "inputs": endless()}))
    await anext(responses)
    assert responses.cancel()
    with pytest.raises(asyncio.CancelledError):
        [response async for response in responses]
    assert mirrored.event().status == "cancelled"


async def test_a_stream_of_the_asyncio_client_that_is_dropped(aio: Any, mirrored: Mirrored) -> None:
    responses = aio.stream_infer(requests({"model_name": "smollm2", "inputs": endless()}))
    await anext(responses)
    del responses
    gc.collect()
    assert mirrored.event().status == "cancelled"


async def test_a_task_that_is_cancelled_is_no_error(aio: Any, mirrored: Mirrored) -> None:
    task = asyncio.create_task(aio.infer("minilm", texts()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mirrored.event().status == "cancelled"
