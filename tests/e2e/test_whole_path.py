"""Everything on this machine, from a prompt to a number in a real browser and a message in Slack's form."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.local.stack import Stack, StackSettings, configure
from inferwatch import Mirror
from tests.support.needs import need_kafka
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 60_000
KEYS = {
    "sources", "lost", "repeated", "unmasked", "missing", "latency", "cost", "pii", "alerts", "retraining", "freshness"
}  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackSettings]:
    need_kafka()
    folder = tmp_path_factory.mktemp("stack")
    settings = configure(os.environ, folder, any_ports=True, local_slack=True, embedded_broker=False)
    running = Stack(settings, os.environ, print)
    try:
        yield running.start()
    finally:
        pids = running.pids()
        running.stop()
        assert not [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def ask_through_the_sidecar(stack: StackSettings, prompt: str) -> str:
    """Ask the real model; return the id of the event that the sidecar made."""
    address = f"{stack.loaded.sidecar.host}:{stack.loaded.sidecar.http_port}"
    request = urllib.request.Request(
        f"http://{address}/v2/models/smollm2/generate_stream",
        json.dumps({"text_input": prompt, "max_tokens": 5, "stream": True}).encode(),
        {"Content-Type": "application/json", "x-inferwatch-team": "browsers"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert b"text_output" in response.read()
        return str(response.headers["x-inferwatch-event-id"])


def messages(stack: StackSettings) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{stack.slack_page}/messages", timeout=10) as response:
        found = json.load(response)
    assert found["refused"] == []
    return list(found["messages"])


def test_what_was_asked_is_counted_on_the_dashboard_masked_in_the_explorer_and_told_in_slack(
    stack: StackSettings, page: Page
) -> None:
    with Mirror(stack.loaded.kafka.bootstrap_servers, service="e2e", team="browsers") as mirror:
        for number in range(36):
            with mirror.inference("smollm2", input=f"write to ada{number}@example.org") as call:
                call.output("done")
    for number in range(4):
        ask_through_the_sidecar(stack, f"Say hello to grace{number}@example.org.")

    page.goto(stack.dashboard_page)
    requests = page.get_by_test_id("stMetric").filter(has_text=re.compile("^Requests"))
    expect(requests.get_by_test_id("stMetricValue")).to_have_text("40", timeout=PATIENCE_MS)
    personal = page.get_by_test_id("stMetric").filter(has_text=re.compile("^PII"))
    expect(personal.get_by_test_id("stMetricValue")).to_have_text("100 %", timeout=PATIENCE_MS)

    page.goto(f"{stack.dashboard_page}/explorer?q=grace3")
    expect(page.get_by_text("No inference in the last 15 minutes matches")).to_be_visible(timeout=PATIENCE_MS)

    wait_for(lambda: any("pii-in-prompts" in m["payload"]["text"] for m in messages(stack)), "a message about PII")
    page.goto(f"{stack.dashboard_page}/alerts")
    expect(page.get_by_text("rule pii-in-prompts").first).to_be_visible(timeout=PATIENCE_MS)
    page.goto(stack.slack_page)
    expect(page.get_by_text("pii-in-prompts · smollm2")).to_be_visible()


@pytest.mark.timeout(420)
def test_the_demo_loses_repeats_and_leaks_nothing_and_leaves_no_process(tmp_path: Path) -> None:
    need_kafka()
    mark = f"INFERWATCH_E2E_MARK={uuid.uuid4()}"
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo", "--once", "--json", "--data-dir", str(tmp_path / "demo")],
        cwd=ROOT,
        env={**os.environ, **dict([mark.split("=")])},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report.keys() == KEYS
    assert (report["lost"], report["repeated"], report["unmasked"], report["missing"]) == (0, 0, 0, [])
    assert report["sources"].keys() == {"sdk", "sidecar-http", "sidecar-grpc"}
    dataset = Path(report["retraining"][0]["dataset"]).read_text().splitlines()
    assert len(dataset) == report["retraining"][0]["rows"] > 0
    assert "messages" in json.loads(dataset[0])
    assert not processes_with(mark)


def processes_with(mark: str) -> list[str]:
    """Return the command lines of processes that inherited an environment variable."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
