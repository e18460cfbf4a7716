"""Commands about money: reprice."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from app import settings
from app.cli.audited import audited
from inferwatch.clock import SystemClock

if TYPE_CHECKING:
    from processors.enrich.price import PriceBook
    from storage.client import StoreSettings
    from storage.reprice import Repriced, Repricer

_DAY: Final = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "since", type=_DAY, help="First day (UTC) of the inferences to price again.")
@click.option("--to", "until", type=_DAY, help="Last day.")
@click.option("--model", default="*", show_default=True, help="Only models that match this shell pattern.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def reprice(since: dt.datetime | None, until: dt.datetime | None, model: str, dry_run: bool, as_json: bool) -> None:
    """Price stored inferences again, each by the price that the book has for its own time.

    Restart the enrich workers first, so that what arrives meanwhile is priced by the same book. Safe to stop and to
    repeat: a second run finishes what is left, and changes nothing where nothing is.
    """
    from processors.enrich.price import load_price_book
    from storage.migrate import migrate
    from storage.reprice import Scope

    if since and until and until < since:
        raise click.UsageError(f"--to {until:%Y-%m-%d} is before --from {since:%Y-%m-%d}")
    loaded = settings.load(os.environ)
    scope = Scope(since.date() if since else None, until.date() if until else None, model)
    book = load_price_book(loaded.processors.enrich.price_book)
    migrate(loaded.store)
    with _repricer(loaded.store, book) as repricer:
        if dry_run:
            done = repricer.plan(scope)
        else:
            days = f"from {scope.since or 'the first day'} to {scope.until or 'the last day'}"
            with audited(loaded.store, "reprice", f"models {scope.model}, {days}") as details:
                done = repricer.run(scope)
                details.update(_as_dict(done, book.currency))
    click.echo(json.dumps(_as_dict(done, book.currency)) if as_json else _as_text(done, book.currency, dry_run))


@contextmanager
def _repricer(store: StoreSettings, book: PriceBook) -> Iterator[Repricer]:
    from processors.pricing.match import Tariffs
    from storage.reprice import Repricer
    from storage.rollups import Rollups

    clock = SystemClock()
    rollups = Rollups(store, clock)
    repricer = Repricer(
        store, Tariffs(book), rollups.rebuild, clock, time.sleep, lambda line: click.echo(line, err=True)
    )
    try:
        yield repricer
    finally:
        repricer.close()
        rollups.close()


def _as_dict(done: Repriced, currency: str) -> dict[str, Any]:
    return {
        "rows": done.rows,
        "rows_changed": done.rows_changed,
        "currency": currency,
        "days": [
            {
                "arrived_on": day.day.isoformat(),
                "rows_changed": day.rows,
                "cost_before": str(day.cost_before),
                "cost_after": str(day.cost_after),
                "unknown_before": day.unknown_before,
                "unknown_after": day.unknown_after,
            }
            for day in done.days
        ],
        "rollups_rebuilt": [day.isoformat() for day in done.rebuilt],
        "rollups_left": [day.isoformat() for day in done.left],
    }


def _as_text(done: Repriced, currency: str, dry_run: bool) -> str:
    lines = [
        f"{day.day}: {day.rows:,} change, {day.cost_before:f} -> {day.cost_after:f} {currency},"
        f" of unknown cost {day.unknown_before:,} -> {day.unknown_after:,}"
        for day in done.days
    ]
    if done.rebuilt:
        lines.append(f"Rollups made again: {', '.join(map(str, done.rebuilt))}")
    if done.left:
        days = ", ".join(map(str, done.left))
        lines.append(f"Rollups left as they are, because they hold inferences that are stored no more: {days}")
    if not done.rows_changed:
        lines.append(f"Nothing to change: {done.rows:,} inferences have the cost that the book gives them.")
    else:
        lines.append(f"{done.rows_changed:,} of {done.rows:,} inferences {'would change' if dry_run else 'changed'}.")
    return "\n".join(lines)


COMMANDS: Final = (reprice,)
