"""Measurements count once although they arrive twice, and state is saved with the offsets that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.models import ModelStates
from processors.partitions import PartitionStates
from processors.records import (
    EmbeddingSample,
    Measurement,
    Position,
    decode_records,
    encode_records,
    id_from,
    model_key,
)
from processors.step import Record
from processors.watermarks import Watermarks
from storage.errors import StoreRefused, StoreUnavailable
from storage.state import MemoryStateStore, SavedState
from tests.unit.processors.makers import NOW, HandClock, UnsteadyStore, embedding, measurement


def places(measurements: Sequence[Measurement]) -> list[Position]:
    return [one.position for one in measurements]


def at(partition: int, offset: int, index: int = 0, source: str = "t") -> Measurement:
    return Measurement(
        event_id="e",
        at=NOW,
        source=source,
        position=Position(partition, offset, index),
        environment="p",
        model="m",
    )


def test_what_was_seen_before_is_left_out() -> None:
    marks = Watermarks()
    first = [at(0, 1), at(0, 1, 1), at(1, 0), at(0, 3)]
    assert marks.unseen(first) == first
    assert marks.unseen([at(0, 3), at(0, 1, 1), at(0, 3, 1), at(1, 0), at(2, 0)]) == [at(0, 3, 1), at(2, 0)]
    assert marks.snapshot() == {"t/0": [3, 1], "t/1": [0, 0], "t/2": [0, 0]}


def test_positions_in_a_topic_that_was_made_again_are_others() -> None:
    marks = Watermarks()
    marks.unseen([at(0, 9), at(1, 4)])
    again = [at(0, 0, source="other"), at(0, 9, source="other")]
    assert Watermarks(marks.snapshot()).unseen([*again, at(0, 9)]) == again
    assert marks.unseen([*again, *again]) == again


positions = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 2)), max_size=30)


@given(positions, st.integers(0, 30), st.integers(0, 30))
def test_any_repetition_and_any_restart_counts_each_once(
    given: list[tuple[int, int, int]], stop: int, back: int
) -> None:
    stream = [at(*position) for position in sorted(set(given))]
    whole = Watermarks().unseen(stream)
    before = Watermarks()
    seen = before.unseen(stream[:stop])
    after = Watermarks(before.snapshot())
    again = stream[max(stop - back, 0) :]
    assert places(seen + after.unseen(again)) == places(whole) == places(stream)
    assert after.unseen(again) == []


class Total:
    """A state that adds up what it is given."""

    def __init__(self, values: Sequence[int] = ()) -> None:
        self.values = list(values)

    def snapshot(self) -> dict[str, Any]:
        return {"values": self.values}


IDS = {"t": "1", "a": "2", "b": "3"}


def states(
    store: MemoryStateStore, clock: HandClock, seconds: float = 5.0, ids: Mapping[str, str] = IDS
) -> PartitionStates[Total]:
    return PartitionStates("c", store, clock, seconds, ids, Total, lambda saved: Total(saved["values"]))


def rec(offset: int, partition: int = 0, topic: str = "t") -> Record:
    return Record(topic, partition, offset, "", str(offset).encode())


async def add(held: PartitionStates[Total], records: Sequence[Record]) -> bool:
    for state, record in await held.unprocessed(records):
        state.values.append(int(record.value or b"0"))
    return await held.saved()


async def test_a_restored_state_processes_nothing_twice() -> None:
    store, clock = MemoryStateStore(), HandClock()
    first = states(store, clock, 0.0)
    assert await add(first, [rec(1), rec(2), rec(5, 1)])
    second = states(store, clock, 0.0)
    assert await add(second, [rec(1), rec(2), rec(3), rec(5, 1), rec(6, 1)])
    assert [state.values for state in second.all()] == [[1, 2, 3], [5, 6]]


@pytest.mark.parametrize("ids", [IDS, dict.fromkeys(IDS, "one broker")], ids=["ids", "one id for all"])
async def test_topics_of_one_partition_have_offsets_of_their_own(ids: Mapping[str, str]) -> None:
    store, clock = MemoryStateStore(), HandClock()
    await add(states(store, clock, 0.0, ids), [rec(7, topic="a"), rec(2, topic="b")])
    after = states(store, clock, 0.0, ids)
    await add(after, [rec(7, topic="a"), rec(2, topic="b"), rec(3, topic="b")])
    assert [state.values for state in after.all()] == [[7, 2, 3]]


async def test_a_topic_that_was_made_again_is_processed_from_its_beginning() -> None:
    store, clock = MemoryStateStore(), HandClock()
    await add(states(store, clock, 0.0), [rec(7), rec(8), rec(4, topic="a")])
    after = states(store, clock, 0.0, {**IDS, "t": "9"})
    await add(after, [rec(0), rec(1), rec(4, topic="a")])
    await add(after, [rec(1), rec(2)])
    assert [state.values for state in after.all()] == [[7, 8, 4, 0, 1, 2]]


async def test_records_are_not_acknowledged_before_their_state_is_saved() -> None:
    store, clock = MemoryStateStore(), HandClock()
    held = states(store, clock)
    assert await held.saved()
    assert not await add(held, [rec(1)])
    clock.at += 4.9
    assert not await held.saved()
    assert store.load("c", 0) is None
    clock.at += 0.2
    assert await held.saved()
    assert store.load("c", 0) == SavedState({"t/1": 1}, {"values": [1]})
    assert await held.saved()


async def test_a_store_that_is_away_holds_back_acknowledgement_and_nothing_else() -> None:
    store, clock = UnsteadyStore(), HandClock()
    held = states(store, clock, 0.0)
    await held.unprocessed([])
    store.away = True
    assert not await add(held, [rec(1), rec(2, 1)])
    assert not await add(held, [rec(3)])
    store.away = False
    assert await add(held, [rec(4)])
    assert store.load("c", 0) == SavedState({"t/1": 4}, {"values": [1, 3, 4]})
    assert store.load("c", 1) == SavedState({"t/1": 2}, {"values": [2]})


async def test_a_store_that_refuses_stops_the_worker() -> None:
    class Refusing(MemoryStateStore):
        def save(self, component: str, partition: int, state: SavedState) -> None:
            raise StoreRefused(60, "no such table")

    with pytest.raises(StoreRefused):
        await add(states(Refusing(), HandClock(), 0.0), [rec(1)])


async def test_a_state_that_cannot_be_loaded_yet_is_waited_for(waits: list[float]) -> None:
    class Late(MemoryStateStore):
        failures = 2

        def load(self, component: str, partition: int) -> SavedState | None:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("http://store", "away")
            return super().load(component, partition)

    assert await add(states(Late(), HandClock(), 0.0), [rec(1)])
    assert waits == [1.0, 2.0]


async def test_records_behind_the_one_that_a_loop_was_left_at_are_not_saved_as_processed() -> None:
    store, clock = MemoryStateStore(), HandClock()
    held = states(store, clock, 0.0)
    batch = [rec(1), rec(2), rec(3), rec(3, 1)]
    for state, record in await held.unprocessed(batch):
        if record.offset == 2:
            break
        state.values.append(record.offset)
    assert await held.saved()
    assert store.load("c", 0) == SavedState({"t/1": 1}, {"values": [1]})
    assert store.load("c", 1) is None
    again = states(store, clock, 0.0)
    await add(again, batch)
    assert sorted(state.values for state in again.all()) == [[1, 2, 3], [3]]


async def test_forgotten_states_are_loaded_again() -> None:
    store, clock = MemoryStateStore(), HandClock()
    held = states(store, clock, 0.0)
    await add(held, [rec(1)])
    await add(states(store, clock, 0.0), [rec(2)])  # another worker, meanwhile
    held.forget()
    await add(held, [rec(2), rec(3)])
    assert [state.values for state in held.all()] == [[1, 2, 3]]


async def test_a_change_by_time_alone_is_saved_too() -> None:
    store, clock = MemoryStateStore(), HandClock()
    held = states(store, clock, 0.0)
    await add(held, [rec(1)])
    held.all()[0].values.append(99)
    assert await held.saved()
    assert store.load("c", 0) == SavedState({"t/1": 1}, {"values": [1]})
    held.mark_all_changed()
    assert await held.saved()
    assert store.load("c", 0) == SavedState({"t/1": 1}, {"values": [1, 99]})


class OneModel:
    """A state with nothing in it but whose it is."""

    def __init__(self, environment: str, model: str) -> None:
        self.environment, self.model = environment, model

    def snapshot(self) -> dict[str, Any]:
        return {"environment": self.environment, "model": self.model}


def test_models_whose_keys_look_alike_have_states_of_their_own() -> None:
    held = ModelStates(OneModel)
    one, other = held.of("a/b", "c"), held.of("a", "b/c")
    assert one is not other
    assert held.of("a/b", "c") is one
    restored = ModelStates(OneModel).restore(held.snapshot(), lambda part: OneModel(**part))
    assert [(state.environment, state.model) for state in restored.all()] == [("a/b", "c"), ("a", "b/c")]
    assert restored.snapshot() == held.snapshot()
    assert model_key("a/b", "c") == model_key("a", "b/c")


def test_ids_are_made_from_their_cause() -> None:
    assert id_from("alert", "r", 1) == id_from("alert", "r", 1)
    assert len({id_from("a", "bc"), id_from("ab", "c"), id_from("abc")}) == 3


@given(st.lists(st.builds(measurement, st.floats(0, 2e9), st.integers(0, 2**62), cost=st.none() | st.floats(0, 1))))
def test_records_between_processors_survive_the_wire(given: list[Measurement]) -> None:
    assert decode_records(encode_records(given), Measurement) == given


@given(st.lists(st.floats(width=32), min_size=1, max_size=9))
def test_embeddings_survive_the_wire_to_the_bit(numbers: list[float]) -> None:
    sample = embedding(*numbers)
    (back,) = decode_records(encode_records([sample]), EmbeddingSample)
    assert back == sample


@pytest.mark.parametrize("vector", [b"", b"123", b"12345"])
def test_bytes_that_are_no_numbers_are_no_embedding(vector: bytes) -> None:
    with pytest.raises(ValueError, match=f"vector has {len(vector)} bytes"):
        embedding(vector=vector)
