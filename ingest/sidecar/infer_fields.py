"""Event fields from the tensors of a Triton inference, whichever protocol carried them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from inferwatch.events import Message, Part, text_message
from ingest.sidecar.tensors import Tensor, summary_of

_NO_REASON: Final = ("", "null", "none")
_NOT_PARAMETERS: Final = ("text_input", "system_prompt", "stream")
_COUNTS: Final = ("num_input_tokens", "num_output_tokens")


@dataclass(frozen=True, slots=True)
class Answer:
    """The tensors of one response, `after` seconds from the start."""

    after: float
    outputs: Sequence[Tensor]


def infer_fields(
    inputs: Sequence[Tensor], parameters: Mapping[str, Any], answers: Sequence[Answer], *, streamed: bool, whole: bool
) -> dict[str, Any]:
    """Return fields of `InferenceEvent`.

    A model is a text model where it takes `text_input` or gives `text_output`, an embedder where it takes text named
    `text`; of any other the tensors are summary_ofd. `whole` says that all of the response is here.
    """
    names = {tensor.name for tensor in inputs} | {tensor.name for answer in answers for tensor in answer.outputs}
    if names & {"text_input", "text_output"}:
        return _text_model(inputs, parameters, answers, streamed, whole)
    fields: dict[str, Any] = {"parameters": dict(parameters)}
    fields["output_tensors"] = tuple(summary_of(tensor) for answer in answers for tensor in answer.outputs)
    text = next((tensor for tensor in inputs if tensor.name == "text" and tensor.datatype == "BYTES"), None)
    if text is not None:
        fields["operation"] = "embeddings"
        fields["input_messages"] = tuple(text_message("user", item) for item in text.texts or ())
        fields["content_unavailable"] = text.texts is None
    else:
        fields["operation"] = "infer"
        fields["input_tensors"] = tuple(summary_of(tensor) for tensor in inputs)
        tensors = [*inputs, *(tensor for answer in answers for tensor in answer.outputs)]
        fields["content_unavailable"] = not all(tensor.available for tensor in tensors)
    if streamed and answers:
        fields["time_to_first_token"] = answers[0].after
    return fields


def _text_model(
    inputs: Sequence[Tensor], parameters: Mapping[str, Any], answers: Sequence[Answer], streamed: bool, whole: bool
) -> dict[str, Any]:
    prompt = next((tensor for tensor in inputs if tensor.name == "text_input"), None)
    system = [text for tensor in inputs if tensor.name == "system_prompt" for text in tensor.texts or ()]
    outputs = [tensor for answer in answers for tensor in answer.outputs]
    texts = [tensor for tensor in outputs if tensor.name == "text_output"]
    reasons = [
        str(reason)
        for tensor in outputs
        if tensor.name == "finish_reason"
        for reason in tensor.scalars()
        if str(reason).lower() not in _NO_REASON
    ]
    messages = prompt.texts if prompt is not None and prompt.texts is not None else ()
    fields: dict[str, Any] = {
        "operation": "text_completion",
        "input_messages": (
            *(text_message("system", text) for text in system),
            *(text_message("user", text) for text in messages),
        ),
        "output_messages": _output_messages(texts, reasons),
        "finish_reasons": tuple(reasons),
        "parameters": {**_given(inputs), **parameters},
        "content_unavailable": prompt is None or prompt.texts is None or any(text.texts is None for text in texts),
        **_tokens(outputs, whole),
    }
    if streamed:
        fields["time_to_first_token"] = next((answer.after for answer in answers if _has_text(answer)), None)
    return fields


def _output_messages(texts: Sequence[Tensor], reasons: Sequence[str]) -> tuple[Message, ...]:
    """Join the pieces of each element of a batch."""
    joined: list[list[str]] = []
    for tensor in texts:
        for index, piece in enumerate(tensor.texts or ()):
            if index == len(joined):
                joined.append([])
            joined[index].append(piece)
    messages = []
    for index, pieces in enumerate(joined):
        reason = reasons[index] if index < len(reasons) else None
        messages.append(
            Message(role="assistant", parts=(Part(type="text", content="".join(pieces)),), finish_reason=reason)
        )
    return tuple(messages)


def _has_text(answer: Answer) -> bool:
    return any(tensor.name == "text_output" and any(tensor.texts or ()) for tensor in answer.outputs)


def _tokens(outputs: Sequence[Tensor], whole: bool) -> dict[str, Any]:
    """Count as Triton's text backends report: each response repeats the input tokens and has its own output tokens."""
    counts: dict[str, list[int]] = {name: [] for name in _COUNTS}
    for tensor in outputs:
        if tensor.name in counts and tensor.values is not None and tensor.values.size:
            counts[tensor.name].append(int(tensor.values.sum()))
    given, made = (counts[name] for name in _COUNTS)
    fields: dict[str, Any] = {}
    if given:
        fields["input_tokens"] = max(given)
    if made and whole:
        fields["output_tokens"] = sum(made)
    return {**fields, "token_source": "reported"} if fields else {}


def _given(inputs: Sequence[Tensor]) -> dict[str, Any]:
    """Return the small inputs beside the prompt: sampling parameters, one by one or as a JSON object."""
    found: dict[str, Any] = {}
    for tensor in inputs:
        values = tensor.scalars()
        if tensor.name in _NOT_PARAMETERS or len(values) != 1:
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
