"""What a request asks for, and what the engine's stream says, as plain values.

Pure: knows neither Triton nor the engine, only their shapes. The engine speaks OpenAI's chat completion chunks
(https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md) with usage and timings switched on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_MAX_TOKENS = 256
# The model card's own recommendation for sampling.
DEFAULT_TEMPERATURE = 0.2
TOP_P = 0.9


class BadInput(ValueError):
    """An input tensor holds something that cannot be served; says which, what, and what would do."""

    def __init__(self, name: str, found: str, wanted: str) -> None:
        super().__init__(f"input '{name}' is {found}; it must be {wanted}")
        self.name, self.found, self.wanted = name, found, wanted


class PromptTooLong(ValueError):
    """The prompt, with the chat template around it, does not fit the context."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"input 'text_input' has {tokens} tokens with the chat template, but at most {limit - 1} fit "
            f"(the context holds {limit} and one is needed for the answer); shorten the prompt"
        )
        self.tokens, self.limit = tokens, limit


class EngineFailed(RuntimeError):
    """The engine reported an error of its own."""


@dataclass(frozen=True)
class ChatRequest:
    """One validated request."""

    prompt: str
    system_prompt: str | None = None
    stream: bool = False
    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float = DEFAULT_TEMPERATURE
    seed: int | None = None

    def body(self) -> dict[str, Any]:
        """The engine's request: always a stream, so that cancellation is noticed between tokens."""
        messages = [{"role": "user", "content": self.prompt}]
        if self.system_prompt is not None:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        body: dict[str, Any] = {
            "messages": messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": TOP_P,
            "stream": True,
            "stream_options": {"include_usage": True},
            "timings_per_token": True,
            # A reused prefix changes rounding, and with it what a seed produces.
            "cache_prompt": False,
        }
        if self.seed is not None:
            body["seed"] = self.seed
        return body


def parse(inputs: Mapping[str, NDArray[Any] | None]) -> ChatRequest:
    """Validates the tensors of one request; an absent optional input is None or missing.

    Raises:
        BadInput: a tensor has not exactly one element, is not UTF-8, or is out of range.
    """
    prompt = _text(inputs, "text_input")
    if not prompt:
        raise BadInput("text_input", "empty", "a prompt")
    max_tokens = int(_scalar(inputs, "max_tokens", DEFAULT_MAX_TOKENS))
    if max_tokens < 1:
        raise BadInput("max_tokens", str(max_tokens), "at least 1")
    temperature = float(_scalar(inputs, "temperature", DEFAULT_TEMPERATURE))
    if not math.isfinite(temperature) or temperature < 0:
        raise BadInput("temperature", str(temperature), "a number of 0 or more")
    seed = _scalar(inputs, "seed", None)
    if seed is not None and int(seed) < 0:
        raise BadInput("seed", str(int(seed)), "0 or more")
    return ChatRequest(
        prompt=prompt,
        system_prompt=_text(inputs, "system_prompt"),
        stream=bool(_scalar(inputs, "stream", False)),
        max_tokens=max_tokens,
        temperature=temperature,
        seed=None if seed is None else int(seed),
    )


def _scalar(inputs: Mapping[str, NDArray[Any] | None], name: str, default: Any) -> Any:
    tensor = inputs.get(name)
    if tensor is None:
        return default
    if tensor.size != 1:
        raise BadInput(name, f"of shape {list(tensor.shape)}", "of shape [1]")
    return tensor.reshape(-1)[0]


def _text(inputs: Mapping[str, NDArray[Any] | None], name: str) -> str | None:
    value = _scalar(inputs, name, None)
    if value is None:
        return None
    if isinstance(value, str):
        return value
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(name, f"not UTF-8 (byte {error.start})", "UTF-8 text") from error


@dataclass(frozen=True)
class Piece:
    """One response: text since the last one, tokens since the last one, and why it ended, if it did."""

    text: str
    input_tokens: int
    output_tokens: int
    finish_reason: str = ""

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The response's tensors by name, each of shape [1]."""
        return {
            "text_output": np.array([self.text.encode()], dtype=np.object_),
            "finish_reason": np.array([self.finish_reason.encode()], dtype=np.object_),
            "num_input_tokens": np.array([self.input_tokens], dtype=np.uint32),
            "num_output_tokens": np.array([self.output_tokens], dtype=np.uint32),
        }


class ChunkReader:
    """Turns the engine's chunks into pieces whose output tokens add up to what the engine reports as usage.

    A chunk may stand for several tokens (the bytes of one character) and the last token may bring no text, so
    tokens are counted from the engine's running total, never by chunks.
    """

    def __init__(self) -> None:
        self._finish_reason = ""
        self._input_tokens = 0
        self._counted = 0

    def read(self, chunk: Mapping[str, Any]) -> Piece | None:
        """The piece this chunk completes; None for chunks that carry nothing for the client.

        Raises:
            PromptTooLong: the prompt does not fit.
            EngineFailed: any other error of the engine.
        """
        if "error" in chunk:
            raise _failure(chunk["error"])
        timings = chunk.get("timings") or {}
        self._input_tokens = timings.get("prompt_n", 0) + timings.get("cache_n", 0) or self._input_tokens
        usage = chunk.get("usage")
        if usage is not None:
            self._input_tokens = usage["prompt_tokens"]
            return self._piece("", usage["completion_tokens"], self._finish_reason or "stop")
        for choice in chunk.get("choices", ()):
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            text = choice.get("delta", {}).get("content")
            if text:
                return self._piece(text, timings.get("predicted_n", self._counted + 1))
        return None

    def _piece(self, text: str, total: int, finish_reason: str = "") -> Piece:
        new, self._counted = max(0, total - self._counted), max(total, self._counted)
        return Piece(text, self._input_tokens, new, finish_reason)


def joined(pieces: list[Piece]) -> Piece:
    """All pieces of a generation as the single response of a request that does not stream."""
    return Piece(
        text="".join(piece.text for piece in pieces),
        input_tokens=pieces[-1].input_tokens,
        output_tokens=sum(piece.output_tokens for piece in pieces),
        finish_reason=pieces[-1].finish_reason,
    )


def _failure(error: Mapping[str, Any]) -> Exception:
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(error["n_prompt_tokens"], error["n_ctx"])
    return EngineFailed(str(error.get("message", error)))
