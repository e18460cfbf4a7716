"""`inferwatch up` and `inferwatch demo`: the stack, the traffic, the report."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from app import settings as settings_module
from app.demo.clients import Clients
from app.demo.ledger import Ledger
from app.demo.observer import Observer, Seen
from app.demo.report import Report
from app.demo.scenario import REFERENCE_EVENTS, WINDOW_EVENTS, play
from app.demo.traffic import Traffic
from app.demo.verdict import verdict
from app.errors import AppError, FolderNotEmpty
from app.local.stack import Stack, StackSettings, choose_broker, configure
from inferwatch import Mirror
from storage.errors import StorageError

Say = Callable[[str], None]
T = TypeVar("T")

DEMO_FOLDER: Final = Path(".inferwatch/demo")
_DRAIN_SECONDS: Final = 30.0
_DEMO: Final = {
    "INFERWATCH_DRIFT_REFERENCE_EVENTS": str(REFERENCE_EVENTS),
    "INFERWATCH_DRIFT_WINDOWS": f"{WINDOW_EVENTS},{2 * WINDOW_EVENTS}",
    "INFERWATCH_USER_HASH_SECRET": "a secret of the demo",
}
"""What differs from an installation: little traffic, so a small reference."""


def up(environ: Mapping[str, str], data_dir: Path, say: Say) -> None:
    """Start everything, wait for Ctrl-C, stop everything."""
    with _until_interrupted(), _stack(environ, data_dir, say) as (stack, settings):
        sidecar = settings.loaded.sidecar
        say(f"Sidecar: HTTP at {sidecar.host}:{sidecar.http_port}, gRPC at {sidecar.host}:{sidecar.grpc_port}")
        say(f"Kafka: {settings.loaded.kafka.bootstrap_servers}   Logs: {data_dir.resolve() / 'logs'}")
        say(f"Dashboard: {settings.dashboard_page}")
        _wait_for_the_end(stack)


def show(environ: Mapping[str, str], data_dir: Path | None, say: Say) -> None:
    """Start everything, send traffic with incidents, go on with normal traffic until Ctrl-C.

    Without a folder it uses one of its own and empties it first: what the last demo learnt would hide this one's drift.
    """
    local_slack = not environ.get("SLACK_WEBHOOK_URL", "").strip()
    variables, folder, fresh = {**environ, **_DEMO}, data_dir or DEMO_FOLDER, data_dir is None
    stack_of_demo = _stack(variables, folder, say, local_slack=local_slack, fresh=fresh)
    with _until_interrupted(), stack_of_demo as (stack, settings):
        say("Real prompts are on their way. Within minutes three incidents happen in them, one after another:")
        say("personal data in prompts, a shift of topic (which also triggers retraining), and errors.")
        say(f"Datasets: {settings.loaded.processors.retrain.folder}   Logs: {settings.data_dir / 'logs'}")
        say("Ctrl-C stops everything.")
        say(f"Slack messages: {settings.slack_page if local_slack else 'in your Slack'}")
        say(f"Dashboard: {settings.dashboard_page}")
        _run(stack, _traffic(settings, stack, lambda line: None, go_on=True))


def once(environ: Mapping[str, str], data_dir: Path | None, say: Say) -> Report:
    """Start everything on free ports, play the scenario, stop everything, report."""
    with contextlib.ExitStack() as cleanup:
        if data_dir is not None and data_dir.exists() and any(data_dir.iterdir()):
            raise FolderNotEmpty(data_dir)
        folder = data_dir or Path(tempfile.mkdtemp(prefix="inferwatch-demo-"))
        kept = cleanup.enter_context(contextlib.ExitStack())
        kept.callback(say, f"Logs and data are kept in {folder}")
        variables = {**environ, **_DEMO}
        started = time.monotonic()
        with _stack(variables, folder, say, any_ports=True, local_slack=True) as (stack, settings):
            say(f"Everything runs after {time.monotonic() - started:.1f} s")
            ledger, seen = _run(stack, _traffic(settings, stack, say, go_on=False))
            say("Comparing what was sent with what is stored")
            report = verdict(settings, ledger, seen)
        say(f"Stopped after {time.monotonic() - started:.1f} s")
        if report.passed and data_dir is None:
            kept.pop_all()
            shutil.rmtree(folder, ignore_errors=True)
        return report


@contextmanager
def _stack(
    environ: Mapping[str, str],
    data_dir: Path,
    say: Say,
    *,
    any_ports: bool = False,
    local_slack: bool = False,
    fresh: bool = False,
) -> Iterator[tuple[Stack, StackSettings]]:
    """A running stack that is stopped whatever happens; SIGTERM counts as Ctrl-C."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    # A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    loaded = settings_module.load(environ)
    embedded = choose_broker(say, loaded.broker.cache_dir, wanted=loaded.kafka.embedded)
    settings = configure(environ, data_dir, any_ports=any_ports, local_slack=local_slack, embedded_broker=embedded)
    if fresh:
        # Only now: whoever uses the folder also holds its ports.
        shutil.rmtree(data_dir, ignore_errors=True)
    stack = Stack(settings, environ, say)
    try:
        yield stack, stack.start()
    finally:
        # Stopping is not to be interrupted: what would be left behind is worse than a few seconds.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("Stopping")
        killed = stack.stop()
        if killed:
            say(f"These did not stop by themselves in time and were killed: {', '.join(killed)}")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """Ctrl-C is how it ends, not an error."""
    with contextlib.suppress(KeyboardInterrupt):
        yield


def _run(stack: Stack, traffic: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an error of ours comes out as it is, not in a group, and a service that ended before all else."""
    try:
        return asyncio.run(traffic)
    except ExceptionGroup as group:
        stack.check()
        errors: BaseException = group
        while isinstance(errors, ExceptionGroup):
            ours = errors.subgroup((AppError, StorageError))
            errors = (ours or errors).exceptions[0]
        raise errors from group


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _wait_for_the_end(stack: Stack) -> None:
    never = threading.Event()
    while not never.wait(1.0):
        stack.check()


async def _traffic(settings: StackSettings, stack: Stack, say: Say, *, go_on: bool) -> tuple[Ledger, Seen]:
    loaded, ledger, rng = settings.loaded, Ledger(), random.Random(7)  # noqa: S311 - prompts, not secrets
    mirror = Mirror(loaded.kafka.bootstrap_servers, service="support-app", team="retail", flush_timeout=10.0)
    sidecar = loaded.sidecar
    clients = Clients(
        loaded.triton_http, f"{sidecar.host}:{sidecar.http_port}", f"{sidecar.host}:{sidecar.grpc_port}", mirror
    )
    traffic = Traffic(clients, ledger, rng)
    observer = Observer(loaded.store, settings.slack_page if settings.slack_receiver else None)
    async with _closing(mirror, clients), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_checking(stack))
        tasks.create_task(observer.run())
        asking = tasks.create_task(traffic.run())
        await play(traffic, ledger, observer, say, calm_seconds=20.0 if go_on else 3.0)
        if go_on:
            await asking
        traffic.stop()
        await asking
        await asyncio.to_thread(mirror.close)
        await _all_stored(ledger, observer)
        observer.stop()
        watching.cancel()
    return ledger, observer.seen


@asynccontextmanager
async def _closing(mirror: Mirror, clients: Clients) -> AsyncIterator[None]:
    """Deliver what was mirrored while Kafka is still there, also after Ctrl-C."""
    try:
        yield
    finally:
        await clients.aclose()
        mirror.close()


async def _checking(stack: Stack) -> None:
    while True:
        stack.check()
        await asyncio.sleep(1.0)


async def _all_stored(ledger: Ledger, observer: Observer) -> None:
    """Wait until every event is stored, or none came for a while."""
    wanted = {entry.event_id for entry in ledger.entries if entry.event_id}
    stored, deadline = -1, 0.0
    while not wanted <= observer.seen.events.keys():
        if len(observer.seen.events) > stored:
            stored, deadline = len(observer.seen.events), time.monotonic() + _DRAIN_SECONDS
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.1)
