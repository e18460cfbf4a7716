"""Pricing again on the real engine: the worker's arithmetic, rollups that add up, and nothing lost on the way."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from inferwatch.clock import SystemClock
from processors.enrich.price import Price, PriceBook, Pricer, in_currency
from processors.pricing.match import Tariffs
from storage import audit
from storage.client import StoreSettings, connect
from storage.reprice import Repriced, Repricer, Scope
from storage.rollups import Rollups
from storage.tariff import Rates, Tariff
from tests.support.clickhouse import ROOT, RunningStore, running_store
from tests.support.store_rows import inferences, prepared
from tests.support.waiting import wait_for

NOW = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0) - dt.timedelta(days=1)
TODAY = NOW.date()
YESTERDAY = TODAY - dt.timedelta(days=1)


def price(name: str, model: str, effective_from: dt.date = dt.date(2024, 1, 1), **given: str | int) -> Price:
    amounts: dict[str, Any] = {key: Decimal(value) if isinstance(value, str) else value for key, value in given.items()}
    return Price(name=name, model=model, effective_from=effective_from, **amounts)


TOKENS: dict[str, Any] = {"input_per_million_tokens": "3", "output_per_million_tokens": "15"}
BOOK = PriceBook(
    "USD",
    (
        price("plain", "plain", **TOKENS),
        price("plain from yesterday", "plain", YESTERDAY, **TOKENS, cached_input_per_million_tokens="0.3"),
        price("fine", "fi'ne\\ %s*", input_per_million_tokens="0.0005", reasoning_per_million_tokens="0.000000000001"),
        price("gpu", "gpu", per_gpu_hour="2.49", gpus="0.25", concurrency=7, per_request="0.0000000005"),
        price("high", "high", per_gpu_hour="100000", gpus="10000", **{**TOKENS, "input_per_million_tokens": "100000"}),
    ),
)
MODELS = {"plain": "triton", "fi'ne\\ %s {x:String}": "triton", "gpu": "triton", "high": "triton", "own": "triton"}
HOSTED = {"claude-sonnet-4-5": "anthropic", "deepseek-chat": "deepseek", "gpt-4o": "openai", "none": "openai"}


def some_rows(count: int, dice: random.Random, first_offset: int = 0) -> list[dict[str, Any]]:
    """Rows of all kinds, with the worst numbers among them."""

    def tokens() -> int | None:
        return dice.choice((None, 0, 1, 3, dice.randrange(5_000), dice.randrange(10**6), 2**32 - 1))

    rows = []
    for number in range(count):
        model, provider = dice.choice(list((MODELS | HOSTED).items()))
        counts = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens")
        rows.append(
            {
                **{name: tokens() for name in counts},
                "source_offset": first_offset + number,
                "started_at": NOW - dt.timedelta(microseconds=dice.randrange(3 * 86_400_000_000)),
                "model": model,
                "provider": provider,
                "duration": dice.choice((0.0, 5e-7, 1.5e-6, dice.random(), dice.random() * 1_000, 2_592_000.0)),
                "status": dice.choice(("ok", "ok", "error", "cancelled")),
            }
        )
    return rows


def insert(client: Client, rows: list[dict[str, Any]], arrived: dt.datetime = NOW) -> None:
    columns = inferences(rows, arrived=arrived)
    client.insert("inferences", list(columns.values()), column_names=list(columns), column_oriented=True)


def roll(store: StoreSettings) -> None:
    rollups = Rollups(store, SystemClock())
    try:
        while any(step.rows for step in rollups.advance().values()):
            pass
    finally:
        rollups.close()


@contextmanager
def repricer(store: StoreSettings, book: PriceBook, said: list[str] | None = None) -> Iterator[Repricer]:
    clock = SystemClock()
    rollups = Rollups(store, clock)
    lines: list[str] = [] if said is None else said
    one = Repricer(store, Tariffs(book), rollups.rebuild, clock, time.sleep, lines.append)
    try:
        yield one
    finally:
        one.close()
        rollups.close()


def reprice(store: StoreSettings, book: PriceBook, scope: Scope = Scope()) -> Repriced:  # noqa: B008 - immutable
    with repricer(store, book) as one:
        return one.run(scope)


def totals(client: Client, table: str) -> dict[dt.date, tuple[Any, ...]]:
    """Return requests, cost and requests of unknown cost by day of arrival."""
    if table == "inferences":
        figures = "toDate(ingested_at) AS day, count(), sum(toDecimal128(ifNull(cost, 0), 9)), countIf(isNull(cost))"
    else:
        figures = "ingested_on AS day, sum(requests), sum(cost), sum(requests_without_cost)"
    where = "" if table == "inferences" else "WHERE environment != ''"
    rows = client.query(f"SELECT {figures} FROM {table} {where} GROUP BY day").result_rows
    return {day: tuple(rest) for day, *rest in rows}


def assert_adds_up(client: Client) -> None:
    of_rows = totals(client, "inferences")
    assert totals(client, "metrics_1m") == of_rows
    assert totals(client, "metrics_1h") == of_rows


@pytest.fixture
def client(store: StoreSettings) -> Iterator[Client]:
    """A client of a database that has all tables."""
    prepared(store.url, store.database)
    opened = connect(store)
    yield opened
    opened.close()


def assert_priced_as_a_worker_does(client: Client, book: PriceBook) -> None:
    rows = client.query(
        "SELECT model, provider, toUnixTimestamp64Micro(started_at), duration, input_tokens, output_tokens,"
        " cache_read_tokens, cache_creation_tokens, reasoning_tokens, status, cost, price FROM inferences"
    ).result_rows
    *columns, costs, prices = zip(*rows, strict=True)
    expected, names = Pricer(book).costs(*columns)
    assert list(costs) == [None if nano is None else in_currency(nano) for nano in expected]
    assert list(prices) == names


def test_history_gets_to_the_digit_what_a_worker_would_give_it(store: StoreSettings, client: Client) -> None:
    insert(client, some_rows(6_000, random.Random(1)))
    done = reprice(store, BOOK)
    assert_priced_as_a_worker_does(client, BOOK)
    assert done.rows == 6_000
    priced = client.command("SELECT uniqExact(price) FROM inferences WHERE isNotNull(cost)")
    assert int(str(priced)) == 8


def some_tariffs(dice: random.Random) -> Iterator[Tariff]:
    """Tariffs of all sizes, which need whole numbers of 64, 128 and 256 bits."""

    def rates(most: int) -> Rates:
        return Rates(*(dice.choice((0, 1, dice.randrange(most))) for _ in range(5)))

    for _ in range(25):
        most = 10 ** dice.randrange(1, 30)
        tiers = [(start, rates(most)) for start in (200_000, 3_000, 1) if dice.random() < 0.3]
        scale = dice.choice((1, 2, 10, dice.randrange(1, most + 1)))
        request, microsecond = (dice.choice((0, 0, 1, dice.randrange(most))) for _ in range(2))
        yield Tariff("t", scale, rates(most), tuple(tiers), request, microsecond)


def test_the_arithmetic_in_sql_is_that_of_the_worker(client: Client) -> None:
    dice = random.Random(12)
    insert(client, some_rows(1_500, dice))
    rows = client.query(
        "SELECT input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, reasoning_tokens, duration,"
        " status FROM inferences ORDER BY source_offset"
    ).result_rows
    kinds: set[str] = set()
    for tariff in some_tariffs(dice):
        found = client.query(f"SELECT {tariff.sql()} FROM inferences ORDER BY source_offset").result_rows
        expected = [
            tariff.nano(given, made, read, written, thought, round(seconds * 1e6), status == "error")
            for given, made, read, written, thought, seconds, status in rows
        ]
        assert [cost for (cost,) in found] == [None if nano is None else in_currency(nano) for nano in expected]
        kinds |= {kind for kind in ("toInt64(", "toInt128(", "toInt256(") if kind in tariff.sql()}
    assert len(kinds) == 3


def test_rollups_add_up_afterwards_and_a_second_run_finds_nothing(store: StoreSettings, client: Client) -> None:
    dice = random.Random(2)
    insert(client, some_rows(500, dice), NOW - dt.timedelta(days=1))
    insert(client, some_rows(500, dice, 500))
    roll(store)
    said: list[str] = []
    with repricer(store, BOOK, said) as one:
        planned = one.plan(Scope())
        assert totals(client, "inferences")[TODAY] == (500, 0, 500)
        done = one.run(Scope())
    assert done.days == planned.days
    assert done.rebuilt == (YESTERDAY, TODAY)
    assert [day.rows for day in done.days] == [day.unknown_before for day in done.days]
    assert any("day 2 of 2" in line for line in said)
    assert_adds_up(client)
    again = reprice(store, BOOK)
    assert (again.rows, again.days, again.rebuilt, again.left) == (1_000, (), (), ())


def test_a_new_book_changes_what_it_says_and_can_take_a_price_away(store: StoreSettings, client: Client) -> None:
    insert(client, some_rows(400, random.Random(3)))
    roll(store)
    reprice(store, BOOK)
    other = PriceBook("USD", (price("plain, dearer", "plain", per_request="2"),), hosted_prices=False)
    done = reprice(store, other)
    assert_priced_as_a_worker_does(client, other)
    assert_adds_up(client)
    (day,) = done.days
    assert day.unknown_after > day.unknown_before
    assert reprice(store, other).days == ()


def test_days_and_models_outside_of_the_scope_stay_as_they_are(store: StoreSettings, client: Client) -> None:
    insert(client, some_rows(600, random.Random(4)))
    done = reprice(store, BOOK, Scope(YESTERDAY, YESTERDAY, "g*"))
    changed = client.query(
        "SELECT uniqExact(model), min(model), min(toDate(started_at)), max(toDate(started_at)), count()"
        " FROM inferences WHERE price != ''"
    ).result_rows[0]
    assert changed[:4] == (2, "gpt-4o", YESTERDAY, YESTERDAY)
    assert 0 < changed[4] <= done.rows < 600


def test_rows_that_arrive_meanwhile_are_all_there_and_rollups_add_up(store: StoreSettings, client: Client) -> None:
    dice = random.Random(5)
    insert(client, some_rows(2_000, dice))
    roll(store)
    stop = threading.Event()
    offset = 2_000

    def arrive() -> None:
        nonlocal offset
        writer = connect(store)
        while not stop.is_set():
            insert(writer, some_rows(50, dice, offset))
            offset += 50
            roll(store)
        writer.close()

    arriving = threading.Thread(target=arrive)
    arriving.start()
    try:
        wait_for(lambda: offset > 2_000, "the first rows to arrive")
        done = reprice(store, BOOK)
    finally:
        stop.set()
        arriving.join()
    assert done.rows_changed > 1_000
    roll(store)
    assert totals(client, "inferences")[TODAY][0] == offset
    assert_adds_up(client)
    reprice(store, BOOK)
    assert_priced_as_a_worker_does(client, BOOK)
    assert_adds_up(client)


def test_what_is_gone_from_the_rows_stays_in_the_rollups(store: StoreSettings, client: Client) -> None:
    insert(client, some_rows(300, random.Random(6)))
    roll(store)
    client.command("ALTER TABLE inferences DELETE WHERE source_offset < 10", settings={"mutations_sync": 2})
    done = reprice(store, BOOK)
    assert (done.rebuilt, done.left) == ((), (TODAY,))
    assert totals(client, "metrics_1h")[TODAY][0] == 300


def variables(store: StoreSettings, tmp_path: Path) -> dict[str, str]:
    book = tmp_path / "prices.yaml"
    book.write_text(yaml.safe_dump({"currency": "USD", "prices": [as_yaml(one) for one in BOOK.prices]}))
    return {
        **os.environ,
        "INFERWATCH_CLICKHOUSE_URL": store.url,
        "INFERWATCH_CLICKHOUSE_DATABASE": store.database,
        "INFERWATCH_PRICE_BOOK": str(book),
        "INFERWATCH_DATA_DIR": str(tmp_path),
    }


def as_yaml(one: Price) -> dict[str, Any]:
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    default = price("", "")
    return {
        name: str(value) if isinstance(value, Decimal) else value
        for name, value in fields.items()
        if name in ("name", "model", "effective_from") or value != getattr(default, name)
    }


COMMAND = (sys.executable, "-c", "from app.cli.money import reprice; reprice()")


def succeeded(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment, cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def unfinished(client: Client) -> int:
    count = client.command(
        "SELECT count() FROM system.mutations"
        " WHERE database = currentDatabase() AND table = 'inferences' AND NOT is_done"
    )
    return int(str(count))


def test_the_command_killed_in_the_middle_is_finished_by_the_next(
    store: StoreSettings, client: Client, tmp_path: Path
) -> None:
    insert(client, some_rows(400, random.Random(7)))
    roll(store)
    client.command("SYSTEM STOP MERGES inferences")
    with subprocess.Popen([*COMMAND], env=variables(store, tmp_path), cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        try:
            wait_for(lambda: unfinished(client) == 1, "the mutation to begin")
        finally:
            running.kill()
            client.command("SYSTEM START MERGES inferences")
    # The store finishes what it accepted; the rollups then hold other costs than the rows.
    wait_for(lambda: unfinished(client) == 0, "the mutation to end")
    assert_priced_as_a_worker_does(client, BOOK)
    assert totals(client, "metrics_1h") != totals(client, "inferences")
    told = json.loads(succeeded(variables(store, tmp_path), "--json"))
    assert (told["rows_changed"], told["rollups_rebuilt"]) == (0, [TODAY.isoformat()])
    assert_adds_up(client)
    entries = audit.entries(store, actions=["reprice"])
    assert [entry.outcome for entry in entries] == ["done", "started", "started"]
    assert entries[0].details == told


def test_a_store_killed_in_the_middle_loses_nothing_and_the_next_run_finishes(tmp_path: Path) -> None:
    with running_store(tmp_path / "data") as server:
        store = prepared(server.url, "killed")
        client = connect(store)
        insert(client, some_rows(400, random.Random(8)), NOW - dt.timedelta(days=1))
        insert(client, some_rows(400, random.Random(9), 400))
        roll(store)
        client.command("SYSTEM STOP MERGES inferences")
        killed_while_pricing(server, client, variables(store, tmp_path))
        client.close()
        client = connect(store)
        done = reprice(store, BOOK)
        assert done.rebuilt == (YESTERDAY, TODAY)
        assert_priced_as_a_worker_does(client, BOOK)
        assert_adds_up(client)
        assert reprice(store, BOOK).days == ()
        client.close()


def killed_while_pricing(server: RunningStore, client: Client, environment: dict[str, str]) -> None:
    """Kill the store while the command waits for it; the command ends with an error of ours, or none is left of it."""
    with subprocess.Popen([*COMMAND], env=environment, cwd=ROOT, stderr=subprocess.PIPE) as running:
        try:
            wait_for(lambda: unfinished(client) == 1, "the mutation to begin")
            server.kill()
            _, said = running.communicate(timeout=60)
        finally:
            running.kill()
            server.start()
    assert running.returncode != 0
    assert b"StoreUnavailable" in said


def test_the_command_tells_people_what_it_would_do_and_did(
    store: StoreSettings, client: Client, tmp_path: Path
) -> None:
    insert(client, some_rows(100, random.Random(10)))
    environment = variables(store, tmp_path)

    def told(*arguments: str) -> str:
        return succeeded(environment, *arguments)

    assert "of 100 inferences would change." in told("--dry-run")
    assert audit.entries(store, actions=["reprice"]) == []
    assert "of 100 inferences changed." in told()
    assert "Nothing to change: 100 inferences" in told()
    wrong = subprocess.run(
        [*COMMAND, "--from", "2026-02-01", "--to", "2026-01-01"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert wrong.returncode == 2
    assert b"--to 2026-01-01 is before --from 2026-02-01" in wrong.stderr
