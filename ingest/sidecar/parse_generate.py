"""HTTP `/generate` and `/generate_stream`: Triton's flat JSON, in server-sent events where it is streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ingest.sidecar.content import (
    is_event_stream,
    join,
    json_object,
    request_is_whole,
    request_pieces,
    response_is_whole,
    response_pieces,
    server_sent_events,
)
from ingest.sidecar.exchange import Exchange
from ingest.sidecar.infer_fields import Answer, infer_fields
from ingest.sidecar.tensors import Tensor, from_values

_NOT_OUTPUTS: Final = ("model_name", "model_version", "id", "error", "sequence_id", "sequence_start", "sequence_end")
_NOT_INPUTS: Final = ("id", "parameters")


def parse_generate(exchange: Exchange) -> dict[str, Any]:
    """Return event fields of an exchange of kind `generate`. Raises `ContentError` where it is not JSON as promised."""
    request = json_object(join(request_pieces(exchange)), request_is_whole(exchange), "request")
    responses, error = _responses(exchange)
    answers = [Answer(after, _tensors(response, _NOT_OUTPUTS)) for after, response in responses]
    given = request or {}
    parameters = given.get("parameters")
    fields = infer_fields(
        _tensors(given, _NOT_INPUTS),
        parameters if isinstance(parameters, dict) else {},
        answers,
        streamed=exchange.route.streamed,
        whole=response_is_whole(exchange),
    )
    unanswered = exchange.code.startswith("2") and exchange.outcome == "complete" and not responses and error is None
    if request is None or unanswered:
        fields["content_unavailable"] = True
    for _, response in responses[:1]:
        fields["response_model"] = response.get("model_name")
        fields["model_version"] = response.get("model_version") or exchange.route.version
    fields["response_id"] = given.get("id") or None
    if error is not None:
        fields |= {"status": "error", "error_type": "stream_error", "error_message": error}
    return fields


def _responses(exchange: Exchange) -> tuple[list[tuple[float, dict[str, Any]]], str | None]:
    """Return the responses with their seconds from the start, and the error inside a stream that began well."""
    if not exchange.code.startswith("2"):
        return [], None
    pieces = response_pieces(exchange)
    if pieces is None:
        return [], None
    whole = response_is_whole(exchange)
    found: list[tuple[float, dict[str, Any]]] = []
    if is_event_stream(exchange):
        for at, data in server_sent_events(pieces):
            response = json_object(data.encode(), whole, "response")
            if response is not None:
                found.append((at - exchange.started, response))
    else:
        response = json_object(join(pieces), whole, "response")
        if response is not None:
            found.append(((exchange.response.last or exchange.ended) - exchange.started, response))
    errors = [str(response["error"]) for _, response in found if "error" in response]
    return [item for item in found if "error" not in item[1]], errors[0] if errors else None


def _tensors(values: Mapping[str, Any], without: Sequence[str]) -> list[Tensor]:
    """Return flat JSON values as the tensors that Triton makes of them."""
    tensors = []
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        if name in without or not items or any(isinstance(item, dict) or item is None for item in items):
            continue
        text = any(isinstance(item, str) for item in items)
        datatype = "BYTES" if text else "BOOL" if isinstance(items[0], bool) else "FP64"
        if datatype == "FP64" and all(isinstance(item, int) for item in items):
            datatype = "INT64"
        tensors.append(from_values(name, datatype, (len(items),), items))
    return tensors
