"""The forward pass of BERT in numpy, and the pooling that makes a sentence vector of it.

After Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (https://arxiv.org/abs/1810.04805);
pooling after Reimers and Gurevych, "Sentence-BERT" (https://arxiv.org/abs/1908.10084).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# Large enough to silence a key, small enough to stay finite in float32.
MASKED = np.float32(-1e9)


@dataclass(frozen=True)
class Dense:
    """A linear layer; `weight` is [inputs, outputs], `bias` is [outputs]."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        y: Floats = x @ self.weight
        y += self.bias
        return y


@dataclass(frozen=True)
class Norm:
    """Layer normalisation over the last axis."""

    gain: Floats
    bias: Floats
    epsilon: float

    def __call__(self, x: Floats) -> Floats:
        centred: Floats = x - x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", centred, centred)[..., None] / np.float32(x.shape[-1])
        centred /= np.sqrt(variance + np.float32(self.epsilon))
        centred *= self.gain
        centred += self.bias
        return centred


@dataclass(frozen=True)
class Layer:
    """One encoder layer; `qkv` computes queries, keys and values in one product."""

    qkv: Dense
    attended: Dense
    attention_norm: Norm
    widen: Dense
    narrow: Dense
    output_norm: Norm
    heads: int

    def __call__(self, x: Floats, mask_bias: Floats) -> Floats:
        """`x` is [texts, tokens, width]; `mask_bias` is [texts, 1, 1, tokens], added to the scores."""
        x = self.attention_norm(x + self.attended(self._attention(x, mask_bias)))
        return self.output_norm(x + self.narrow(gelu(self.widen(x))))

    def _attention(self, x: Floats, mask_bias: Floats) -> Floats:
        texts, tokens, width = x.shape
        size = width // self.heads
        q, k, v = self.qkv(x).reshape(texts, tokens, 3, self.heads, size).transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2)
        scores *= np.float32(size**-0.5)
        scores += mask_bias
        mixed: Floats = (softmax(scores) @ v).swapaxes(1, 2).reshape(texts, tokens, width)
        return mixed


@dataclass(frozen=True)
class Bert:
    """The encoder with its embeddings; holds float32 arrays only."""

    words: Floats
    positions: Floats
    token_type: Floats
    embedding_norm: Norm
    layers: tuple[Layer, ...]

    @classmethod
    def from_weights(cls, weights: Mapping[str, Floats], *, heads: int, epsilon: float) -> Bert:
        """Builds the encoder from tensors named as in Hugging Face's BertModel.

        Raises:
            KeyError: a tensor is missing; names it.
        """

        def dense(*names: str) -> Dense:
            stacked = np.concatenate([weights[f"{name}.weight"] for name in names])
            return Dense(np.ascontiguousarray(stacked.T), np.concatenate([weights[f"{name}.bias"] for name in names]))

        def norm(name: str) -> Norm:
            return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)

        def layer(at: str) -> Layer:
            return Layer(
                qkv=dense(*(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
                attended=dense(f"{at}.attention.output.dense"),
                attention_norm=norm(f"{at}.attention.output.LayerNorm"),
                widen=dense(f"{at}.intermediate.dense"),
                narrow=dense(f"{at}.output.dense"),
                output_norm=norm(f"{at}.output.LayerNorm"),
                heads=heads,
            )

        count = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
        return cls(
            words=weights["embeddings.word_embeddings.weight"],
            positions=weights["embeddings.position_embeddings.weight"],
            # Sentences are never paired here, so every token is of the first type.
            token_type=weights["embeddings.token_type_embeddings.weight"][0],
            embedding_norm=norm("embeddings.LayerNorm"),
            layers=tuple(layer(f"encoder.layer.{index}") for index in range(count)),
        )

    def __call__(self, ids: Ints, mask: Ints) -> Floats:
        """Token vectors [texts, tokens, width] for token ids and their mask (1 token, 0 padding), both
        [texts, tokens]."""
        x = self.embedding_norm(self.words[ids] + self.positions[: ids.shape[1]] + self.token_type)
        mask_bias = np.where(mask, np.float32(0), MASKED)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask_bias)
        return x


def softmax(scores: Floats) -> Floats:
    """Softmax over the last axis; overwrites and returns `scores`."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def gelu(x: Floats) -> Floats:
    """The exact GELU, x·Φ(x), with erf after Abramowitz and Stegun 7.1.26 (absolute error below 2e-7)."""
    z = np.abs(x)
    z *= np.float32(2**-0.5)
    t = np.float32(1) / (np.float32(1) + np.float32(0.3275911) * z)
    series = t * np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series += np.float32(coefficient)
        series *= t
    z *= z
    np.negative(z, out=z)
    np.exp(z, out=z)
    series *= z
    # Φ(x) is series/2 for negative x and 1 - series/2 otherwise.
    series *= np.float32(0.5)
    product: Floats = x * np.where(x < 0, series, np.float32(1) - series)
    return product


def pooled(tokens: Floats, mask: Ints) -> Floats:
    """Unit vectors [texts, width]: the mean of each text's token vectors without padding, at length 1."""
    weights = mask.astype(np.float32)
    sums = np.einsum("ntw,nt->nw", tokens, weights)
    means: Floats = sums / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1))
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.float32(1e-12))
    return means
