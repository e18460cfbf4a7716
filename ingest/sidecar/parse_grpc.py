"""gRPC `ModelInfer` and `ModelStreamInfer` (KServe v2, `grpc_predict_v2.proto` with Triton's additions)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from ingest.errors import ContentError
from ingest.sidecar.exchange import Capture, Exchange
from ingest.sidecar.grpc_messages import plain
from ingest.sidecar.infer_fields import Answer, infer_fields
from ingest.sidecar.protobuf import complete_prefix
from ingest.sidecar.tensors import Tensor, from_binary, from_values

_CONTENTS: Final[dict[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_PROTOCOL_PARAMETERS: Final = ("triton_enable_empty_final_response", "triton_final_response")


def parse_grpc(exchange: Exchange) -> dict[str, Any]:
    """Return event fields of an exchange of a gRPC kind. Raises `ContentError` where a message cannot be decoded."""
    streamed = exchange.route.streamed
    asked = list(_messages(exchange.request))
    given = b"".join([message for _, message, _ in asked])
    unfolded = all(fits for *_, fits in asked)
    request = _decode(pb.ModelInferRequest(), given, unfolded and exchange.request.whole, "request")
    answers: list[Answer] = []
    fields: dict[str, Any] = {"model_version": request.model_version or None}
    whole = exchange.response.whole and exchange.outcome == "complete"
    for at, message, fits in _messages(exchange.response):
        unfolded = unfolded and fits
        kind = pb.ModelStreamInferResponse if streamed else pb.ModelInferResponse
        response = _decode(kind(), message, fits and exchange.response.whole, "response")
        if streamed:
            if response.error_message:
                fields |= {"status": "error", "error_type": "stream_error", "error_message": response.error_message}
            response = response.infer_response
        fields["response_model"] = response.model_name or fields.get("response_model")
        fields["model_version"] = response.model_version or fields["model_version"]
        if response.outputs:
            outputs = _tensors(response.outputs, response.raw_output_contents)
            answers.append(Answer(at - exchange.started, outputs))
    inputs = _tensors(request.inputs, request.raw_input_contents)
    parameters = {
        name: value for name, value in _parameters(request.parameters).items() if name not in _PROTOCOL_PARAMETERS
    }
    described = infer_fields(inputs, parameters, answers, streamed=streamed, whole=whole and unfolded)
    if not unfolded:
        described["content_unavailable"] = True
    return {
        **described,
        "request_model": request.model_name,
        "response_id": request.id or None,
        **fields,
    }


def _messages(capture: Capture) -> Iterator[tuple[float, bytes, bool]]:
    """Yield times and messages; of those that are compressed as much as there is room for, and whether that is all."""
    room = capture.most_plain
    for place, (at, message) in enumerate(capture.parts):
        coding = capture.codings.get(place)
        fits = True
        if coding is not None:
            # One byte more tells a message that just fits from one that does not.
            unfolded = plain(message, coding, room + 1)
            message, fits = unfolded[:room], len(unfolded) <= room
            room -= len(message)
        yield at, message, fits


def _decode(message: Any, data: bytes, whole: bool, where: str) -> Any:
    try:
        message.ParseFromString(data if whole else complete_prefix(data))
    except DecodeError as error:
        raise ContentError(where, f"not a {type(message).__name__}") from error
    return message


def _tensors(described: Sequence[Any], raw: Sequence[bytes]) -> list[Tensor]:
    """Pair tensors with their content: in raw form, which skips those in shared memory, or in typed form."""
    tensors = []
    left = iter(raw)
    for item in described:
        if "shared_memory_region" in item.parameters:
            tensors.append(from_binary(item.name, item.datatype, item.shape, None))
        elif item.HasField("contents"):
            values = getattr(item.contents, _CONTENTS.get(item.datatype, "fp32_contents"))
            tensors.append(from_values(item.name, item.datatype, item.shape, list(values)))
        else:
            tensors.append(from_binary(item.name, item.datatype, item.shape, next(left, None)))
    return tensors


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, parameter in given.items():
        chosen = parameter.WhichOneof("parameter_choice")
        if chosen is not None:
            found[name] = getattr(parameter, chosen)
    return found
