"""Removing a person, a conversation or an event from everything."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from app import settings
from app.cli.actor import who
from app.cli.secret import say_if_secret_is_default
from app.settings import Settings

if TYPE_CHECKING:
    from processors.erasure import EraseSettings
    from storage.erasure import Kind

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.option("--user", help="A user: the id that the application sends, or the hash that rows have.")
@click.option("--conversation", help="A conversation, by its id.")
@click.option("--event", help="One inference, by its event id.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option("--mentions", is_flag=True, help="Replace the id in all texts also where it might be an ordinary word.")
@click.option("--wait", "wait_seconds", default=60.0, show_default=True, help="Seconds that workers may be behind.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --yes or --dry-run.")
def erase(
    user: str | None,
    conversation: str | None,
    event: str | None,
    dry_run: bool,
    mentions: bool,
    wait_seconds: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove text and identity of a user, a conversation or an event, and search everything to show it.

    Tables, topics, dead letters, exported datasets, and the files of the embedded store. Figures stay, so sums do not
    change. It cannot be undone. Exits with 1 when something is left, and can be run again after anything.
    """
    given: dict[Kind, str | None] = {"user": user, "conversation": conversation, "event": event}
    chosen = [(kind, identity) for kind, identity in given.items() if identity is not None]
    if len(chosen) != 1:
        raise click.UsageError("give exactly one of --user, --conversation and --event")
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json does not ask: add --yes, or --dry-run to look first")
    from processors.erasure import Erasure
    from processors.erasure.report import as_text

    (kind, identity) = chosen[0]
    where = erase_settings(settings.load(os.environ), wait_seconds)
    if kind == "user":
        # Rows are found by the hash; with another secret than the workers' it is another one.
        say_if_secret_is_default(where.user_hash_secret)
    erasure = Erasure(where, kind, identity, mentions=mentions)
    if not (yes or dry_run):
        click.confirm(f"Erase everything of this {kind}? It cannot be undone", abort=True)
    report = erasure.run(f"cli:{who()}", lambda line: click.echo(line, err=True), dry_run=dry_run)
    click.echo(json.dumps(report.as_dict()) if as_json else as_text(report))
    sys.exit(0 if dry_run or report.complete else 1)


def erase_settings(loaded: Settings, wait_seconds: float) -> EraseSettings:
    """Return where to erase, from everything's settings."""
    from processors.erasure import EraseSettings

    return EraseSettings(
        kafka=loaded.processors.kafka,
        store=loaded.store,
        user_hash_secret=loaded.processors.enrich.user_hash_secret,
        exports=(loaded.processors.retrain.folder.resolve(),),
        store_path=_engine_files(loaded),
        wait_seconds=wait_seconds,
    )


def _engine_files(loaded: Settings) -> Path | None:
    """Return the embedded store's folder where the store is that one, and on this machine."""
    url = urlsplit(loaded.store.url)
    path = loaded.embedded_store.path
    here = url.hostname in _LOOPBACK and url.port == loaded.embedded_store.port
    return path.resolve() if here and path.is_dir() else None


COMMANDS: Final = (erase,)
