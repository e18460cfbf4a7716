"""Records to a collector by HTTP, where Kafka is out of reach."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - else imported by the first request, and a process forked meanwhile gets half of it
import functools
import gzip
import http.client
import math
import ssl
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from inferwatch import topics
from inferwatch.http_answer import TimedResponse
from inferwatch.retry import Answer, Delivered, Lost, Split, judge
from inferwatch.settings import MirrorSettings
from inferwatch.transport import Record, Report

_PATHS: Final = {
    topics.INFERENCES: "/v1/events",
    topics.FEEDBACK: "/v1/feedback",
    topics.TELEMETRY: "/v1/telemetry",
}
_QUEUED_RECORDS: Final = 64
_QUEUED_BYTES: Final = 32 << 20
_ANSWER_BYTES: Final = 64 << 10
_REQUEST_SECONDS: Final = 10.0
_GZIP_LEVEL: Final = 1


@dataclass(slots=True)
class _Waiting:
    """A record that is not acknowledged. Its id lets the collector recognise one that comes again."""

    record: Record
    expires: float
    attempts: int = 0
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)


class HttpTransport:
    """Sends one record after the other over one connection; holds at most `_QUEUED_RECORDS` of `_QUEUED_BYTES`.

    What the collector refuses for good is lost. What it cannot take now, or leaves unanswered, is sent again, after the
    pause that it asks for, until `delivery_timeout` has passed since the record came.
    """

    def __init__(self, settings: MirrorSettings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._waiting: deque[_Waiting] = deque()
        self._not_before = 0.0
        parts = urlsplit(settings.collector_url)
        self._base = parts.path.rstrip("/")
        self._headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
        if settings.api_key:
            self._headers["authorization"] = f"Bearer {settings.api_key}"
        host = parts.hostname or ""
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=settings.ca_file)
            self._connection = http.client.HTTPSConnection(host, parts.port or 443, context=context)
        else:
            # With a port always: without, the end of an IPv6 address would be taken for one.
            self._connection = http.client.HTTPConnection(host, parts.port or 80)

    def send(self, record: Record) -> None:
        """Queue a record. Raises `BufferError` when the queue is full."""
        held = sum(len(waiting.record.value) for waiting in self._waiting)
        if len(self._waiting) >= _QUEUED_RECORDS or (held and held + len(record.value) > _QUEUED_BYTES):
            raise BufferError
        self._waiting.append(_Waiting(record, time.monotonic() + self._settings.delivery_timeout))

    def poll(self, timeout: float) -> None:
        """Send what is queued until all of it is answered, or the collector wants a pause; then wait `timeout`.

        Where the collector is slow, the rest is left for the next call; what was begun may still be answered.
        """
        self._work(time.monotonic() + _REQUEST_SECONDS)
        if timeout and self._waiting:
            time.sleep(max(0.0, min(timeout, self._not_before - time.monotonic())))

    def close(self, timeout: float) -> None:
        """Send what is queued, for at most `timeout` seconds, then report what is left as lost."""
        deadline = time.monotonic() + timeout
        while self._waiting and (now := time.monotonic()) < deadline:
            if now < self._not_before:
                time.sleep(min(self._not_before, deadline) - now)
            self._work(deadline, deadline)
        while self._waiting:
            self._report(self._waiting.popleft().record, "not acknowledged before the end")
        self._connection.close()

    def _work(self, begin_before: float, end_by: float = math.inf) -> None:
        while self._waiting and self._not_before <= (now := time.monotonic()) < begin_before:
            first = self._waiting[0]
            if now > first.expires:
                self._waiting.popleft()
                self._report(first.record, "not acknowledged in time")
            else:
                self._settle(first, self._post(first, min(now + _REQUEST_SECONDS, end_by)))

    def _settle(self, first: _Waiting, answer: Answer) -> None:
        now = time.monotonic()
        match judge(answer, first.attempts, first.record.events):
            case Delivered():
                self._waiting.popleft()
                self._report(first.record, None)
            case Lost(reason):
                self._waiting.popleft()
                self._report(first.record, reason)
            case Split():
                # One bad event makes the collector refuse its neighbours too: alone, each is judged by itself.
                self._waiting.popleft()
                lines = first.record.value.split(b"\n")
                parts = [Record(first.record.topic, line, 1, first.record.key) for line in lines]
                self._waiting.extendleft(_Waiting(part, first.expires) for part in reversed(parts))
            case retry:
                first.attempts += 1
                self._not_before = now + retry.after
                if self._not_before > first.expires:
                    self._waiting.popleft()
                    self._report(first.record, retry.reason)

    def _post(self, waiting: _Waiting, deadline: float) -> Answer:
        """Return the collector's answer, or what went wrong instead; a broken connection is opened anew by the next."""
        connection = self._connection
        connection.timeout = max(0.1, deadline - time.monotonic())
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        connection.response_class = functools.partial(TimedResponse, deadline=deadline)  # type: ignore[assignment]  # is only called
        headers = {**self._headers, "idempotency-key": waiting.request_id}
        body = gzip.compress(waiting.record.value, _GZIP_LEVEL)
        try:
            connection.request("POST", self._base + _PATHS[waiting.record.topic], body, headers)
            response = connection.getresponse()
            response.read(_ANSWER_BYTES)
            if not response.isclosed():
                connection.close()  # an answer of any length comes from something else than a collector
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: a name of a host that has no form in DNS, and whatever else `http.client` finds wrong.
            connection.close()
            return Answer(0, None, type(error).__name__)
        return Answer(response.status, response.headers.get("retry-after"))
