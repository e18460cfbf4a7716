"""Sentence vectors from a model on Triton, over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import grpc
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from serving.errors import EmbedderUnavailable

# Failures that the same texts would meet again; tritonclient gives the code as text.
PERMANENT = frozenset({"StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND", "StatusCode.UNIMPLEMENTED"})


class Embedder(Protocol):
    """Turns texts into unit vectors.

    `embed` may be called from several tasks at once and never returns fewer vectors than it was given texts.
    """

    @property
    def model(self) -> str:
        """The name of the model; vectors of different models do not compare."""

    @property
    def dimension(self) -> int:
        """The width of every vector."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of shape [texts, dimension], in the order of the texts; none for no texts.

        Raises:
            EmbedderUnavailable: no vectors could be had; says whether trying again can help.
        """

    async def close(self) -> None:
        """Releases the connection; may be called twice. `embed` must not be called afterwards."""


class TritonEmbedder:
    """An embedder on Triton.

    Args:
        url: host and gRPC port of Triton, without scheme; nothing connects before the first call.
        model: the model's name; it takes `text` BYTES [n] and gives `embedding` FP32 [n, dimension].
        dimension: the width that its vectors must have.
        timeout: seconds for each request.
        batch: texts in one request; more are sent one request after another, so that a large call leaves room for
            others and no request outlives its timeout only because it is large.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "minilm",
        dimension: int = 384,
        timeout: float = 10.0,
        batch: int = 64,
    ) -> None:
        self._url, self._model, self._dimension = url, model, dimension
        self._timeout, self._batch = timeout, batch
        self._client: InferenceServerClient | None = None
        self._closed = False

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._model

    @property
    def dimension(self) -> int:
        """The width of every vector."""
        return self._dimension

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of shape [texts, dimension], in the order of the texts.

        Raises:
            EmbedderUnavailable: Triton does not answer in time, does not have the model, or gives other shapes.
        """
        parts = [await self._request(texts[at : at + self._batch]) for at in range(0, len(texts), self._batch)]
        return np.concatenate(parts) if parts else np.empty((0, self._dimension), dtype=np.float32)

    async def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _request(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # A lone surrogate has no UTF-8 form; one such character must not cost the whole batch.
        encoded = np.array([text.encode("utf-8", "replace") for text in texts], dtype=np.object_)
        tensor = triton.InferInput("text", [len(texts)], "BYTES")
        tensor.set_data_from_numpy(encoded)
        try:
            result = await self._connected().infer(self._model, [tensor], client_timeout=self._timeout)
        except InferenceServerException as error:
            reason = f"{error.message()} ({error.status()})"
            raise self._unavailable(reason, retryable=error.status() not in PERMANENT) from error
        except grpc.RpcError as error:
            raise self._unavailable(str(error), retryable=True) from error
        vectors = result.as_numpy("embedding")
        wanted = (len(texts), self._dimension)
        if vectors is None or vectors.shape != wanted:
            found = None if vectors is None else list(vectors.shape)
            raise self._unavailable(f"output 'embedding' is {found}, not {list(wanted)}", retryable=False)
        return np.asarray(vectors, dtype=np.float32)

    def _connected(self) -> InferenceServerClient:
        if self._closed:
            raise self._unavailable("the embedder is closed", retryable=False)
        if self._client is None:
            self._client = InferenceServerClient(self._url)
        return self._client

    def _unavailable(self, reason: str, *, retryable: bool) -> EmbedderUnavailable:
        return EmbedderUnavailable(self._model, self._url, reason, retryable=retryable)


if TYPE_CHECKING:
    _conforms: type[Embedder] = TritonEmbedder
