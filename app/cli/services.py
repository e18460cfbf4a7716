"""One service each: the commands that docker-compose and `inferwatch up` start."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import Final, cast

import click

from app import settings
from app.cli.listening import until_stopped
from app.cli.secret import say_if_secret_is_default
from app.environment import Environment
from app.errors import PortTaken
from app.settings import Settings

log: Final = logging.getLogger("inferwatch")


def _load() -> Settings:
    return settings.load(os.environ)


@click.command()
def store() -> None:
    """Run the embedded ClickHouse engine behind its HTTP interface.

    INFERWATCH_STORE_PATH is its folder, INFERWATCH_STORE_PORT its port.
    """
    from storage.embedded.errors import PortInUse
    from storage.embedded.server import serve

    try:
        serve(_load().embedded_store)
    except PortInUse as error:
        raise PortTaken("the store", error.host, error.port, "INFERWATCH_STORE_PORT") from error


@click.command()
@click.option("--embedded", is_flag=True, envvar="INFERWATCH_KAFKA_EMBEDDED", help="In memory, without Java.")
def broker(embedded: bool) -> None:
    """Run a Kafka broker on this machine: Apache Kafka on Java 17 or, with --embedded, one in memory."""
    from app.local import kafka
    from app.local.mock_broker import MockBrokerSettings, serve
    from app.local.ports import require_free
    from app.local.stack import embedded_broker_file

    loaded = _load()
    if embedded:
        serve(MockBrokerSettings(embedded_broker_file(loaded.data_dir)))
        return
    require_free("the broker", loaded.broker.host, loaded.broker.port, "INFERWATCH_BROKER_PORT")
    kafka.fetch(loaded.broker.cache_dir, lambda line: click.echo(line, err=True))
    launch = kafka.prepare(loaded.broker)
    os.execvpe(launch.argv[0], launch.argv, {**os.environ, **launch.env})  # noqa: S606 - java is found on PATH


@click.command()
def triton() -> None:
    """Run Triton on the CPU of this machine with SmolLM2 and MiniLM."""
    from serving import errors
    from serving.launch import prepare

    try:
        launch = prepare(_load().triton)
    except errors.PortTaken as error:
        variable = f"INFERWATCH_TRITON_{error.purpose.upper()}_PORT"
        raise PortTaken("Triton", error.host, error.port, variable) from error
    os.execve(launch.argv[0], launch.argv, launch.env)  # noqa: S606 - a path that `prepare` found


@click.command()
@click.argument("role", type=click.Choice(["enrich", "detect", "alert"]))
def worker(role: str) -> None:
    """Run a stream processor.

    \b
    enrich   decodes, prices, masks and embeds inferences, masks feedback; writes rows, rollups and measurements,
             and what mirrors and model servers tell of themselves
    detect   watches measurements for drift and anomalies
    alert    evaluates rules, tells people, triggers retraining
    """
    from app.schema import bring_up_to_date
    from processors.admin import ensure_topics
    from processors.app import Role, build, check
    from processors.run import run

    loaded = _load()
    processors = loaded.processors
    say_if_secret_is_default(processors.enrich.user_hash_secret)
    check(cast(Role, role), processors)
    bring_up_to_date(processors.store, loaded.retention)
    ensure_topics(processors.kafka)
    run(build(cast(Role, role), processors))


@click.command()
def sidecar() -> None:
    """Run the reverse proxy in front of Triton that mirrors inferences to Kafka."""
    import uvloop

    from ingest.sidecar.sidecar import Ports, run

    loaded = _load().sidecar

    def started(ports: Ports) -> None:
        log.info(
            "Listening on %s: HTTP %d for %s, gRPC %d for %s, metrics %d; mirroring to Kafka at %s",
            *(loaded.host, ports.http, loaded.upstream_http, ports.grpc, loaded.upstream_grpc, ports.admin),
            loaded.mirror.bootstrap_servers,
        )

    async def serve(stop: asyncio.Event) -> None:
        await run(loaded, stop, started=started)

    variables = {f"{name}_port": f"INFERWATCH_SIDECAR_{name.upper()}_PORT" for name in ("http", "grpc", "admin")}
    uvloop.run(until_stopped("the sidecar", serve, variables))


@click.command()
def dashboard() -> None:
    """Run the dashboard."""
    from app.local.ports import require_free
    from dashboard.run import command
    from storage.errors import SchemaTooOld, StoreUnavailable
    from storage.migrate import check

    loaded = _load().dashboard
    require_free("the dashboard", loaded.host, loaded.port, "INFERWATCH_DASHBOARD_PORT")
    # A store that is away, or whose tables a worker is still to make, is said on the pages.
    with suppress(StoreUnavailable, SchemaTooOld):
        check(loaded.store)
    launch = command(loaded)
    os.execve(launch.argv[0], launch.argv, {**os.environ, **launch.environment})  # noqa: S606 - our own interpreter


@click.command("slack-receiver")
def slack_receiver() -> None:
    """Run a local stand-in for Slack's incoming webhooks: checks messages as Slack does and shows them on a page."""
    from app.demo.slack_receiver import serve

    port = Environment(os.environ).port("SLACK_PORT", 8502)
    try:
        serve("127.0.0.1", port)
    except OSError as error:
        raise PortTaken("the Slack receiver", "127.0.0.1", port, "INFERWATCH_SLACK_PORT") from error


COMMANDS: Final = (store, broker, triton, worker, sidecar, dashboard, slack_receiver)
