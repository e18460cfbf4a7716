"""The sampler of embeddings: fair, bounded, at a rate that is set, and in nobody's way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inferwatch import InferenceEvent, text_message, topics
from processors.enrich.embed import EmbeddingSampler
from processors.enrich.enriched import Batch
from processors.errors import DeliveryFailed
from processors.producer import MemoryProducer
from processors.records import EmbeddingSample, decode_records
from processors.settings import EnrichSettings
from serving.errors import EmbedderUnavailable
from tests.support.waiting import until
from tests.unit.processors.makers import NOW, FakeEmbedder, LoggingProducer, enriched, event

AWAY = EmbedderUnavailable("fake", "nowhere", "down", retryable=True)


def asked(text: str = "How do I block my card?", **fields: Any) -> InferenceEvent:
    return event(input_messages=(text_message("user", text),), **fields)


class Prompts:
    """Events with a prompt each; a slice of them is a batch."""

    def __init__(self, count: int) -> None:
        self.events = [asked(f"question {number}") for number in range(count)]
        self._batches: dict[tuple[int, int], Batch] = {}

    def __getitem__(self, wanted: slice) -> Batch:
        start, end, _ = wanted.indices(len(self.events))
        if (start, end) not in self._batches:
            self._batches[start, end] = enriched(*self.events[start:end])
        return self._batches[start, end]


PROMPTS = Prompts(200)
NOTHING = enriched(b"junk")


def sampler(
    embedder: FakeEmbedder, producer: MemoryProducer | None = None, seed: int = 0, **settings: Any
) -> EmbeddingSampler:
    return EmbeddingSampler(EnrichSettings(**settings), embedder, producer or MemoryProducer(), random.Random(seed))


def samples(producer: MemoryProducer) -> list[EmbeddingSample]:
    assert {one.topic for one in producer.records} <= {topics.EMBEDDINGS}
    return [sample for one in producer.records for sample in decode_records(one.value, EmbeddingSample)]


class GatedEmbedder(FakeEmbedder):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = await super().embed(texts)
        await self.gate.wait()
        return vectors


async def test_an_embedded_prompt_says_whose_it_is() -> None:
    embedder, producer = FakeEmbedder(), MemoryProducer()
    batch = enriched(asked(environment="prod", request_model="m", started_at=NOW - 3, duration=2.0))
    one = sampler(embedder, producer)
    one.offer(batch)
    await until(lambda: bool(producer.records))
    assert embedder.texts == ["How do I block my card?"]
    (sample,) = samples(producer)
    assert (sample.event_id, sample.at) == (batch.events[0].event_id, NOW - 1)
    assert (sample.environment, sample.model, sample.embedding_model) == ("prod", "m", "fake")
    assert np.frombuffer(sample.vector, dtype="<f4").tolist() == [1.0, 0.0, 0.0]
    assert ([sent.key for sent in producer.records], one.skipped) == (["prod/m"], 0)


async def test_what_has_no_prompt_is_not_embedded() -> None:
    embedder, producer = FakeEmbedder(), MemoryProducer()
    one = sampler(embedder, producer)
    one.offer(enriched(event(), asked(operation="embeddings"), asked(status="cancelled"), asked("last")))
    await one.embed_waiting()
    assert (embedder.texts, len(samples(producer)), one.skipped) == (["last"], 1, 0)


async def test_an_embedding_that_came_with_the_event_is_sent_on_without_the_embedder() -> None:
    embedder, producer = FakeEmbedder(AWAY), MemoryProducer()
    one = sampler(embedder, producer)
    one.offer(enriched(asked(embedding=(0.5, -1.5)), event(operation="embeddings", embedding=(2.0,))))
    await one.embed_waiting()
    assert (embedder.texts, one.skipped) == ([], 0)
    assert [np.frombuffer(sample.vector, dtype="<f4").tolist() for sample in samples(producer)] == [[0.5, -1.5], [2.0]]
    assert [sample.embedding_model for sample in samples(producer)] == ["", ""]


async def test_given_and_made_embeddings_of_one_batch_keep_their_order() -> None:
    producer = MemoryProducer()
    one = sampler(FakeEmbedder(), producer)
    batch = enriched(asked(), asked(embedding=(0.5,)), asked())
    one.offer(batch)
    await one.embed_waiting()
    assert [sample.event_id for sample in samples(producer)] == [given.event_id for given in batch.events]
    assert [sample.embedding_model for sample in samples(producer)] == ["fake", "", "fake"]
    assert [len(sample.vector) for sample in samples(producer)] == [12, 4, 12]


async def test_a_long_prompt_is_cut() -> None:
    embedder = FakeEmbedder()
    one = sampler(embedder)
    one.offer(enriched(asked("é" * 2_001), asked("x" * 2_000)))
    await one.embed_waiting()
    assert embedder.texts == ["é" * 2_000, "x" * 2_000]


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 20), st.integers(0, 2**32))
def test_no_more_gather_than_may_and_each_is_embedded_or_counted(offers: list[int], most: int, seed: int) -> None:
    async def offered() -> None:
        producer = MemoryProducer()
        one = sampler(FakeEmbedder(), producer, seed, embed_most=most)
        start = 0
        for count in offers:
            one.offer(PROMPTS[start : start + count] if start + count <= len(PROMPTS.events) else PROMPTS[:count])
            start += count
        await one.embed_waiting()
        assert len(samples(producer)) == min(sum(offers), most)
        assert len(samples(producer)) + one.skipped == sum(offers)

    asyncio.run(offered())


@pytest.mark.parametrize("before", ["nothing", "forgotten", "embedded"])
async def test_each_prompt_has_the_same_chance_however_they_come(before: str) -> None:
    """Of 20 prompts 5 are taken: in 1,000 rounds each about 250 times, with a deviation of 14."""
    taken: Counter[str] = Counter()
    rng = random.Random(3)
    for _ in range(1_000):
        embedder = FakeEmbedder()
        one = EmbeddingSampler(EnrichSettings(embed_most=5), embedder, MemoryProducer(), rng)
        if before != "nothing":
            one.offer(PROMPTS[20:40])
        if before == "forgotten":
            one.forget()
        if before == "embedded":
            await one.embed_waiting()
            embedder.texts.clear()
        one.offer(PROMPTS[:7])
        one.offer(PROMPTS[7:8])
        one.offer(PROMPTS[8:20])
        await one.embed_waiting()
        assert len(set(embedder.texts)) == 5
        taken.update(embedder.texts)
    assert len(taken) == 20
    assert all(abs(times - 250) < 5 * 14 for times in taken.values())


async def test_events_without_a_prompt_change_no_chances_and_count_for_nothing() -> None:
    """Of 3 prompts 1 is taken: in 600 rounds each about 200 times, with a deviation of 11.5."""
    silent = event(input_messages=(text_message("system", "be kind"),))
    empty = event(input_messages=(text_message("user", ""),))
    batch = enriched(silent, asked("a"), silent, empty, silent, asked("b"), empty, asked("c"), silent)
    taken: Counter[str] = Counter()
    rng = random.Random(5)
    for _ in range(600):
        embedder = FakeEmbedder()
        one = EmbeddingSampler(EnrichSettings(embed_most=1), embedder, MemoryProducer(), rng)
        one.offer(batch)
        await one.embed_waiting()
        assert one.skipped == 2
        taken.update(embedder.texts)
    assert set(taken) == {"a", "b", "c"}
    assert all(abs(times - 200) < 5 * 11.5 for times in taken.values())


async def test_a_sample_goes_by_the_names_that_its_row_has() -> None:
    producer = MemoryProducer()
    one = sampler(FakeEmbedder(), producer)
    one.offer(enriched(asked(environment="", response_model="ann.smith@example.com"), asked(environment="prod")))
    await one.embed_waiting()
    assert [sent.key for sent in producer.records] == ["default/<EMAIL_ADDRESS>", "prod/smollm2"]


async def test_prompts_gather_while_earlier_ones_are_embedded_and_go_out_after_them(waits: list[float]) -> None:
    embedder, producer = GatedEmbedder(), MemoryProducer()
    one = sampler(embedder, producer, embed_most=3)
    one.offer(PROMPTS[:1])
    await until(lambda: len(embedder.texts) == 1)
    one.offer(PROMPTS[1:11])
    assert (producer.records, one.skipped) == ([], 7)
    embedder.gate.set()
    await until(lambda: len(producer.records) == 4)
    assert samples(producer)[0].event_id == PROMPTS.events[0].event_id
    assert {sample.event_id for sample in samples(producer)[1:]} < {given.event_id for given in PROMPTS.events[1:11]}
    assert one.skipped == 7


async def test_the_rate_is_kept_by_waiting_after_each_batch(waits: list[float]) -> None:
    producer = MemoryProducer()
    one = sampler(FakeEmbedder(), producer, embed_most=8, embed_per_second=4.0)
    for count, taken in ((8, 8), (3, 3), (40, 8)):
        waits.clear()
        producer.records.clear()
        one.offer(PROMPTS[:count])
        await until(lambda: any(waits))
        assert (len(producer.records), [seconds for seconds in waits if seconds]) == (taken, [taken / 4.0])


@pytest.mark.parametrize(
    ("trouble", "said"),
    [({"error": AWAY}, "down"), ({"hangs": True}, "the embedder was too slow")],
    ids=["away", "slow"],
)
async def test_an_embedder_that_is_away_is_counted_and_the_next_batch_goes_out(
    trouble: dict[str, Any], said: str, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    embedder, producer = FakeEmbedder(**trouble), MemoryProducer()
    one = sampler(embedder, producer, embed_seconds=0.001)
    one.offer(PROMPTS[:3])
    await until(lambda: one.skipped == 3)
    assert "3 prompts go without an embedding" in caplog.text
    assert said in caplog.text
    embedder.error, embedder.hangs = None, False
    one.offer(PROMPTS[3:5])
    await until(lambda: len(producer.records) == 2)
    assert [sample.event_id for sample in samples(producer)] == [given.event_id for given in PROMPTS.events[3:5]]
    assert one.skipped == 3


async def test_kafka_that_is_away_costs_the_batch_and_nothing_else(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    producer = LoggingProducer()
    producer.raises = [DeliveryFailed(topics.EMBEDDINGS, "timed out")]
    one = sampler(FakeEmbedder(), producer)
    one.offer(PROMPTS[:2])
    await until(lambda: one.skipped == 2)
    assert "timed out" in caplog.text
    one.offer(PROMPTS[2:3])
    await until(lambda: len(producer.records) == 1)


class Short(FakeEmbedder):
    """Gives fewer vectors than it was given texts."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return (await super().embed(texts))[1:]


@pytest.mark.parametrize(
    ("embedder", "error"),
    [(FakeEmbedder(RuntimeError("a mistake")), RuntimeError), (Short(), ValueError)],
    ids=["a mistake", "vectors that are missing"],
)
async def test_an_error_that_nobody_expected_is_raised_at_the_next_offer_and_those_after_it(
    embedder: FakeEmbedder, error: type[Exception]
) -> None:
    one = sampler(embedder)
    one.offer(PROMPTS[:2])
    await until(lambda: bool(embedder.texts))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(error):
            one.offer(NOTHING)


async def test_what_was_forgotten_is_counted_and_never_embedded() -> None:
    embedder, producer = FakeEmbedder(), MemoryProducer()
    one = sampler(embedder, producer)
    one.offer(PROMPTS[:4])
    one.forget()
    await one.embed_waiting()
    assert (embedder.texts, producer.records, one.skipped) == ([], [], 4)
    one.offer(PROMPTS[4:5])
    await until(lambda: len(producer.records) == 1)
    assert embedder.texts == ["question 4"]
