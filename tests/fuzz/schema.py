"""What the collector's own OpenAPI document allows, and what it does not: schemathesis sends both."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Err

from ingest.collector.json_values import JSON
from tests.fuzz.tally import Tally
from tests.support.collector import CollectorProcess

_EXAMPLES: Final = 25
_PAUSE_SECONDS: Final = 0.01
_OTHER_STATUSES: Final = frozenset({200, 400, 401, 408, 413, 415, 422, 429, 503})


def send_what_the_schema_says(
    running: CollectorProcess, key: str, tally: Tally, stop: threading.Event, first_seed: int
) -> None:
    """Send cases of every operation, valid and invalid, until `stop`; runs in a thread of its own."""
    document = requests.get(f"{running.base}/openapi.json", timeout=30).json()
    operations: list[Any] = [
        each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations() if not isinstance(each, Err)
    ]
    headers = {"authorization": f"Bearer {key}"}
    number = first_seed
    with requests.Session() as session:
        while not stop.is_set():
            for operation in operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    number += 1
                    _cases(operation, mode, number, running.base, headers, session, tally, stop)


def _cases(
    operation: Any,
    mode: GenerationMode,
    number: int,
    base: str,
    headers: dict[str, str],
    session: requests.Session,
    tally: Tally,
    stop: threading.Event,
) -> None:
    media_type = JSON if JSON in operation.get_request_payload_content_types() else None

    @seed(number)
    @settings(
        max_examples=_EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, media_type=media_type))
    def send(case: Any) -> None:
        if stop.is_set():
            return
        way = f"schema {operation.path}"
        try:
            response = case.call(base_url=base, headers=headers, session=session, timeout=30)
        except (requests.RequestException, schemathesis.errors.SerializationNotPossible, ValueError) as error:
            tally.answered(way, type(error).__name__, {})
            return
        tally.answered(way, response.status_code, response.headers)
        if response.status_code not in _OTHER_STATUSES:
            tally.problem(f"{way} was answered with {response.status_code}, which its document does not name")
        time.sleep(_PAUSE_SECONDS)

    send()
