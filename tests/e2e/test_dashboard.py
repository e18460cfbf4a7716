"""Every page in a real browser, over a real store, with numbers that the test wrote."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from dashboard.config import DashboardSettings
from dashboard.run import HEALTH, command, url
from detectors.pii.scanner import Scanner
from inferwatch import ServerSample
from inferwatch.clock import SystemClock
from processors.records import Position
from processors.settings import EnrichSettings
from processors.telemetry.contents import Telemetry
from storage.rollups import Rollups
from storage.sink import Block, ClickHouseSink
from tests.support import store_rows
from tests.support.clickhouse import RunningStore, running_store

START_SECONDS = 60.0
PATIENCE_MS = 30_000
EVENT = uuid.UUID("01920000-0000-7000-8000-000000000001")


def incident(now: datetime) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Nine inferences and one known one, an open alert, a detection and a run."""
    plain = {"started_at": now - timedelta(seconds=30), "duration": 1.0, "input_tokens": 100, "output_tokens": 50}
    known = {
        **plain,
        "event_id": EVENT,
        "status": "error",
        "error_type": "InferenceServerException",
        "error_message": "the queue was full",
        "duration": 2.5,
        "time_to_first_token": 0.321,
        "cost": Decimal("1.25"),
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "input_messages": store_rows.chat(("user", "zebra, write to <EMAIL_ADDRESS>")),
        "pii": [("EMAIL_ADDRESS", "input", 1)],
    }
    alert = uuid.uuid4()
    moment = now - timedelta(minutes=3)
    tables = {
        "alerts": [store_rows.transition(alert, "firing", moment)],
        "detections": [store_rows.detection(moment)],
        "retraining_runs": [store_rows.retraining_run(moment, alert)],
    }
    return [*([plain] * 9), known], tables


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(tmp_path_factory.mktemp("store") / "data") as running:
        sink = ClickHouseSink(store_rows.prepared(running.url))
        rows, tables = incident(datetime.now(UTC))
        sink.write("inferences", store_rows.inferences(rows))
        for table, found in tables.items():
            sink.write(table, store_rows.columns(found))
        sink.close()
        with closing(Rollups(store_rows.prepared(running.url), SystemClock())) as rollups:
            while any(step.more for step in rollups.advance().values()):
                pass
        yield running


@pytest.fixture(scope="module")
def dashboard(store: RunningStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard's own process; its address."""
    settings = DashboardSettings(store=store_rows.prepared(store.url), port=free_port(), refresh_seconds=1.0)
    launch = command(settings)
    log = tmp_path_factory.mktemp("dashboard") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            launch.argv, env={**os.environ, **launch.environment}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(url(settings) + HEALTH, process, log)
        yield url(settings)
    finally:
        process.terminate()
        process.wait(10)
    assert "Traceback" not in log.read_text(errors="replace"), log.read_text(errors="replace")[-4_000:]


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the dashboard did not start: {log.read_text(errors='replace')[-2_000:]}")


def says(page: Any, text: str) -> None:
    page.get_by_text(text).first.wait_for(timeout=PATIENCE_MS)


def metric(page: Any, label: str) -> str:
    found = page.get_by_test_id("stMetric").filter(has_text=label)
    found.first.wait_for(timeout=PATIENCE_MS)
    return str(found.first.get_by_test_id("stMetricValue").inner_text())


def test_the_overview_shows_what_is_in_the_store(page: Any, dashboard: str) -> None:
    page.goto(f"{dashboard}/?model=smollm2")
    assert metric(page, "Requests") == "10"
    assert metric(page, "Errors · 1 request") == "10.0 %"
    assert metric(page, "First token p50") == "321 ms"
    assert metric(page, "Tokens · 1,000 in · 500 out") == "1,500"
    assert metric(page, "Cost · unknown for 90.0 %") == "$1.25"
    assert metric(page, "PII · 1 request") == "10.0 %"
    says(page, "25% of requests failed in the last minute")
    says(page, "threshold 0.012")
    page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first.wait_for(timeout=PATIENCE_MS)


def test_figures_move_by_themselves_when_traffic_arrives(page: Any, dashboard: str, store: RunningStore) -> None:
    page.goto(f"{dashboard}/?model=late-model")
    says(page, "No traffic of late-model in the last 15 minutes.")
    sink = ClickHouseSink(store_rows.prepared(store.url))
    now = datetime.now(UTC)
    sink.write("inferences", store_rows.inferences([{"started_at": now, "model": "late-model"}], arrived=now))
    sink.close()
    page.get_by_test_id("stMetricValue").get_by_text("1", exact=True).wait_for(timeout=PATIENCE_MS)


def test_the_explorer_finds_one_inference_by_its_text(page: Any, dashboard: str) -> None:
    page.goto(f"{dashboard}/explorer?q=ZEBRA")
    says(page, "1 inference in the last 15 minutes · 1 error · 100 tokens in, 50 out · cost $1.25")


def test_a_row_that_is_clicked_opens_and_is_in_the_address(page: Any, dashboard: str) -> None:
    page.goto(f"{dashboard}/explorer?status=error")
    says(page, "Select a row to see everything about it.")
    page.get_by_test_id("stDataFrame").locator(".dvn-scroller").click(position={"x": 16, "y": 52})
    says(page, "the queue was full")
    page.wait_for_url(f"**event={EVENT}**", timeout=PATIENCE_MS)


def test_a_link_opens_an_inference_with_its_masked_messages(page: Any, dashboard: str) -> None:
    page.goto(f"{dashboard}/explorer?event={EVENT}")
    says(page, "zebra, write to <EMAIL_ADDRESS>")
    says(page, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert metric(page, "First token") == "321 ms"
    assert metric(page, "Cost") == "$1.25"


def test_drift_and_alerts_show_the_open_alert_and_the_run(page: Any, dashboard: str) -> None:
    page.goto(f"{dashboard}/alerts")
    says(page, "25% of requests failed in the last minute")
    says(page, "Bars are alerts, diamonds are detections of drift.")
    says(page, "Retraining")
    page.get_by_test_id("stDataFrame").nth(2).wait_for(timeout=PATIENCE_MS)


def test_servers_say_why_a_model_is_slow_and_show_the_one_that_is_chosen(
    page: Any, dashboard: str, store: RunningStore
) -> None:
    write_samples(store, ("smollm2", 3.0, 1.0, 9), ("minilm", 0.0, 0.02, 2))
    page.goto(f"{dashboard}/servers")
    says(page, "Slow because queueing")
    says(page, "A request takes 4.00 s on average")
    says(page, "Energy, cost and carbon: not reported.")
    says(page, "No mirror told of a loss in the last 15 minutes.")
    page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first.wait_for(timeout=PATIENCE_MS)
    page.get_by_test_id("stMain").get_by_role("combobox").click()
    page.get_by_role("option", name="minilm").click()
    says(page, "Not slowed by queueing")
    says(page, "A request takes 20.0 ms on average")


def write_samples(store: RunningStore, *models: tuple[str, float, float, int]) -> None:
    """Say of models how long each of some requests waited and was computed."""
    now = datetime.now(UTC)
    given = [
        ServerSample(
            sample_id=str(uuid.uuid4()),
            at=now.timestamp() - 20,
            interval=10.0,
            instance="triton:8002",
            environment="production",
            model=model,
            requests=requests,
            queue_time=queue * requests,
            compute_input_time=0.0,
            compute_infer_time=compute * requests,
            compute_output_time=0.0,
        )
        for model, queue, compute, requests in models
    ]
    contents = Telemetry(EnrichSettings(), Scanner())
    rows = contents.rows_of("server_samples", [(Position(0, n, 0), one) for n, one in enumerate(given)])
    sink = ClickHouseSink(store_rows.prepared(store.url))
    sink.append("server_samples", Block("topic", 0, -1, now, rows))
    sink.close()


def test_following_shows_new_inferences_until_one_is_opened(page: Any, dashboard: str, store: RunningStore) -> None:
    page.goto(f"{dashboard}/explorer?team=followed")
    page.get_by_text("Follow").click()
    says(page, "No inference in the last 15 minutes matches these filters.")
    sink = ClickHouseSink(store_rows.prepared(store.url))
    row = {"started_at": datetime.now(UTC), "team": "followed", "model": "followed", "trace_id": "f00d"}
    sink.write("inferences", store_rows.inferences([row]))
    sink.close()
    says(page, "1 inference in the last 15 minutes")
    page.get_by_test_id("stDataFrame").locator(".dvn-scroller").click(position={"x": 16, "y": 52})
    says(page, "f00d")
    expect(page.get_by_role("switch", name="Follow")).not_to_be_checked()


def test_the_list_stands_still_while_one_is_opened(page: Any, dashboard: str, store: RunningStore) -> None:
    sink = ClickHouseSink(store_rows.prepared(store.url))
    first = {"started_at": datetime.now(UTC), "team": "still", "model": "still", "trace_id": "ace0"}
    sink.write("inferences", store_rows.inferences([first]))
    page.goto(f"{dashboard}/explorer?team=still")
    says(page, "1 inference in the last 15 minutes")
    page.get_by_test_id("stDataFrame").wait_for(timeout=PATIENCE_MS)
    later = {**first, "started_at": datetime.now(UTC), "trace_id": "bad0"}
    sink.write("inferences", store_rows.inferences([later]))
    sink.close()
    page.get_by_test_id("stDataFrame").locator(".dvn-scroller").click(position={"x": 16, "y": 52})
    says(page, "ace0")
    says(page, "1 inference in the last 15 minutes")
    page.get_by_role("button", name="Newest").click()
    says(page, "2 inferences in the last 15 minutes")


def test_filters_stay_when_the_page_changes(page: Any, dashboard: str) -> None:
    page.goto(f"{dashboard}/?range=1h&model=smollm2")
    assert metric(page, "Requests") == "10"
    page.get_by_role("link", name="Explorer").click()
    says(page, "10 inferences in the last hour")


def test_without_a_store_every_page_says_where_it_should_be_and_comes_back(
    page: Any, dashboard: str, store: RunningStore
) -> None:
    store.stop()
    for path in ("/", "/explorer", "/servers", "/alerts"):
        page.goto(dashboard + path)
        says(page, f"The store at {store.url} does not answer")
    page.goto(dashboard + "/explorer")
    says(page, f"The store at {store.url} does not answer")
    store.start()
    says(page, "inferences in the last 15 minutes")
