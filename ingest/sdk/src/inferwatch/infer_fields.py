"""Event fields from the tensors of a Triton inference, whoever saw them, after the conventions of its text backends.

A model is a text model where it takes `text_input` or gives `text_output`, an embedder where it takes texts named
`text`; of any other the tensors are summarised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from inferwatch.events import Message, Part, TensorSummary, text_message
from inferwatch.tensors import TensorSample

_NO_REASON: Final = ("", "null", "none")
_NOT_PARAMETERS: Final = ("text_input", "system_prompt", "stream")
_MOST_TENSORS: Final = 64
"""Summaries of outputs kept of one inference; a decoupled model may answer for ever."""


class Tensor(Protocol):
    """A tensor that passed."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def datatype(self) -> str:
        """Its datatype, by Triton's names."""
        ...

    @property
    def texts(self) -> tuple[str, ...] | None:
        """The content of a tensor of texts, None of others and where it is not here."""
        ...

    @property
    def available(self) -> bool:
        """Whether its content was to be seen: not so in shared memory."""
        ...

    def scalars(self) -> Sequence[Any]:
        """Return the content as plain values; nothing where nobody looked."""
        ...

    def summary(self) -> TensorSummary | TensorSample:
        """Return what an event carries of it, or what that is made of."""
        ...


def request_messages(inputs: Sequence[Tensor]) -> tuple[Message, ...]:
    """Return what a text model or an embedder was asked."""
    named = {tensor.name: tensor.texts or () for tensor in inputs}
    if "text_input" in named:
        system = tuple(text_message("system", text) for text in named.get("system_prompt", ()))
        return (*system, *(text_message("user", text) for text in named["text_input"]))
    return tuple(text_message("user", text) for text in named.get("text", ()))


def request_fields(
    inputs: Sequence[Tensor], parameters: Mapping[str, Any], *, answers_text: bool = False
) -> dict[str, Any]:
    """Return event fields of a request, its messages apart; `answers_text` tells a text model by its answers."""
    prompt = next((tensor for tensor in inputs if tensor.name == "text_input"), None)
    if prompt is not None or answers_text:
        return {
            "operation": "text_completion",
            "parameters": {**_given(inputs), **parameters},
            "content_unavailable": prompt is None or prompt.texts is None,
        }
    text = next((tensor for tensor in inputs if tensor.name == "text" and tensor.datatype == "BYTES"), None)
    if text is not None:
        operation = {"operation": "embeddings", "content_unavailable": text.texts is None}
        return {**operation, "parameters": dict(parameters)}
    return {
        "operation": "infer",
        "parameters": dict(parameters),
        "input_tensors": tuple(tensor.summary() for tensor in inputs),
        "content_unavailable": not all(tensor.available for tensor in inputs),
    }


class InferAnswer:
    """What the responses of one inference said, taken in one by one.

    `prompted` says that the request had a text input by the name that Triton's text backends use.
    """

    def __init__(self, *, prompted: bool) -> None:
        self.reasons: list[str] = []
        self._prompted = prompted
        self._is_text = False
        self._unavailable = False
        self._texts: list[list[str]] = []
        self._tensors: list[TensorSummary | TensorSample] = []
        self._input_tokens: int | None = None
        self._output_tokens: int | None = None

    def add(self, outputs: Sequence[Tensor]) -> bool:
        """Take a response in; return whether it carries output."""
        self._unavailable |= not all(tensor.available for tensor in outputs)
        for tensor in outputs:
            self._count(tensor)
        texts = next((tensor for tensor in outputs if tensor.name == "text_output"), None)
        if texts is None:
            left = _MOST_TENSORS - len(self._tensors)
            self._tensors.extend(tensor.summary() for tensor in outputs[:left])
            return bool(outputs) and not self._is_text
        self._is_text = True
        for index, piece in enumerate(texts.texts or ()):
            if index == len(self._texts):
                self._texts.append([])
            self._texts[index].append(piece)
        return any(texts.texts or ())

    def fields(self, *, whole: bool) -> dict[str, Any]:
        """Return event fields; `whole` says that every response was seen."""
        fields: dict[str, Any] = {"finish_reasons": tuple(self.reasons)}
        if self._is_text:
            fields |= {"operation": "text_completion", "output_messages": self._messages(), "input_tensors": ()}
            self._unavailable |= not self._prompted
        else:
            fields["output_tensors"] = tuple(self._tensors)
        if self._unavailable:
            fields["content_unavailable"] = True
        if self._input_tokens is not None:
            fields |= {"input_tokens": self._input_tokens, "token_source": "reported"}
        if self._output_tokens is not None and whole:
            fields |= {"output_tokens": self._output_tokens, "token_source": "reported"}
        return fields

    def _messages(self) -> tuple[Message, ...]:
        messages = []
        for index, pieces in enumerate(self._texts):
            reason = self.reasons[index] if index < len(self.reasons) else None
            parts = (Part(type="text", content="".join(pieces)),)
            messages.append(Message(role="assistant", parts=parts, finish_reason=reason))
        return tuple(messages)

    def _count(self, tensor: Tensor) -> None:
        """Count as Triton's text backends report: each response repeats the input tokens and has its own output."""
        if tensor.name == "finish_reason":
            self.reasons.extend(str(value) for value in tensor.scalars() if str(value).lower() not in _NO_REASON)
        elif tensor.name == "num_input_tokens" and (values := _whole_numbers(tensor)):
            self._input_tokens = max(self._input_tokens or 0, sum(values))
        elif tensor.name == "num_output_tokens" and (values := _whole_numbers(tensor)):
            self._output_tokens = (self._output_tokens or 0) + sum(values)


def _whole_numbers(tensor: Tensor) -> list[int]:
    """Return the content of a tensor that counts something; nothing of one that cannot."""
    return [int(value) for value in tensor.scalars() if isinstance(value, int | float) and math.isfinite(value)]


def _given(inputs: Sequence[Tensor]) -> dict[str, Any]:
    """Return the small inputs beside the prompt: sampling parameters, one by one or as a JSON object."""
    found: dict[str, Any] = {}
    for tensor in inputs:
        values = () if tensor.name in _NOT_PARAMETERS else tensor.scalars()
        if len(values) != 1:
            continue
        if tensor.name == "sampling_parameters":
            found |= _json_parameters(str(values[0]))
        else:
            found[tensor.name] = values[0]
    return found


def _json_parameters(text: str) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}
