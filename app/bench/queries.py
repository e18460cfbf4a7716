"""How long each question of dashboard and command line takes over millions of inferences.

Every run of a question is about another moment, another user, another word, so that nothing is answered from a cache of
answers. Questions that only rows can answer, not rollups, are asked of a day, the dashboard's longest window; those of
a fortnight have figures of their own.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from app.bench.engine_time import engine_seconds
from app.bench.generate_incidents import generate_incidents
from app.bench.generate_rows import Traffic, generate
from app.bench.questions import OF_ROWS_FOR_A_FORTNIGHT, QUESTIONS, Asking
from app.bench.result import Outcome, Say
from app.bench.row_expressions import DAYS
from app.bench.temporary_store import temporary_store
from inferwatch.clock import SystemClock
from storage.client import StoreSettings, connect
from storage.queries import Reader, open_reader
from storage.rollups import Rollups

ROWS: Final = 20_000_000
RUNS: Final = 20
_ROWS_A_STEP: Final = 2_000_000
_SETTLED_SECONDS: Final = 600.0


def run(say: Say, rows: int = ROWS, runs: int = RUNS) -> Outcome:
    """Fill a store with `rows` inferences and ask each question `runs` times."""
    with temporary_store() as settings:
        traffic = Traffic(rows, datetime.now(UTC).replace(second=0, microsecond=0))
        figures = _filled(settings, traffic, say)
        with closing(open_reader(settings)) as reader:
            figures |= ask(reader, traffic, say, runs)
    return Outcome({"rows": rows, "days": DAYS, "runs": runs}, figures)


def ask(reader: Reader, traffic: Traffic, say: Say, runs: int = RUNS) -> dict[str, float]:
    """Return median and 95th percentile of each question and its median processor time, and the slowest of them."""
    figures: dict[str, float] = {}
    slowest = {False: 0.0, True: 0.0}
    for name, question in QUESTIONS.items():
        asking = Asking(reader, traffic, random.Random(name))  # noqa: S311 - no secret
        _measured(question, asking)
        taken, worked = zip(*(_measured(question, asking) for _ in range(runs)), strict=True)
        p95 = statistics.quantiles(taken, n=20)[-1]
        figures |= {f"{name}_p50_ms": statistics.median(taken), f"{name}_p95_ms": p95}
        figures[f"{name}_processor_ms"] = statistics.median(worked)
        by_rows = name in OF_ROWS_FOR_A_FORTNIGHT
        slowest[by_rows] = max(slowest[by_rows], p95)
        say(f"{name}: p50 {statistics.median(taken):.0f} ms, p95 {p95:.0f} ms, work {statistics.median(worked):.0f} ms")
    return {
        "slowest_p95_ms": slowest[False],
        "slowest_of_rows_for_a_fortnight_p95_ms": slowest[True],
        **figures,
    }


def _measured(question: Callable[[Asking], Any], asking: Asking) -> tuple[float, float]:
    """Return milliseconds that the question took, and those of processor time that the engine took for it."""
    client = asking.reader.client
    asking.choose()
    worked = engine_seconds(client)
    began = time.perf_counter()
    question(asking)
    taken = time.perf_counter() - began
    return taken * 1000, (engine_seconds(client) - worked) * 1000


def _filled(settings: StoreSettings, traffic: Traffic, say: Say) -> dict[str, float]:
    """Fill the store, and say what it holds then."""
    with closing(connect(settings)) as client:
        generate(client, traffic, say)
        say("Making the rollups")
        with closing(Rollups(settings, SystemClock(), most_rows=_ROWS_A_STEP)) as rollups:
            for done in iter(lambda: sum(step.rows for step in rollups.advance().values()), 0):
                say(f"{done:,} rows counted")
        generate_incidents(client, traffic)
        say("Waiting for merges")
        _wait_for_merges(client)
        return {"rows": float(traffic.rows), **dict(_sizes(client))}


def _wait_for_merges(client: Client) -> None:
    deadline = time.monotonic() + _SETTLED_SECONDS
    while client.query("SELECT count() FROM system.merges").result_rows[0][0]:
        if time.monotonic() > deadline:
            return
        time.sleep(1)


def _sizes(client: Client) -> Iterator[tuple[str, float]]:
    rows = client.query(
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts"
        " WHERE active AND database = currentDatabase() AND rows > 0 GROUP BY table ORDER BY table"
    ).result_rows
    for table, count, size in rows:
        if table in ("inferences", "metrics_1m", "metrics_1h", "pii_hits"):
            yield f"{table}_rows", float(count)
            yield f"{table}_megabytes", size / 1e6
    yield (
        "word_index_megabytes",
        float(
            client.query(
                "SELECT sum(data_compressed_bytes) / 1e6 FROM system.data_skipping_indices"
                " WHERE database = currentDatabase() AND name = 'words'"
            ).result_rows[0][0]
        ),
    )
