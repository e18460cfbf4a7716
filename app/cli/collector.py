"""The collector, and the API keys that it asks for."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from app import settings
from app.cli.listening import until_stopped
from app.environment import Environment
from app.errors import SettingsError
from inferwatch.validity import MOST_NAME_CHARACTERS

if TYPE_CHECKING:
    from processors.settings import KafkaSettings

log: Final = logging.getLogger("inferwatch.collector")

_DAY_SECONDS: Final = 86_400
_MOST_DAYS: Final = 36_500
_TOPICS_SECONDS: Final = 3.0
_TOPICS_PAUSE: Final = 15.0


@click.command()
def collector() -> None:
    """Run the collector: OTLP, CloudEvents and JSON over the network, to Kafka.

    INFERWATCH_COLLECTOR_PORT and INFERWATCH_COLLECTOR_GRPC_PORT are its ports, INFERWATCH_API_KEYS its keys.
    """
    from ingest.collector.collector import Ports, run

    loaded = settings.load(os.environ)
    collecting = loaded.collector

    def started(ports: Ports) -> None:
        log.info(
            "Listening on %s: HTTP %d, gRPC %d; Kafka at %s",
            *(collecting.host, ports.http, ports.grpc, collecting.bootstrap_servers),
        )

    async def serve(stop: asyncio.Event) -> None:
        if await _topics_made(loaded.kafka):
            await run(collecting, stop, started=started)
            return
        # It starts all the same, and answers 503 until a broker is there.
        making = asyncio.create_task(_until_topics_are_made(loaded.kafka))
        try:
            await run(collecting, stop, started=started)
        finally:
            making.cancel()

    ports = {"http_port": "INFERWATCH_COLLECTOR_PORT", "grpc_port": "INFERWATCH_COLLECTOR_GRPC_PORT"}
    asyncio.run(until_stopped("the collector", serve, ports))


async def _topics_made(kafka: KafkaSettings) -> bool:
    """Make the topics that are missing; return whether they are there now."""
    from processors.admin import ensure_topics
    from processors.errors import TopicsNotReady

    try:
        await asyncio.to_thread(ensure_topics, kafka, _TOPICS_SECONDS)
    except TopicsNotReady as error:
        log.warning("%s", error)
        return False
    return True


async def _until_topics_are_made(kafka: KafkaSettings) -> None:
    while not await _topics_made(kafka):
        await asyncio.sleep(_TOPICS_PAUSE)


@click.group("api-keys")
def api_keys() -> None:
    """Make, list and revoke the keys that senders show to the collector.

    They are kept as hashes in the file that INFERWATCH_API_KEYS names; a running collector notices changes.
    """


def _name(_context: click.Context, _option: click.Parameter, given: str) -> str:
    """Refuse what no event could bear."""
    if len(given) > MOST_NAME_CHARACTERS:
        raise click.BadParameter(f"it has more than {MOST_NAME_CHARACTERS} characters.")
    return given


def _days(_context: click.Context, _option: click.Parameter, given: float | None) -> float | None:
    """Refuse `nan`, which is in no range and yet passes for it."""
    if given is not None and math.isnan(given):
        raise click.BadParameter("it is not a number.")
    return given


@api_keys.command()
@click.option(
    "--team", default="", callback=_name, help="Team that owns what comes with the key, whatever it says itself."
)
@click.option(
    "--environment", default="", callback=_name, help="Environment of what comes with the key, whatever it says itself."
)
@click.option("--note", default="", help="What the key is for.")
@click.option(
    "--expires-in-days",
    type=click.FloatRange(min=0, min_open=True, max=_MOST_DAYS),
    callback=_days,
    help="Days until it is refused.",
)
def create(team: str, environment: str, note: str, expires_in_days: float | None) -> None:
    """Make a key and print it: it is shown once and not kept."""
    from ingest.api_keys import create

    now = time.time()
    expires_at = None if expires_in_days is None else now + expires_in_days * _DAY_SECONDS
    _, text = create(_path(), now, team=team, environment=environment, note=note, expires_at=expires_at)
    click.echo(text)


@api_keys.command("list")
def list_keys() -> None:
    """List all keys by their ids."""
    from ingest.api_keys import load

    now = time.time()
    click.echo(f"{'id':8}  {'state':8}  {'team':16}  {'environment':16}  {'created':16}  {'expires':16}  note")
    for key in load(_path()):
        state = "revoked" if key.revoked_at is not None else "valid" if key.valid(now) else "expired"
        click.echo(
            f"{key.id}  {state:8}  {key.team or '-':16}  {key.environment or '-':16}  "
            f"{_date(key.created_at):16}  {_date(key.expires_at):16}  {key.note}"
        )


@api_keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Revoke the key with this id, the eight letters after `iw_`."""
    from ingest.api_keys import revoke

    click.echo(f"{revoke(_path(), key_id, time.time()).id} is revoked")


def _path() -> Path:
    env = Environment(os.environ)
    if env.optional("API_KEYS") is None:
        raise SettingsError("INFERWATCH_API_KEYS", "", "the path of the file with API keys; `create` makes it")
    return env.path("API_KEYS", Path())


def _date(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


COMMANDS: Final = (collector, api_keys)
