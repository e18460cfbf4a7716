"""tritonclient over HTTP against a real Triton, blocking and for asyncio."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from inferwatch import context, text_message
from inferwatch.wrappers import unwrap, wrap_triton
from tests.integration.sdk.mirrored import Mirrored
from tests.integration.sdk.tensors import inputs
from tests.support.triton import RunningTriton
from tests.unit.sdk.events import HandClock

TEXTS = ["the sea", "a lake"]


@pytest.fixture
def plain(triton: RunningTriton) -> Iterator[Any]:
    with tritonclient.http.InferenceServerClient(triton.http_url.removeprefix("http://"), concurrency=2) as client:
        yield client


@pytest.fixture
def client(triton: RunningTriton, mirrored: Mirrored) -> Iterator[Any]:
    with tritonclient.http.InferenceServerClient(triton.http_url.removeprefix("http://"), concurrency=2) as client:
        yield wrap_triton(client, mirrored.mirror)


@pytest.fixture
async def aio(triton: RunningTriton, mirrored: Mirrored) -> AsyncIterator[Any]:
    async with tritonclient.http.aio.InferenceServerClient(triton.http_url.removeprefix("http://")) as client:
        yield wrap_triton(client, mirrored.mirror)


def texts() -> list[Any]:
    return inputs(tritonclient.http, text=TEXTS)


def check_embedded(mirrored: Mirrored) -> None:
    event = mirrored.event()
    assert (event.status, event.operation, event.request_model) == ("ok", "embeddings", "minilm")
    assert (event.response_model, event.model_version, event.response_id) == ("minilm", "1", "r-1")
    assert event.input_messages == tuple(text_message("user", text) for text in TEXTS)
    (summary,) = event.output_tensors
    assert (summary.name, summary.datatype, summary.shape, summary.count) == ("embedding", "FP32", (2, 384), 768)
    # Embeddings are of length 1, in 384 dimensions.
    assert summary.deviation == pytest.approx(384**-0.5, rel=0.02)
    assert summary.sketch is not None
    assert sum(summary.sketch.values()) == 768
    assert (event.stream, event.content_unavailable, event.source) == (False, False, "sdk")
    assert event.duration > 0


def test_infer_gives_what_it_gives_without_and_is_recorded(plain: Any, client: Any, mirrored: Mirrored) -> None:
    expected = plain.infer("minilm", texts(), request_id="r-1")
    result = client.infer("minilm", texts(), request_id="r-1")
    assert type(result) is type(expected)
    assert result.get_response() == expected.get_response()
    np.testing.assert_array_equal(result.as_numpy("embedding"), expected.as_numpy("embedding"))
    check_embedded(mirrored)


def test_async_infer_ends_with_its_result(client: Any, mirrored: Mirrored) -> None:
    request = client.async_infer("minilm", texts(), request_id="r-1")
    assert isinstance(request, tritonclient.http.InferAsyncRequest)
    assert request.get_result().as_numpy("embedding").shape == (2, 384)
    check_embedded(mirrored)


async def test_the_asyncio_client_records_the_same(aio: Any, mirrored: Mirrored) -> None:
    result = await aio.infer(model_name="minilm", inputs=texts(), request_id="r-1")
    assert result.as_numpy("embedding").shape == (2, 384)
    check_embedded(mirrored)


def test_inputs_that_travel_as_json_are_read_too(client: Any, mirrored: Mirrored) -> None:
    tensor = tritonclient.http.InferInput("text", [1], "BYTES")
    tensor.set_data_from_numpy(np.array(["the sea"], dtype=np.object_), binary_data=False)
    client.infer("minilm", [tensor])
    assert mirrored.event().input_messages == (text_message("user", "the sea"),)


def test_an_error_is_the_clients_own_and_recorded_by_its_status(plain: Any, client: Any, mirrored: Mirrored) -> None:
    asked = inputs(tritonclient.http, text_input="hi", max_tokens=3)
    with pytest.raises(InferenceServerException) as expected:
        plain.infer("minilm", asked)
    with context(team="search", prompt_name="greeting"), pytest.raises(InferenceServerException) as caught:
        client.infer("minilm", asked)
    assert (caught.value.status(), caught.value.message()) == (expected.value.status(), expected.value.message())
    event = mirrored.event()
    assert (event.status, event.error_type, event.error_message) == ("error", "400", caught.value.message())
    assert (event.operation, event.parameters) == ("text_completion", {"max_tokens": 3})
    assert (event.team, event.prompt_name) == ("search", "greeting")


def test_an_error_of_async_infer_comes_with_its_result(client: Any, mirrored: Mirrored) -> None:
    request = client.async_infer("minilm", inputs(tritonclient.http, text_input="hi"))
    with pytest.raises(InferenceServerException):
        request.get_result()
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "400")


def test_a_result_that_is_not_there_yet_may_be_asked_for_again(client: Any, mirrored: Mirrored) -> None:
    request = client.async_infer("minilm", inputs(tritonclient.http, text=["word " * 200] * 20))
    with pytest.raises(InferenceServerException, match="failed to obtain"):
        request.get_result(timeout=1e-9)
    assert mirrored.events() == []
    request.get_result()
    assert mirrored.event().status == "ok"


def test_a_result_that_is_fetched_late_did_not_take_longer(triton: RunningTriton) -> None:
    clock = HandClock()
    mirrored = Mirrored(clock=clock)
    with tritonclient.http.InferenceServerClient(triton.http_url.removeprefix("http://")) as client:
        request = wrap_triton(client, mirrored.mirror).async_infer("minilm", texts())
        request._greenlet.join()
        clock.move(60)
        request.get_result()
    assert (mirrored.event().status, mirrored.event().duration) == ("ok", 0)


def test_a_request_whose_result_nobody_asks_for_is_cancelled(client: Any, mirrored: Mirrored) -> None:
    client.async_infer("minilm", texts())
    gc.collect()
    assert mirrored.event().status == "cancelled"


async def test_a_task_that_is_cancelled_is_no_error(aio: Any, mirrored: Mirrored) -> None:
    task = asyncio.create_task(aio.infer("minilm", texts()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert mirrored.event().status == "cancelled"


def test_a_server_that_is_not_there(mirrored: Mirrored) -> None:
    with tritonclient.http.InferenceServerClient("127.0.0.1:1") as client:
        wrap_triton(client, mirrored.mirror)
        with pytest.raises(ConnectionRefusedError):
            client.infer("minilm", texts())
    assert (mirrored.event().status, mirrored.event().error_type) == ("error", "ConnectionRefusedError")


def test_a_wrong_call_fails_as_it_does_without(client: Any, mirrored: Mirrored) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'inputs'"):
        client.infer("minilm")


def test_the_client_stays_what_it_was(plain: Any, mirrored: Mirrored) -> None:
    names = dir(plain)
    assert wrap_triton(wrap_triton(plain, mirrored.mirror), mirrored.mirror) is plain
    assert type(plain) is tritonclient.http.InferenceServerClient
    assert set(names) <= set(dir(plain))
    plain.infer("minilm", texts())
    assert len(mirrored.events()) == 1
    unwrap(plain).infer("minilm", texts())
    assert len(mirrored.events()) == 1
    assert dir(plain) == names
