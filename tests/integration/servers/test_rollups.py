"""Figures by minute and hour are those of the stored rows: whoever dies, comes late or comes twice."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from clickhouse_connect.driver.client import Client

from inferwatch.clock import SystemClock
from storage.client import StoreSettings, connect
from storage.connection import Connection
from storage.errors import DayExpired, StoreRefused
from storage.migrate import migrate
from storage.rollups import ROLLUPS, Rollups, lock, step
from storage.rollups.ledger import arrivals, next_span
from storage.rollups.marks import NO_MARKS, Marks, Place
from storage.sink import ClickHouseSink
from tests.support.ledger_rows import block
from tests.support.rollup_figures import differences

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
TODAY = NOW.date()
TOPIC = "topic's id"
MINUTE = dt.timedelta(minutes=1)
AT_ONCE = dict.fromkeys(ROLLUPS, 0.0)


@dataclass
class Writer:
    """Appends rows to a store, some of them with several in a record."""

    settings: StoreSettings
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    next_offset: dict[Place, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sink = ClickHouseSink(self.settings)

    def write(self, records: int, partition: int = 0, topic_id: str = TOPIC, arrived: dt.datetime = NOW) -> None:
        place = Place(topic_id, partition)
        first = self.next_offset.get(place, 0)
        self.next_offset[place] = first + records
        offsets = range(first, first + records)
        self.sink.append("inferences", block(topic_id, partition, first - 1, offsets, arrived, self.dice))


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
def writer(settings: StoreSettings) -> Iterator[Writer]:
    writer = Writer(settings)
    yield writer
    writer.sink.close()


@pytest.fixture
def rollups(settings: StoreSettings) -> Iterator[Rollups]:
    rollups = Rollups(settings, Hurried(), pauses=AT_ONCE)
    yield rollups
    rollups.close()


class Hurried(SystemClock):
    """Between two looks at it much time has passed, so that everything is due."""

    def __init__(self) -> None:
        self._looks = itertools.count()

    def elapsed(self) -> float:
        return 1_000.0 * next(self._looks)


@pytest.fixture
def connection(settings: StoreSettings) -> Iterator[Connection]:
    connection = Connection(settings)
    yield connection
    connection.close()


def catch_up(rollups: Rollups) -> int:
    """Advance until nothing is left; return how many rounds that took."""
    for rounds in range(1, 200):
        if not any(one.more for one in rollups.advance().values()):
            return rounds
    raise AssertionError("the rollups never caught up")


def parts(client: Client, table: str) -> int:
    """Return how many parts were ever inserted into a table."""
    rows = client.query(
        "SELECT sum(1) FROM system.parts WHERE database = currentDatabase() AND table = {table:String} AND level <= 1",
        parameters={"table": table},
    ).result_rows
    return int(rows[0][0] or 0)


def test_figures_are_those_of_the_rows_and_each_step_is_one_part(
    client: Client, writer: Writer, rollups: Rollups
) -> None:
    for name in ROLLUPS:
        client.command(f"SYSTEM STOP MERGES {name}")
    for number in range(3):
        for partition in range(3):
            writer.write(251, partition)
        writer.write(4, 0, "another topic")
        catch_up(rollups)
        assert differences(client) == []
        assert parts(client, "metrics_1m") == parts(client, "pii_hits") == 2 * (number + 1)
    assert {name: one.rows for name, one in rollups.behind().items()} == dict.fromkeys(ROLLUPS, 0)
    ends = {Place(TOPIC, 0): 752, Place(TOPIC, 1): 752, Place(TOPIC, 2): 752, Place("another topic", 0): 11}
    assert {name: marks[TODAY].offsets for name, marks in rollups.marks().items()} == dict.fromkeys(ROLLUPS, ends)
    assert catch_up(rollups) == 1


def test_an_old_table_is_counted_in_steps_oldest_day_first(
    client: Client, writer: Writer, settings: StoreSettings
) -> None:
    for days in (5, 3, 0):
        for minute in range(3):
            for partition in range(2):
                writer.write(50, partition, arrived=NOW - dt.timedelta(days=days) + minute * MINUTE - 3 * MINUTE)
    rollups = Rollups(settings, Hurried(), pauses=AT_ONCE, most_rows=150)
    assert rollups.behind()["metrics_1m"].rows == 1_800
    first = rollups.advance()
    assert set(rollups.marks()["metrics_1h"]) == {(NOW - dt.timedelta(days=5) - 3 * MINUTE).date()}
    assert first["metrics_1h"].more
    assert catch_up(rollups) >= 8
    assert differences(client) == []
    rollups.close()


def test_rows_of_a_writer_whose_clock_is_behind_are_counted(client: Client, writer: Writer, rollups: Rollups) -> None:
    writer.write(25, arrived=NOW)
    catch_up(rollups)
    writer.write(25, arrived=NOW - dt.timedelta(minutes=7))
    writer.write(25, arrived=NOW - dt.timedelta(days=1, minutes=7))
    writer.write(25, arrived=NOW + dt.timedelta(minutes=1))
    catch_up(rollups)
    assert differences(client) == []


@contextlib.contextmanager
def in_the_background(*calls: Callable[[], object]) -> Iterator[None]:
    """Repeat calls, each in a thread of its own; an error of theirs is the test's."""
    stopping = threading.Event()
    failures: list[BaseException] = []

    def repeat(call: Callable[[], object]) -> None:
        try:
            while not stopping.is_set():
                call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_two_rollers_at_once_count_each_row_once(client: Client, writer: Writer, settings: StoreSettings) -> None:
    rollers = [Rollups(settings, Hurried(), pauses=AT_ONCE) for _ in range(2)]
    with in_the_background(*(one.advance for one in rollers)):
        for number in range(12):
            writer.write(20, number % 3)
    catch_up(rollers[0])
    assert differences(client) == []
    for one in rollers:
        one.close()


@pytest.mark.parametrize("more", [1, 500])
def test_a_step_that_arrives_late_counts_nothing_however_many_chunks_it_would_be(
    client: Client, writer: Writer, rollups: Rollups, connection: Connection, more: int
) -> None:
    writer.write(5)
    span = next_span(TODAY, TOPIC, arrivals(connection, TODAY, TOPIC, {}), {}, 1_000)
    assert span is not None
    writer.write(more)
    rollups.advance()
    for name, rollup in ROLLUPS.items():
        step.count(connection, rollup, name, span, 0, NO_MARKS.token(TODAY, 0))
        step.mark(connection, rollup, name, TODAY, {Place("late", 0): 1}, 7, NO_MARKS.token(TODAY, 0))
    assert differences(client) == []
    assert {of_days[TODAY].generation for of_days in rollups.marks().values()} == {0}


def test_a_burnt_token_delays_a_step_and_loses_nothing(client: Client, writer: Writer, rollups: Rollups) -> None:
    before = Marks({Place("another topic", 0): 3})
    insert = "INSERT INTO {} (ingested_on, mark_topic_id, mark_offset) SELECT {{day:Date}}, 'another topic', 3"
    client.command("CREATE TABLE before AS metrics_1m")
    client.command(insert.format("before"), {"day": TODAY})
    for attempt in range(2):
        burnt = {"insert_deduplication_token": before.token(TODAY, attempt)}
        client.command(insert.format("metrics_1m"), {"day": TODAY}, settings=burnt)
    # As after a crash between noting a token and keeping the part: the parts are gone, their tokens are not.
    client.command(f"ALTER TABLE metrics_1m REPLACE PARTITION '{TODAY}' FROM before")
    writer.write(5)
    for _ in range(2):
        rollups.advance()
        assert rollups.marks()["metrics_1m"] == {TODAY: before}
    rollups.advance()
    assert differences(client) == []


def test_making_a_day_again_takes_up_what_changed_in_its_rows(client: Client, writer: Writer, rollups: Rollups) -> None:
    writer.write(100)
    writer.write(100, 1)
    writer.write(30, arrived=NOW - dt.timedelta(days=2))
    catch_up(rollups)
    before = rollups.marks()
    client.command("ALTER TABLE inferences UPDATE cost = 1 WHERE model = 'ranker'", settings={"mutations_sync": 1})
    client.command("ALTER TABLE inferences DELETE WHERE source_offset >= 90", settings={"mutations_sync": 1})
    assert {name for name, _ in differences(client)} == set(ROLLUPS)
    writer.write(5, 1)
    rollups.rebuild(TODAY)
    rollups.rebuild((NOW - dt.timedelta(days=2)).date())
    assert differences(client) == []
    # What was counted and then erased stays marked: nobody takes it from Kafka again.
    assert before["metrics_1m"][TODAY].offsets[Place(TOPIC, 0)] == 99
    assert rollups.marks()["metrics_1m"][TODAY].offsets[Place(TOPIC, 0)] == 99
    assert writer.sink.positions("inferences", TOPIC)[0] == 129
    writer.write(5)
    catch_up(rollups)
    assert differences(client) == []


def test_a_day_made_again_while_rollers_and_writers_work_is_exact(
    client: Client, writer: Writer, settings: StoreSettings
) -> None:
    rollers = [Rollups(settings, Hurried(), pauses=AT_ONCE) for _ in range(2)]
    rebuilder = Rollups(settings, Hurried(), most_rows=500, pauses=AT_ONCE)
    with in_the_background(*(one.advance for one in rollers), lambda: writer.write(20, writer.dice.randrange(3))):
        rebuilder.rebuild(TODAY)
    catch_up(rebuilder)
    assert differences(client) == []
    assert rebuilder.marks()["metrics_1m"][TODAY].generation == 2
    for one in [*rollers, rebuilder]:
        one.close()


def test_a_rebuild_that_died_is_swept_away_and_cannot_finish_afterwards(
    client: Client, writer: Writer, rollups: Rollups, connection: Connection
) -> None:
    writer.write(10)
    catch_up(rollups)
    rollup = ROLLUPS["metrics_1m"]
    again = f"{lock.table_prefix(rollup, TODAY)}dead"
    client.command(f"CREATE TABLE {again} AS metrics_1m")
    assert lock.take(connection, rollup, TODAY, again, SystemClock()).locked
    writer.write(10)
    rollups.advance()
    assert rollups.behind()["metrics_1m"].rows == 20, "a locked day is left alone while its holder may live"
    assert rollups.behind()["metrics_1h"].rows == 0

    lock.release_stale(connection, rollup, TODAY, Later())
    with pytest.raises(StoreRefused, match="does not exist") as refused:
        connection.command(f"ALTER TABLE metrics_1m REPLACE PARTITION '{TODAY}' FROM {again}")
    assert refused.value.code == 60
    catch_up(rollups)
    assert differences(client) == []


def test_a_rebuild_that_another_one_overtakes_fails_and_leaves_the_day_to_it(
    client: Client, writer: Writer, rollups: Rollups, connection: Connection
) -> None:
    writer.write(10)
    rollup = ROLLUPS["metrics_1m"]
    first = f"{lock.table_prefix(rollup, TODAY)}first"
    client.command(f"CREATE TABLE {first} AS metrics_1m")
    lock.take(connection, rollup, TODAY, first, SystemClock())
    rollups.rebuild(TODAY)
    with pytest.raises(StoreRefused):
        connection.command(f"ALTER TABLE metrics_1m REPLACE PARTITION '{TODAY}' FROM {first}")
    assert not rollups.marks()["metrics_1m"][TODAY].locked
    catch_up(rollups)
    assert differences(client) == []
    assert lock.again_tables(connection, rollup, TODAY) == []


def test_rollups_rest_between_steps_and_look_at_other_days_now_and_then(
    writer: Writer, settings: StoreSettings
) -> None:
    clock = ByHand()
    rollups = Rollups(settings, clock)
    writer.write(5)
    assert {name: one.rows for name, one in rollups.advance().items()} == dict.fromkeys(ROLLUPS, 10)
    writer.write(10)
    clock.seconds = 1.0
    assert [one.rows for one in rollups.advance().values()] == [0, 0, 0]
    clock.seconds = 2.0
    assert [one.rows for one in rollups.advance().values()] == [20, 0, 0]
    clock.seconds = 15.0
    assert [one.rows for one in rollups.advance().values()] == [0, 20, 20]
    writer.write(15, topic_id="another topic")
    writer.write(20, arrived=NOW - dt.timedelta(days=3))
    clock.seconds = 31.0
    assert [one.rows for one in rollups.advance().values()] == [0, 0, 0]
    clock.seconds = 120.0
    first, second = rollups.advance(), rollups.advance()
    assert [one.rows for one in first.values()] == [40, 40, 40]
    assert all(one.more for one in first.values())
    assert [one.rows for one in second.values()] == [30, 30, 30]
    rollups.close()


class ByHand(SystemClock):
    seconds = 0.0

    def elapsed(self) -> float:
        return self.seconds


class Later(SystemClock):
    def now(self) -> float:
        return super().now() + 1_000


def test_a_day_whose_rows_expire_is_not_made_again(rollups: Rollups) -> None:
    with pytest.raises(DayExpired) as raised:
        rollups.rebuild(TODAY - dt.timedelta(days=90))
    assert raised.value.last == TODAY - dt.timedelta(days=90)
