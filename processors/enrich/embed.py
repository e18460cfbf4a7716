"""Step 7: embeddings of a sample of prompts, from Triton. Never in the way: without them the rest goes on."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final

from inferwatch.events import InferenceEvent
from processors.enrich.enriched import Enriched
from serving.embedder import Embedder
from serving.errors import EmbedderUnavailable

log: Final = logging.getLogger(__name__)

TEXT_OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Operations whose prompts are worth watching for a shift of topic; embedding requests are not."""


async def add_embeddings(
    items: Sequence[Enriched], embedder: Embedder, most: int, seconds: float, rng: random.Random
) -> int:
    """Give up to `most` items of a batch, chosen at random, the embedding of their prompt.

    Returns how many wanted one and did not get it, because the batch was large, the embedder slow or away.
    """
    wanting = [item for item in items if not item.embedding and prompt_of(item.event)]
    chosen = wanting if len(wanting) <= most else sorted(rng.sample(wanting, most), key=lambda item: item.position)
    if not chosen:
        return 0
    try:
        async with asyncio.timeout(seconds):
            vectors = await embedder.embed([prompt_of(item.event) for item in chosen])
    except (TimeoutError, EmbedderUnavailable) as error:
        log.warning("%d prompts go without an embedding: %s", len(wanting), error or "the embedder was too slow")
        return len(wanting)
    for item, vector in zip(chosen, vectors, strict=True):
        item.embedding = tuple(vector.tolist())
        item.embedding_model = embedder.model
    return len(wanting) - len(chosen)


def prompt_of(event: InferenceEvent) -> str:
    """Return the last user message of an event that has a prompt, else ""."""
    if event.operation not in TEXT_OPERATIONS or event.status == "cancelled":
        return ""
    for message in reversed(event.input_messages):
        if message.role == "user":
            return "\n".join(part.content for part in message.parts if part.content)
    return ""
