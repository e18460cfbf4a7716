"""replay: recorded traffic, sent once more with the spacing it had."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from app import settings
from app.cli.replay_options import (
    To,
    event_settings,
    for_kafka,
    for_sidecar,
    names,
    refuse_what_does_nothing,
    replay_settings,
    request_settings,
    which,
)

if TYPE_CHECKING:
    from inferwatch.clock import Clock
    from ingest.replay.run import Trace
    from ingest.replay.schedule import Due
    from ingest.replay.settings import EventSettings, ReplaySettings, RequestSettings
    from ingest.replay.tally import Tally
    from ingest.replay.target import Target


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--to", type=click.Choice(["sidecar", "kafka"]), required=True, help="Requests to a model, or events.")
@which
@names
@for_sidecar
@for_kafka
@click.option("--late-ms", default=100.0, show_default=True, type=click.FloatRange(0), help="Later than this is late.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def replay(context: click.Context, /, file: str, to: To, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Send the traffic of FILE once more, with the spacing that it had.

    FILE is an Azure LLM trace (CSV), a Mooncake trace (JSON lines) or recorded inference events (JSON lines), packed
    with gzip or not; - is standard input. With --to sidecar, each line becomes a real request to a model, through the
    sidecar. With --to kafka, it becomes an event, sent when it would have ended; durations that a trace does not have
    are assumed.

    Exits with 0 when everything was sent and went well, with 1 when something failed, was dropped or Ctrl-C came
    before the end, with 2 when the file or the target cannot be used.

    \b
    Examples:
      inferwatch replay AzureLLMInferenceTrace_conv.csv --to kafka --speed 10
      inferwatch replay toolagent_trace.jsonl --to sidecar --route chat --from 10m --until 20m --concurrency 200
      kcat -C -b kafka:9092 -t inferwatch.inferences -e | inferwatch replay - --to sidecar --speed max --limit 500
      inferwatch replay trace.csv --to kafka --speed 100 --dry-run
    """
    from ingest.replay.run import open_trace
    from ingest.replay.tally import Tally

    refuse_what_does_nothing(context, to)
    wanted = replay_settings(file, given)
    tally = Tally(wanted.late_after)
    made: EventSettings | RequestSettings = event_settings(given) if to == "kafka" else request_settings(given)
    trace = open_trace(wanted, tally)
    if dry_run:
        _say_plan(trace, tally, wanted, to, made, as_json)
        return
    try:
        asyncio.run(_run(trace, wanted, made, tally))
    except BaseException:
        if tally.sent:
            _say_report(trace, tally, wanted, to, as_json)
        raise
    sys.exit(0 if _say_report(trace, tally, wanted, to, as_json) else 1)


async def _run(trace: Trace, wanted: ReplaySettings, made: EventSettings | RequestSettings, tally: Tally) -> None:
    from rich.console import Console

    from inferwatch.clock import SystemClock
    from ingest.replay.lines import file_size
    from ingest.replay.progress import show
    from ingest.replay.run import replay as run

    clock = SystemClock()
    target = await _target(made, tally, clock)
    progress = asyncio.create_task(show(tally, file_size(wanted.path), wanted.window, Console(stderr=True)))
    try:
        with _stopped_by_signals() as stop:
            await run(_dues(trace, wanted, made), target, tally, clock, stop)
    finally:
        progress.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await progress


def _dues(trace: Trace, wanted: ReplaySettings, made: EventSettings | RequestSettings) -> Iterator[Due]:
    from ingest.replay.events import duration
    from ingest.replay.schedule import when_they_arrive, when_they_end
    from ingest.replay.settings import EventSettings

    if isinstance(made, EventSettings):
        return when_they_end(trace.arrivals, wanted.speed, lambda arrival: duration(arrival, made))
    return when_they_arrive(trace.arrivals, wanted.speed)


async def _target(made: EventSettings | RequestSettings, tally: Tally, clock: Clock) -> Target:
    """Return what takes the traffic; there is something that listens."""
    from inferwatch.kafka import KafkaTransport
    from inferwatch.settings import MirrorSettings
    from ingest.replay.settings import RequestSettings
    from ingest.replay.to_kafka import KafkaTarget
    from ingest.replay.to_sidecar import SidecarTarget, check
    from processors.admin import ensure_topics

    if isinstance(made, RequestSettings):
        await check(made.url)
        return SidecarTarget(made, tally, clock)
    kafka = settings.load(os.environ).kafka
    ensure_topics(kafka)
    mirror = MirrorSettings(kafka.bootstrap_servers, service="replay", kafka={**kafka.security, "log_level": 0})
    return KafkaTarget(mirror, made, tally, clock, KafkaTransport, asyncio.sleep)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[asyncio.Event]:
    """Yield what the first Ctrl-C or SIGTERM sets; the second acts as it does elsewhere."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stopping() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, stopping)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _say_report(trace: Trace, tally: Tally, wanted: ReplaySettings, to: To, as_json: bool) -> bool:
    """Print the report; return whether everything went well."""
    from ingest.replay import report as reports

    told = reports.report(tally, trace.form, to, wanted.speed)
    click.echo(json.dumps(told.as_dict()) if as_json else "\n".join(reports.lines(told)))
    return told.complete


def _say_plan(
    trace: Trace, tally: Tally, wanted: ReplaySettings, to: To, made: EventSettings | RequestSettings, as_json: bool
) -> None:
    from ingest.replay import plan as plans
    from ingest.replay.requests import caps
    from ingest.replay.settings import RequestSettings

    told = plans.plan(
        trace.arrivals,
        trace.form,
        wanted.speed,
        lambda arrival: isinstance(made, RequestSettings) and caps(arrival, made),
    )
    told = dataclasses.replace(told, skipped=tally.skipped, disordered=tally.disordered)
    click.echo(json.dumps(told.as_dict()) if as_json else "\n".join(plans.lines(told, to)))


COMMANDS: Final = (replay,)
