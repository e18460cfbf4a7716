"""Event fields from the tensors of a Triton inference, whichever protocol carried them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferwatch.infer_fields import InferAnswer, request_fields, request_messages
from ingest.sidecar.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """The tensors of one response, `after` seconds from the start."""

    after: float
    outputs: Sequence[Tensor]


def infer_fields(
    inputs: Sequence[Tensor], parameters: Mapping[str, Any], answers: Sequence[Answer], *, streamed: bool, whole: bool
) -> dict[str, Any]:
    """Return fields of `InferenceEvent`, by the rules that the SDK's wrappers keep too.

    `whole` says that all of the response is here.
    """
    made = InferAnswer(prompted=any(tensor.name == "text_input" for tensor in inputs))
    spoken = [answer.after for answer in answers if made.add(answer.outputs)]
    answers_text = any(tensor.name == "text_output" for answer in answers for tensor in answer.outputs)
    fields = {
        "input_messages": request_messages(inputs),
        **request_fields(inputs, parameters, answers_text=answers_text),
        **made.fields(whole=whole),
    }
    if streamed:
        fields["time_to_first_token"] = spoken[0] if spoken else None
    return fields
