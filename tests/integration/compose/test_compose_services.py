"""Every service's command and health check as docker-compose.yml states them; see `project` for what is relocated."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from app import settings
from storage.client import connect
from tests.integration.compose.project import Project, in_order

ORDER = in_order()
STORED_SECONDS = 60.0


@pytest.mark.parametrize("name", ORDER)
def test_the_stated_command_runs_until_the_stated_health_check_succeeds(project: Project, name: str) -> None:
    project.up(name)


def test_a_prompt_sent_to_the_sidecar_is_stored_with_its_embedding(project: Project) -> None:
    for name in ORDER:
        project.up(name)
    port = project.relocation.port("sidecar", 9000)
    url = f"http://127.0.0.1:{port}/v2/models/smollm2/generate_stream"
    body = json.dumps({"text_input": "Name a colour.", "max_tokens": 4}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        assert b"text_output" in answer.read()
    assert _first_row(project, "SELECT model FROM inferences") == ("smollm2",)
    assert _first_row(project, "SELECT model, length(vector) FROM embeddings") == ("smollm2", 384)


@pytest.mark.parametrize("name", [name for name in reversed(ORDER) if name != "migrate"])
def test_sigterm_ends_it_within_its_grace_period_and_the_health_check_notices(project: Project, name: str) -> None:
    project.up(name)
    # A Java program that obeys SIGTERM ends with 128 + 15.
    assert project.stop(name) == (143 if name == "kafka" else 0), project.log(name)
    assert not project.healthy(name)


def _first_row(project: Project, query: str) -> tuple[Any, ...]:
    stated = project.services["worker-enrich"].environment
    client = connect(settings.load(project.relocation.variables("worker-enrich", stated)).store)
    deadline = time.monotonic() + STORED_SECONDS
    try:
        while time.monotonic() < deadline:
            rows = client.query(query).result_rows
            if rows:
                return tuple(rows[0])
            time.sleep(0.1)
        raise AssertionError(f"nothing was stored:\n{project.log('sidecar')}\n{project.log('worker-enrich')}")
    finally:
        client.close()
