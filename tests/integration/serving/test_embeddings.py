"""Sentence vectors from a real Triton."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from serving.embedder import TritonEmbedder
from serving.errors import EmbedderUnavailable
from tests.support.triton import RunningTriton, free_ports

# The published similarities of the model: https://www.sbert.net/docs/quickstart.html
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
SIMILARITIES = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]


async def test_vectors_have_the_published_similarities(triton: RunningTriton) -> None:
    embedder = TritonEmbedder(triton.grpc_url)
    vectors = await embedder.embed(SENTENCES)
    await embedder.close()
    assert vectors.shape == (3, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors @ vectors.T, SIMILARITIES, atol=1e-4)


async def test_large_calls_are_split_and_keep_their_order(triton: RunningTriton) -> None:
    texts = [f"{'very ' * (number % 7)}long text {number}" for number in range(21)]
    embedder = TritonEmbedder(triton.grpc_url, batch=8)
    together = await embedder.embed(texts)
    alone = np.concatenate(await asyncio.gather(*(embedder.embed([text]) for text in texts)))
    await embedder.close()
    np.testing.assert_allclose(together, alone, atol=1e-5)


async def test_text_after_the_first_256_tokens_does_not_count(triton: RunningTriton) -> None:
    embedder = TritonEmbedder(triton.grpc_url)
    long, longer, shorter = await embedder.embed(["word " * 300, "word " * 300 + "cat", "word " * 200])
    await embedder.close()
    np.testing.assert_array_equal(long, longer)
    assert not np.array_equal(long, shorter)


async def test_empty_odd_and_no_texts_work(triton: RunningTriton) -> None:
    embedder = TritonEmbedder(triton.grpc_url)
    vectors = await embedder.embed(["", "\x00", "\ud800", "😀" * 50])
    nothing = await embedder.embed([])
    await embedder.close()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert nothing.shape == (0, 384)


async def test_a_model_that_is_not_there_is_not_worth_retrying(triton: RunningTriton) -> None:
    embedder = TritonEmbedder(triton.grpc_url, model="absent")
    with pytest.raises(EmbedderUnavailable, match="absent") as caught:
        await embedder.embed(["x"])
    await embedder.close()
    assert not caught.value.retryable


async def test_a_model_of_another_width_is_refused(triton: RunningTriton) -> None:
    embedder = TritonEmbedder(triton.grpc_url, dimension=768)
    with pytest.raises(EmbedderUnavailable, match=r"\[1, 384\], not \[1, 768\]"):
        await embedder.embed(["x"])
    await embedder.close()


async def test_without_a_server_the_error_names_the_address_and_can_be_retried() -> None:
    url = f"127.0.0.1:{free_ports(1)[0]}"
    embedder = TritonEmbedder(url, timeout=2)
    with pytest.raises(EmbedderUnavailable, match=url) as caught:
        await embedder.embed(["x"])
    await embedder.close()
    assert caught.value.retryable
