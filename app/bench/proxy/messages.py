"""What is asked and answered: inferences of the size that a chat with a small model has."""

from __future__ import annotations

import json
from typing import Final

from tritonclient.grpc import service_pb2 as pb

_PROMPT: Final = "Summarise this conversation for the engineer on call, in three sentences. " * 12
_ANSWER: Final = "The queue grew because a consumer was away; it was started again. " * 6
PIECES: Final = 24
"""Events of a streamed answer."""
METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
STREAM_METHOD: Final = "/inference.GRPCInferenceService/ModelStreamInfer"


def http_request(route: str) -> bytes:
    """Return a request to `generate` or `generate_stream`, without chunks."""
    body = json.dumps({"text_input": _PROMPT, "parameters": {"max_tokens": 64, "temperature": 0.2}}).encode()
    head = (
        f"POST /v2/models/fast/{route} HTTP/1.1\r\nHost: triton:8000\r\nContent-Type: application/json\r\n"
        "User-Agent: python-requests/2.32\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def http_response() -> bytes:
    """Return the whole response to `generate`."""
    body = json.dumps({"model_name": "fast", "model_version": "1", "text_output": _ANSWER}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def stream_head() -> bytes:
    """Return how the response to `generate_stream` begins."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def stream_piece() -> bytes:
    """Return one server-sent event in a chunk of its own."""
    event = b'data: {"model_name":"fast","model_version":"1","text_output":" word"}\n\n'
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


STREAM_END: Final = b"0\r\n\r\n"


def grpc_request() -> bytes:
    """Return a `ModelInferRequest`."""
    message = pb.ModelInferRequest(model_name="fast")
    message.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    message.raw_input_contents.append(_element(_PROMPT))
    return bytes(message.SerializeToString())


def grpc_response() -> bytes:
    """Return a `ModelInferResponse`."""
    return bytes(_response(_ANSWER).SerializeToString())


def grpc_piece(*, final: bool) -> bytes:
    """Return a `ModelStreamInferResponse`."""
    message = pb.ModelStreamInferResponse(infer_response=_response(" word"))
    message.infer_response.parameters["triton_final_response"].bool_param = final
    return bytes(message.SerializeToString())


def _response(text: str) -> pb.ModelInferResponse:
    message = pb.ModelInferResponse(model_name="fast", model_version="1")
    message.outputs.add(name="text_output", datatype="BYTES", shape=[1])
    message.raw_output_contents.append(_element(text))
    return message


def _element(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "little") + data
