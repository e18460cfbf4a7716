"""The pieces of BERT against their definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.unit.serving.model_modules import model_module

bert = model_module("minilm", "bert")
WIDTH, HEADS, WORDS = 8, 2, 11


@pytest.fixture
def encoder() -> Any:
    random = np.random.default_rng(1)

    def normal(*shape: int) -> Any:
        return random.normal(0, 0.5, shape).astype(np.float32)

    # A norm that mostly adds its bias would give every text the same vector.
    near_one, near_zero = 1 + normal(WIDTH) / 10, normal(WIDTH) / 10
    weights = {
        "embeddings.word_embeddings.weight": normal(WORDS, WIDTH),
        "embeddings.position_embeddings.weight": normal(16, WIDTH),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH),
    }
    shapes = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (4 * WIDTH, WIDTH),
        "output.dense": (WIDTH, 4 * WIDTH),
    }
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for name, shape in shapes.items():
            weights[f"{layer}.{name}.weight"], weights[f"{layer}.{name}.bias"] = normal(*shape), normal(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"{layer}.{name}.weight"], weights[f"{layer}.{name}.bias"] = near_one, near_zero
    weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"] = near_one, near_zero
    return bert.Bert.from_weights(weights, heads=HEADS, epsilon=1e-12)


def test_gelu_is_the_exact_one() -> None:
    x = np.linspace(-8, 8, 2001, dtype=np.float32)
    exact = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()]
    np.testing.assert_allclose(bert.gelu(x), exact, atol=2e-6)


def test_softmax_sums_to_one_and_stays_finite_for_masked_rows() -> None:
    scores = np.array([[1e4, -1e4, 0.0], [bert.MASKED] * 3], dtype=np.float32)
    result = bert.softmax(scores)
    np.testing.assert_allclose(result.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(result[1], 1 / 3, atol=1e-6)


def test_norm_gives_mean_zero_and_deviation_one() -> None:
    x = np.random.default_rng(2).normal(5, 3, (4, 64)).astype(np.float32)
    y = bert.Norm(np.ones(64, np.float32), np.zeros(64, np.float32), 1e-12)(x)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=-1), 1, atol=1e-5)


def test_padding_changes_nothing(encoder: Any) -> None:
    short = np.array([[3, 4, 5]])
    padded = np.array([[3, 4, 5, 0, 0], [1, 2, 3, 4, 5]])
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    alone = bert.pooled(encoder(short, np.ones_like(short)), np.ones_like(short))
    together = bert.pooled(encoder(padded, mask), mask)
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)
    assert not np.allclose(together[1], alone[0], atol=1e-2)


def test_the_order_of_words_counts(encoder: Any) -> None:
    ids = np.array([[3, 4, 5], [5, 4, 3]])
    vectors = bert.pooled(encoder(ids, np.ones_like(ids)), np.ones_like(ids))
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)


def test_pooling_ignores_padding_and_gives_unit_vectors() -> None:
    tokens = np.array([[[3.0, 0.0], [0.0, 4.0], [99.0, 99.0]]], dtype=np.float32)
    np.testing.assert_allclose(bert.pooled(tokens, np.array([[1, 1, 0]])), [[0.6, 0.8]], atol=1e-6)


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(KeyError, match=r"embeddings\.word_embeddings"):
        bert.Bert.from_weights({}, heads=HEADS, epsilon=1e-12)
