"""Millions of inferences as a company might have them, made inside the engine.

Two weeks of days and nights; applications that share teams, services, models and prompts unevenly; log-normal
latencies; texts of about 1 kB in words that follow Zipf's law, so that compression and search have an honest time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from app.bench.result import Say
from app.bench.row_expressions import COLUMNS, DAYS, SENTENCE, SENTENCES, WITH, made_from

_BLOCK: Final = 250_000
_WORDS: Final = 30_000
_LONGEST_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Traffic:
    """`rows` inferences of the `DAYS` days before `end`."""

    rows: int
    end: datetime

    @property
    def start(self) -> datetime:
        """When the first one starts."""
        return self.end - timedelta(days=DAYS)


def generate(client: Client, traffic: Traffic, say: Say) -> None:
    """Insert the rows, in the order of their arrival, block by block."""
    _write_sentences(client)
    done = 0
    for first, count in _blocks(traffic.rows):
        client.command(
            f"INSERT INTO inferences ({', '.join(COLUMNS)})"  # noqa: S608 - expressions of our own
            f" {WITH} SELECT {', '.join(COLUMNS.values())} FROM {made_from()}",
            parameters=_parameters(traffic) | {"first": first, "count": count},
            settings=_SETTINGS,
        )
        done += count
        if done % (4 * _BLOCK) == 0 or done == traffic.rows:
            say(f"{done:,} of {traffic.rows:,} rows")


def identity(client: Client, traffic: Traffic, number: int) -> dict[str, Any]:
    """Return ids, user, model, team and words of the row of that number, or of one soon after it that has text."""
    asked = "event_id, trace_id, user, conversation_id, model, team"
    columns = [f"{COLUMNS[name]} AS {name}" for name in asked.split(", ")]
    words = "splitByNonAlpha(lower(asked)) AS words"
    result = client.query(
        f"{WITH} SELECT {', '.join(columns)}, {words} FROM {made_from()} WHERE language LIMIT 1",  # noqa: S608 - as above
        parameters=_parameters(traffic) | {"first": number, "count": 50},
    )
    return dict(zip(result.column_names, result.result_rows[0], strict=True))


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for first in range(0, rows, _BLOCK):
        yield first, min(_BLOCK, rows - first)


def _parameters(traffic: Traffic) -> dict[str, Any]:
    return {"rows": traffic.rows, "start": int(traffic.start.timestamp())}


_SETTINGS: Final = {
    "max_insert_block_size": _BLOCK,
    "min_insert_block_size_rows": _BLOCK,
    "min_insert_block_size_bytes": 0,
    "max_execution_time": _LONGEST_SECONDS,
    # What is constant over a query must not be one constant per row.
    "optimize_trivial_insert_select": 0,
}


def _write_sentences(client: Client) -> None:
    """Write one long string of sentences at fixed distances: a text is a handful of them, cut out by number."""
    dice = random.Random(11)  # noqa: S311 - no secret
    words = _vocabulary(dice)
    weights = [1 / rank for rank in range(3, _WORDS + 3)]
    made = iter(dice.choices(words, weights, k=SENTENCES * 24))
    slots = []
    for _ in range(SENTENCES):
        sentence = next(made).capitalize()
        length = dice.randint(60, SENTENCE - 2)
        while len((sentence + " " + (word := next(made))).encode()) < length:
            sentence += dice.choices((" ", ", "), (9, 1))[0] + word
        slots.append((sentence + dice.choice(".....?!:")).encode()[:SENTENCE].ljust(SENTENCE).decode())
    client.command("CREATE OR REPLACE TABLE sentences (text String) ENGINE = MergeTree ORDER BY tuple()")
    client.insert("sentences", [["".join(slots)]], column_names=["text"])


def _vocabulary(dice: random.Random) -> list[str]:
    onsets = (
        "",
        "b",
        "br",
        "c",
        "ch",
        "d",
        "f",
        "g",
        "gr",
        "h",
        "l",
        "m",
        "n",
        "p",
        "pr",
        "qu",
        "r",
        "s",
        "st",
        "t",
        "v",
    )
    vowels = ("a", "e", "i", "o", "u", "ai", "ea", "ou", "io")
    codas = ("", "", "l", "n", "nd", "r", "s", "st", "t", "x")
    words: dict[str, None] = {}
    while len(words) < _WORDS:
        # Frequent words are short, as they are in every language.
        syllables = 1 + min(3, int(math.log10(len(words) + 1) * dice.uniform(0.4, 1.1)))
        words["".join(dice.choice(part) for _ in range(syllables) for part in (onsets, vowels, codas))] = None
    return list(words)
