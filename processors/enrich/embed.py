"""Embeddings of a sample of prompts, from Triton. Beside the rows, never before them: nothing waits for the embedder.

Prompts gather in a reservoir (Vitter's algorithm R) while earlier ones are embedded, so that a slow embedder sees fewer
of them but each with the same chance. A sample may be lost when a worker is killed or the embedder is away: it stands
for the rest, and is counted nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inferwatch import topics
from inferwatch.events import InferenceEvent
from processors.enrich.enriched import Batch
from processors.errors import DeliveryFailed
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import EmbeddingSample, encode_records, model_key
from processors.settings import EnrichSettings
from serving.embedder import Embedder
from serving.errors import EmbedderUnavailable

log: Final = logging.getLogger(__name__)

TEXT_OPERATIONS: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Operations whose prompts are worth watching for a shift of topic; embedding requests are not."""

_MOST_CHARACTERS: Final = 2_000
"""Sentence embedders read no further than about 256 tokens; sending more only costs time."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """An event whose prompt was drawn, with the names that it goes by after masking."""

    event: InferenceEvent
    environment: str
    model: str


class EmbeddingSampler:
    """Embeds a sample of prompts in a task of its own and sends it on. `skipped` counts prompts that were not taken.

    An error other than of the embedder or of Kafka ends the task, and the next `offer` raises it.
    """

    def __init__(
        self, settings: EnrichSettings, embedder: Embedder, producer: RecordProducer, rng: random.Random
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._producer = producer
        self._rng = rng
        self._reservoir: list[Prompt] = []
        self._offered = 0
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.skipped = 0

    def offer(self, batch: Batch) -> None:
        """Put prompts into the reservoir, those that fit and are drawn; start the task with the first."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        elif self._task.done():
            self._task.result()
        for at, event in enumerate(batch.events):
            if not (event.embedding or prompt_of(event)):
                continue
            place = self._draw()
            if place is not None:
                environment = batch.masked.names["environment"][at].as_py()
                self._reservoir[place : place + 1] = [Prompt(event, environment, batch.masked.models[at])]
        if self._reservoir:
            self._filled.set()

    def forget(self) -> None:
        """Drop what has gathered."""
        self.skipped += len(self._reservoir)
        self._reservoir, self._offered = [], 0
        self._filled.clear()

    async def embed_waiting(self) -> None:
        """Embed what has gathered and send it on; where that fails, say so and go on."""
        items, self._reservoir, self._offered = self._reservoir, [], 0
        self._filled.clear()
        try:
            samples = await self._samples(items)
            await self._producer.send([_record(sample) for sample in samples])
        except (TimeoutError, EmbedderUnavailable, DeliveryFailed) as error:
            self.skipped += len(items)
            reason = str(error) or "the embedder was too slow"
            log.warning("%d prompts go without an embedding: %s", len(items), reason)

    def _draw(self) -> int | None:
        """Return the place in the reservoir for the next prompt, None where it is not drawn."""
        self._offered += 1
        if len(self._reservoir) < self._settings.embed_most:
            return len(self._reservoir)
        self.skipped += 1
        place = int(self._rng.random() * self._offered)
        return place if place < len(self._reservoir) else None

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            count = len(self._reservoir)
            await self.embed_waiting()
            await asyncio.sleep(count / self._settings.embed_per_second)

    async def _samples(self, items: Sequence[Prompt]) -> list[EmbeddingSample]:
        wanting = [item for item in items if not item.event.embedding]
        made: dict[int, NDArray[np.float32]] = {}
        if wanting:
            async with asyncio.timeout(self._settings.embed_seconds):
                vectors = await self._embedder.embed([prompt_of(item.event)[:_MOST_CHARACTERS] for item in wanting])
            made = {id(item): vector for item, vector in zip(wanting, vectors, strict=True)}
        return [
            EmbeddingSample(
                event_id=item.event.event_id,
                at=item.event.started_at + item.event.duration,
                environment=item.environment,
                model=item.model,
                embedding_model=self._embedder.model if id(item) in made else "",
                vector=np.asarray(made.get(id(item), item.event.embedding), dtype="<f4").tobytes(),
            )
            for item in items
        ]


def _record(sample: EmbeddingSample) -> OutgoingRecord:
    return OutgoingRecord(topics.EMBEDDINGS, encode_records([sample]), model_key(sample.environment, sample.model))


def prompt_of(event: InferenceEvent) -> str:
    """Return the last user message of an event that has a prompt, else ""."""
    if not event.input_messages or event.operation not in TEXT_OPERATIONS or event.status == "cancelled":
        return ""
    for message in reversed(event.input_messages):
        if message.role == "user":
            return "\n".join([part.content for part in message.parts if part.content])
    return ""
