"""Which HTTP requests and gRPC methods are inferences."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from ingest.sidecar.exchange import Kind, Route

_TRITON: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/(infer|generate|generate_stream)")
_OPENAI: Final[dict[str, Kind]] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completion",
    "/v1/embeddings": "embedding",
}
_GRPC: Final[dict[str, Route]] = {
    "/inference.GRPCInferenceService/ModelInfer": Route("model_infer"),
    "/inference.GRPCInferenceService/ModelStreamInfer": Route("model_stream_infer", streamed=True),
}


def http_route(method: str, target: str) -> Route | None:
    """Return the inference that a request line asks for, None where it asks for something else."""
    if method != "POST":
        return None
    path = target.partition("?")[0].rstrip("/")
    if path in _OPENAI:
        return Route(_OPENAI[path])
    found = _TRITON.fullmatch(path)
    if found is None:
        return None
    model, version, verb = found.groups()
    kind: Kind = "infer" if verb == "infer" else "generate"
    return Route(kind, unquote(model), version, streamed=verb == "generate_stream")


def grpc_route(method: str) -> Route | None:
    """Return the inference that a method is, None where it is something else."""
    return _GRPC.get(method)
