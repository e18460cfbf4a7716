"""Each row gets in once: whatever answers are lost, whoever dies, whoever comes late."""

from __future__ import annotations

import datetime as dt
import functools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from clickhouse_connect.driver.client import Client

from inferwatch.clock import SystemClock
from storage.client import StoreSettings, connect
from storage.connection import Connection
from storage.errors import AppendStuck, StoreUnavailable
from storage.migrate import load, migrate
from storage.rollups import ROLLUPS, Behind, RollupName, Rollups
from storage.sink import MOST_ROWS, Appended, Block, ClickHouseSink
from tests.support import store_rows
from tests.support.clickhouse import running_store
from tests.support.ledger_rows import block, of_records, stored
from tests.support.rollup_figures import differences
from tests.support.waiting import DEADLINE, wait_for

T = TypeVar("T")
TOPIC = "topic's id"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture
def settings(store: StoreSettings) -> StoreSettings:
    migrate(store)
    return store


@pytest.fixture
def client(settings: StoreSettings) -> Iterator[Client]:
    client = connect(settings)
    yield client
    client.close()


@pytest.fixture
def sinks(settings: StoreSettings) -> Iterator[list[ClickHouseSink]]:
    sinks = [ClickHouseSink(settings) for _ in range(3)]
    yield sinks
    for sink in sinks:
        sink.close()


def records(after: int, offsets: range, partition: int = 0) -> Block:
    return block(TOPIC, partition, after, offsets, NOW, random.Random(offsets.start))


def test_a_block_is_there_whole_and_once_however_often_it_is_sent(client: Client, sinks: list[ClickHouseSink]) -> None:
    one = records(-1, range(3, 9))
    assert sinks[0].append("inferences", one) == Appended(8, 0)
    # The answer was lost: the same sink, or another process of the same worker, sends it again.
    assert sinks[0].append("inferences", one) == Appended(8, 0)
    assert sinks[1].append("inferences", one) == Appended(8, 0)
    assert stored(client, TOPIC, 0) == of_records(range(3, 9))
    assert sinks[2].positions("inferences", TOPIC) == {0: 8}
    assert sinks[2].positions("inferences", "another") == {}
    assert sinks[2].positions("feedback", TOPIC) == {}


@pytest.mark.parametrize("rows", [2, 30_000], ids=["small", "of many megabytes"])
def test_a_late_writer_adds_only_what_nobody_has_stored(client: Client, sinks: list[ClickHouseSink], rows: int) -> None:
    late, prompt, _ = sinks
    end = 10 + rows // 2
    late.append("inferences", records(-1, range(5)))
    prompt.append("inferences", records(4, range(5, 10)))
    # `late` trusts its position, so that nothing but the engine can tell; and its insert is of another size.
    assert late.append("inferences", records(4, range(5, end))) == Appended(end - 1, 10)
    assert late.append("inferences", records(4, range(5, 8))) == Appended(end - 1, 0)
    assert stored(client, TOPIC, 0) == of_records(range(end))


def test_many_writers_of_one_partition_store_each_row_once(client: Client, sinks: list[ClickHouseSink]) -> None:
    failures: list[BaseException] = []

    def write(sink: ClickHouseSink, dice: random.Random) -> None:
        try:
            positions = [sink.positions("inferences", TOPIC).get(0, -1)]
            while positions[-1] < 150:
                after = dice.choice(positions[-3:])  # now and then one that others have left behind long since
                offsets = range(after + 1, after + 1 + dice.randint(1, 20))
                positions.append(sink.append("inferences", records(after, offsets)).position)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(sink, random.Random(n))) for n, sink in enumerate(sinks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = stored(client, TOPIC, 0)
    assert found == of_records(range(len(found) // 2))
    assert len(found) > 300


def test_burnt_tokens_delay_a_block_and_lose_nothing(
    client: Client, sinks: list[ClickHouseSink], settings: StoreSettings
) -> None:
    connection = Connection(settings)
    connection.insert("inferences", _columns(block("other", 0, -1, range(1), NOW, random.Random())))
    client.command("CREATE TABLE before AS inferences")
    client.command("INSERT INTO before SELECT * FROM inferences")
    for attempt in range(3):
        connection.insert("inferences", _columns(records(-1, range(4))), f"{TOPIC}:0:-1:{attempt}")
        client.command(f"ALTER TABLE inferences REPLACE PARTITION '{NOW.date()}' FROM before")
    assert stored(client, TOPIC, 0) == [], "as after crashes between noting a token and keeping the rows"
    with pytest.raises(AppendStuck):
        sinks[0].append("inferences", records(-1, range(6)))
    assert sinks[0].append("inferences", records(-1, range(6))) == Appended(5, 0), "with the next token"
    assert sinks[1].append("inferences", records(-1, range(4))) == Appended(5, 0)
    assert stored(client, TOPIC, 0) == of_records(range(6))
    connection.close()


def _columns(one: Block) -> dict[str, object]:
    rows = len(one)
    return {
        **one.columns,
        "source_topic_id": [one.topic_id] * rows,
        "source_partition": [one.partition] * rows,
        "ingested_at": [one.ingested_at] * rows,
    }


def test_feedback_has_positions_of_its_own(client: Client, sinks: list[ClickHouseSink]) -> None:
    rows = [
        {"feedback_id": f"{n}", "source_offset": n, "source_index": 0, "at": NOW, "event_id": None, "response_id": "r",
         "score": 1.0, "label": "", "comment": "", "who": ""}
        for n in range(3)
    ]  # fmt: skip
    one = Block(TOPIC, 7, -1, NOW, store_rows.columns(rows))
    assert sinks[0].append("feedback", one) == Appended(2, 0)
    assert sinks[1].append("feedback", one) == Appended(2, 0)
    assert sinks[1].positions("feedback", TOPIC) == {7: 2}
    assert sinks[1].positions("inferences", TOPIC) == {}
    assert client.query("SELECT count() FROM feedback").result_rows == [(3,)]


def test_the_largest_block_is_one_part(client: Client, sinks: list[ClickHouseSink]) -> None:
    client.command("SYSTEM STOP MERGES inferences")
    sinks[0].append("inferences", records(-1, range(MOST_ROWS // 2)))
    sinks[0].append("inferences", records(MOST_ROWS // 2 - 1, range(MOST_ROWS // 2, MOST_ROWS // 2 + 1)))
    parts = client.query(
        "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'inferences' AND active"
        " ORDER BY rows"
    ).result_rows
    assert parts == [(2,), (MOST_ROWS,)]


def test_positions_are_read_from_the_ledger_also_of_rows_from_before_it(store: StoreSettings) -> None:
    first, *_ = load()
    migrate(store, (first,))
    client = connect(store)
    client.insert(
        "inferences",
        [[TOPIC] * 3, [0, 0, 1], [4, 9, 2], [NOW] * 3, [NOW] * 3, ["production"] * 3],
        column_names=[
            *("source_topic_id", "source_partition", "source_offset", "ingested_at", "started_at", "environment")
        ],
        column_oriented=True,
    )
    migrate(store)
    sink = ClickHouseSink(store)
    assert sink.positions("inferences", TOPIC) == {0: 9, 1: 2}
    wait_for(
        lambda: (
            client.query(
                "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
            ).result_rows[0][0]
            == 0
        ),
        "the ledger of old rows",
    )
    from_ledger = client.query(
        "SELECT source_partition, max(source_offset), min(source_offset), count(),"
        " sum(cityHash64(source_topic_id, source_partition, source_offset, source_index)) FROM inferences"
        " WHERE source_topic_id = {topic:String} AND toDate(ingested_at) >= '2020-01-01'"
        " GROUP BY source_partition, toStartOfMinute(ingested_at) ORDER BY source_partition",
        {"topic": TOPIC},
        settings={"force_optimize_projection": 1},
    ).result_rows
    assert [row[:4] for row in from_ledger] == [(0, 9, 4, 2), (1, 2, 2, 1)]
    rollups = Rollups(store, SystemClock())
    assert {one.rows for one in rollups.advance().values()} == {3}
    assert differences(client) == []
    rollups.close()
    sink.close()
    client.close()


def until_it_works(call: Callable[[], T]) -> T:
    """Call until the store is there."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return call()
        except StoreUnavailable:
            assert time.monotonic() < deadline, "the store never came back"
            time.sleep(0.02)


def store_records(settings: StoreSettings, partition: int, goal: int, dice: random.Random) -> None:
    """Store records up to `goal` as a worker does that asks, sends again, or dies and is followed by another."""
    sink = ClickHouseSink(settings)
    position = -1
    while position < goal:
        offsets = range(position + 1, position + 1 + dice.randint(1, 30))
        one = records(position, offsets, partition)
        try:
            position = sink.append("inferences", one).position
        except StoreUnavailable:
            again = functools.partial(sink.append, "inferences", one)
            asked = functools.partial(sink.positions, "inferences", TOPIC)
            sent_again = dice.random() < 0.5
            position = until_it_works(again).position if sent_again else until_it_works(asked).get(partition, -1)
    sink.close()


def test_kills_of_the_store_lose_and_repeat_no_row_and_no_figure(tmp_path: Path) -> None:
    dice = random.Random(11)
    goal = 400
    with running_store(tmp_path / "data") as server, ThreadPoolExecutor(4) as threads:
        settings = StoreSettings(url=server.url)
        migrate(settings)
        rollups = Rollups(settings, SystemClock(), pauses=dict.fromkeys(ROLLUPS, 0.0))
        writers = [
            threads.submit(store_records, settings, partition, goal, random.Random(partition)) for partition in range(2)
        ]
        roller = threads.submit(advance_until, rollups, lambda: all(writer.done() for writer in writers))
        for _ in range(5):
            wait_for_progress(settings, dice.randint(1, 60))
            server.kill()
            server.start()
        for future in [*writers, roller]:
            future.result(DEADLINE)
        client = connect(settings)
        for partition in range(2):
            found = stored(client, TOPIC, partition)
            assert found == of_records(range(len(found) // 2))
            assert len(found) > 2 * goal
        assert differences(client) == []
        client.close()
        rollups.close()


def advance_until(rollups: Rollups, ended: Callable[[], bool]) -> None:
    """Advance while writers work, and once they have ended until nothing is left."""
    last = False
    while not last:
        last = ended()
        while any(one.more for one in until_it_works(rollups.advance).values()):
            pass
    wait_for(lambda: {one.rows for one in behind_after_a_step(rollups).values()} == {0}, "the rollups")


def behind_after_a_step(rollups: Rollups) -> dict[RollupName, Behind]:
    until_it_works(rollups.advance)
    return until_it_works(rollups.behind)


def wait_for_progress(settings: StoreSettings, records_more: int) -> None:
    """Wait until so many more records are stored, or all of them."""
    sink = ClickHouseSink(settings)
    before = sum(until_it_works(lambda: sink.positions("inferences", TOPIC)).values())

    def progressed() -> bool:
        now = until_it_works(lambda: sink.positions("inferences", TOPIC))
        return sum(now.values()) >= min(before + records_more, 2 * 400)

    wait_for(progressed, "writers")
    sink.close()
