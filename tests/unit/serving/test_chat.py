"""Requests and chunks of the language model, without Triton and without the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.model_modules import model_module

chat = model_module("smollm2", "chat")


def text(value: bytes) -> Any:
    return np.array([value], dtype=np.object_)


def test_only_a_prompt_gives_the_defaults() -> None:
    wanted = chat.parse({"text_input": text("grüß".encode())})
    assert wanted == chat.ChatRequest(prompt="grüß")
    assert not wanted.stream
    assert wanted.body()["messages"] == [{"role": "user", "content": "grüß"}]
    assert "seed" not in wanted.body()


def test_every_input_reaches_the_engine() -> None:
    wanted = chat.parse(
        {
            "text_input": text(b"hi"),
            "stream": np.array([True]),
            "max_tokens": np.array([3], dtype=np.int32),
            "temperature": np.array([0.5], dtype=np.float32),
            "seed": np.array([0], dtype=np.int32),
            "system_prompt": text(b"be brief"),
        }
    )
    body = wanted.body()
    assert wanted.stream
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (3, 0.5, 0)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("text_input", text(b"")),
        ("text_input", text(b"\xff")),
        ("text_input", np.array([b"a", b"b"], dtype=np.object_)),
        ("max_tokens", np.array([0], dtype=np.int32)),
        ("temperature", np.array([np.nan], dtype=np.float32)),
        ("temperature", np.array([-0.1], dtype=np.float32)),
        ("seed", np.array([-1], dtype=np.int32)),
    ],
)
def test_bad_input_is_named(name: str, tensor: Any) -> None:
    with pytest.raises(chat.BadInput) as caught:
        chat.parse({"text_input": text(b"hi"), name: tensor})
    assert caught.value.name == name


def content(value: str, total: int) -> dict[str, Any]:
    timings = {"prompt_n": 5, "cache_n": 2, "predicted_n": total}
    return {"choices": [{"finish_reason": None, "delta": {"content": value}}], "timings": timings}


def finish(reason: str) -> dict[str, Any]:
    return {"choices": [{"finish_reason": reason, "delta": {}}]}


def usage(total: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": total}}


@given(steps=st.lists(st.integers(1, 4), max_size=20), silent=st.integers(0, 2))
def test_output_tokens_add_up_to_the_usage(steps: list[int], silent: int) -> None:
    """However many tokens a chunk stands for, and however many end the text without adding to it."""
    totals = np.cumsum(steps).tolist()
    used = (totals[-1] if totals else 0) + silent
    chunks = [{"choices": [{"finish_reason": None, "delta": {"role": "assistant", "content": None}}]}]
    chunks += [content("x", total) for total in totals] + [finish("stop"), usage(used)]
    reader = chat.ChunkReader()
    pieces = [piece for chunk in chunks if (piece := reader.read(chunk)) is not None]
    assert sum(piece.output_tokens for piece in pieces) == used
    assert {piece.input_tokens for piece in pieces} == {7}
    assert [piece.finish_reason for piece in pieces] == [""] * len(totals) + ["stop"]
    assert chat.joined(pieces) == chat.Piece("x" * len(totals), 7, used, "stop")


def test_a_prompt_that_does_not_fit_says_how_long_it_is_and_how_much_fits() -> None:
    error = {"type": "exceed_context_size_error", "n_prompt_tokens": 3031, "n_ctx": 2048, "message": "too long"}
    with pytest.raises(chat.PromptTooLong, match=r"has 3031 tokens .* at most 2047 fit"):
        chat.ChunkReader().read({"error": error})


def test_other_errors_of_the_engine_keep_their_message() -> None:
    with pytest.raises(chat.EngineFailed, match="no slot"):
        chat.ChunkReader().read({"error": {"type": "server_error", "message": "no slot"}})


def test_a_response_has_one_element_in_each_tensor() -> None:
    tensors = chat.Piece("é", 7, 1).tensors()
    assert {name: array.shape for name, array in tensors.items()} == dict.fromkeys(tensors, (1,))
    assert tensors["text_output"][0] == "é".encode()
    assert tensors["num_output_tokens"].dtype == np.uint32
