"""HTTP `/infer`: JSON, with tensors inside it or, after it, as bytes (KServe v2, binary tensor data extension)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ingest.errors import ContentError
from ingest.sidecar.content import (
    join,
    json_object,
    request_is_whole,
    request_pieces,
    response_is_whole,
    response_pieces,
)
from ingest.sidecar.exchange import Exchange
from ingest.sidecar.headers import JSON_LENGTH
from ingest.sidecar.infer_fields import Answer, infer_fields
from ingest.sidecar.tensors import Tensor, from_binary, from_values

_PROTOCOL_PARAMETERS: Final = ("binary_data_output",)


def parse_infer(exchange: Exchange) -> dict[str, Any]:
    """Return event fields of an exchange of kind `infer`. Raises `ContentError` where it is not as promised."""
    request, request_binary = _split(
        join(request_pieces(exchange)), exchange.headers, request_is_whole(exchange), "request"
    )
    response, response_binary = (None, b"")
    if exchange.code.startswith("2"):
        response, response_binary = _split(
            join(response_pieces(exchange)), exchange.response_headers, response_is_whole(exchange), "response"
        )
    answers = []
    if response is not None:
        after = (exchange.response.last or exchange.ended) - exchange.started
        answers.append(Answer(after, _tensors(response.get("outputs"), response_binary)))
    if request is None:
        fields = infer_fields((), {}, answers, streamed=False, whole=True)
        fields["content_unavailable"] = True
    else:
        parameters = {
            name: value
            for name, value in _mapping(request.get("parameters")).items()
            if name not in _PROTOCOL_PARAMETERS
        }
        inputs = _tensors(request.get("inputs"), request_binary)
        fields = infer_fields(inputs, parameters, answers, streamed=False, whole=True)
    if response is not None:
        fields["response_model"] = response.get("model_name")
        fields["model_version"] = response.get("model_version") or exchange.route.version
    elif exchange.code.startswith("2"):
        fields["content_unavailable"] = True
    fields["response_id"] = (request or {}).get("id") or None
    return fields


def _split(
    body: bytes | None, headers: Mapping[str, str], whole: bool, where: str
) -> tuple[dict[str, Any] | None, bytes]:
    """Return the JSON and the bytes after it."""
    if body is None:
        return None, b""
    length = headers.get(JSON_LENGTH)
    if length is None:
        return json_object(body, whole, where), b""
    if not length.isascii() or not length.isdigit():
        raise ContentError(where, f"{JSON_LENGTH} is not a number")
    size = int(length)
    return json_object(body[:size], whole, where), body[size:]


def _tensors(described: object, binary: bytes) -> Sequence[Tensor]:
    tensors = []
    at = 0
    for item in described if isinstance(described, list) else []:
        if not isinstance(item, dict):
            raise ContentError("tensors", "not JSON objects")
        name, datatype = str(item.get("name", "")), str(item.get("datatype", ""))
        shape = [size for size in item.get("shape") or () if isinstance(size, int)]
        parameters = _mapping(item.get("parameters"))
        size = parameters.get("binary_data_size")
        if "shared_memory_region" in parameters:
            tensors.append(from_binary(name, datatype, shape, None))
        elif isinstance(size, int):
            here = binary[at : at + size] if at + size <= len(binary) else None
            tensors.append(from_binary(name, datatype, shape, here))
            at += size
        elif "data" in item:
            tensors.append(from_values(name, datatype, shape, item["data"]))
        else:
            tensors.append(from_binary(name, datatype, shape, None))
    return tensors


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
