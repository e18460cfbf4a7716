"""Requests through the sidecar to the model, sent whether or not earlier ones are answered (an open loop)."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from inferwatch.clock import Clock
from ingest.replay.errors import TargetAwayError
from ingest.replay.requests import Request, can_be_asked, request_of
from ingest.replay.schedule import Due
from ingest.replay.settings import RequestSettings
from ingest.replay.tally import Tally
from ingest.replay.target import Start

_LONGEST_CHUNK: Final = 4 << 20
_CONNECT_SECONDS: Final = 10.0


class SidecarTarget:
    """Posts requests, at most `concurrency` at the same time; beyond that they wait for a free place, in their order.

    Make it inside a running event loop.
    """

    def __init__(self, settings: RequestSettings, tally: Tally, clock: Clock) -> None:
        self._settings = settings
        self._tally = tally
        self._clock = clock
        self._places = asyncio.Semaphore(settings.concurrency)
        self._asking: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=settings.timeout, sock_connect=_CONNECT_SECONDS),
            read_bufsize=_LONGEST_CHUNK,
        )

    async def send(self, due: Due, start: Start) -> None:
        """Begin a request, once there is a place for it; drop what cannot be asked and, where wanted, what is late."""
        if not can_be_asked(due.arrival):
            self._tally.dropped["no text was generated"] += 1
            return
        await self._places.acquire()
        after = self._clock.elapsed() - start.elapsed
        if self._settings.drop_late and due.sends is not None and after - due.sends > self._tally.late_after:
            self._places.release()
            self._tally.dropped["too late by its turn"] += 1
            return
        request = request_of(due.arrival, self._settings)
        self._tally.capped += request.capped
        self._tally.note_sent(due, after)
        task = asyncio.create_task(self._ask(request))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        # Lets it begin, also where there is always something due.
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """Do nothing: requests are not held."""

    async def answered(self) -> None:
        """Wait for all answers."""
        while self._asking:
            await asyncio.wait(self._asking)

    async def close(self) -> None:
        """Leave requests that are not answered, and close all connections."""
        for task in tuple(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._session.close()

    async def _ask(self, request: Request) -> None:
        failure: str | None = "interrupted"
        try:
            failure = await self._failure(request)
        except TimeoutError:
            failure = "timeout"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _named(error)
        finally:
            self._places.release()
            if failure is None:
                self._tally.ok += 1
            else:
                self._tally.failed[failure] += 1

    async def _failure(self, request: Request) -> str | None:
        """Post a request and read its whole answer; return why it is not well, None where it is."""
        url = URL(self._settings.url + request.path, encoded=True)
        body, headers = msgspec.json.encode(request.body), {"content-type": "application/json", **request.headers}
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status >= 300:
                return f"HTTP {answer.status}"
            if answer.content_type != "text/event-stream":
                return "error in the answer" if _is_error(await answer.read()) else None
            failed = False
            async for line in answer.content:
                # The status was sent before the model failed: only the stream can tell.
                failed = failed or (line.startswith(b"data:") and _is_error(line[5:]))
            return "error in the stream" if failed else None


async def check(url: str, timeout: float = _CONNECT_SECONDS) -> None:
    """Look whether anything listens at a URL.

    Raises:
        TargetAwayError: nothing does.
    """
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout))
    try:
        async with session, session.get(url, allow_redirects=False):
            pass
    except TimeoutError as error:
        raise TargetAwayError(url, f"no answer within {timeout:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise TargetAwayError(url, _named(error)) from error


def _named(error: Exception) -> str:
    """Return a name that is the same for every failure of one kind."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return type(error).__name__


def _is_error(data: bytes) -> bool:
    try:
        given: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # OpenAI's last chunk is the word [DONE].
        return False
    return isinstance(given, dict) and given.get("error") is not None
