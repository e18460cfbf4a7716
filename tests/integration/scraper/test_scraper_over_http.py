"""The scraper and servers that a test makes up: GPUs, several servers, answers that are no answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from ingest.errors import PortTakenError
from ingest.scraper import fetch
from ingest.scraper.scraper import Scraper, run
from ingest.scraper.settings import ScraperSettings, ServerAddress
from tests.integration.scraper.scraping import Kept, asked, scraping
from tests.support.triton_says import GPU, METRICS
from tests.support.waiting import until

NOWHERE = "127.0.0.1:1"


class MadeUp:
    """A server whose metrics are whatever `text` says; it hangs while `gate` is closed."""

    def __init__(self) -> None:
        self.text, self.status = METRICS, 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.address = ""

    async def answer(self, _request: web.Request) -> web.Response:
        await self.gate.wait()
        return web.Response(text=self.text, status=self.status)


@contextlib.asynccontextmanager
async def made_up() -> AsyncIterator[MadeUp]:
    server = MadeUp()
    app = web.Application()
    app.router.add_get("/metrics", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.address = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.gate.set()
        await runner.cleanup()


async def test_a_gpu_is_a_device_and_its_energy_is_what_was_added() -> None:
    async with made_up() as server, scraping([ServerAddress(server.address)]) as (_, kept):
        server.text = METRICS.replace("90123.456", "90223.956")
        await until(lambda: any(one.energy for one in kept.samples), "energy")
    gpu = [one for one in kept.samples if one.device == GPU]
    assert sum(one.energy or 0 for one in gpu) == pytest.approx(100.5)
    assert (gpu[-1].power, gpu[-1].power_limit, gpu[-1].utilisation) == (412.519, 700.0, 0.87)
    assert gpu[-1].environment == "prod"


async def test_a_server_that_hangs_or_is_not_there_holds_up_no_other() -> None:
    async with made_up() as well, made_up() as stuck:
        stuck.gate.clear()
        addresses = [ServerAddress(each) for each in (well.address, stuck.address, NOWHERE)]
        async with scraping(addresses, timeout=0.05) as (scraper, kept):
            await until(lambda: len(kept.of("resnet")) >= 3, "samples of the one that answers")
            await until(lambda: scraper.watched[1].failed >= 2, "looks at the one that hangs")
            status, body = await asked(scraper, "/readyz")
            stuck.gate.set()
            await until(lambda: scraper.watched[1].samples > 0, "samples of the one that hung")
    assert status == 503
    states = json.loads(body)["servers"]
    assert states[well.address] == "answers"
    assert "in time" in states[stuck.address]
    assert NOWHERE in states[NOWHERE]
    assert {one.instance for one in kept.samples} == {well.address, stuck.address}


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("no metrics", 200, "text format"),
        ('nv_inference_queue_duration_us{model="m",version="1"} 1e308\n', 200, "beyond 2^63"),
        (METRICS, 404, "answers 404"),
        ("# x\n" * 400, 200, "more than 1000 bytes"),
    ],
)
async def test_an_answer_that_is_none_is_a_look_that_failed_and_says_why(
    monkeypatch: pytest.MonkeyPatch, text: str, status: int, said: str
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 1_000)
    async with made_up() as server:
        server.text, server.status = text, status
        async with scraping([ServerAddress(server.address)]) as (scraper, kept):
            assert said in (scraper.watched[0].problem or "")
            assert kept.samples == []


async def test_statistics_that_do_not_answer_fail_the_look() -> None:
    async with made_up() as server, scraping([ServerAddress(server.address, NOWHERE)]) as (scraper, _):
        assert NOWHERE in (scraper.watched[0].problem or "")


async def test_a_taken_admin_port_is_said_and_nothing_is_left_running() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        scraper = Scraper(ScraperSettings(admin_port=taken.getsockname()[1]), new_transport=Kept())
        with pytest.raises(PortTakenError):
            await scraper.start()


async def test_an_error_that_nobody_foresaw_ends_it_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("ingest.scraper.scraper.look", broken)
    settings = ScraperSettings(bootstrap_servers=NOWHERE, admin_port=0, flush_timeout=0.1)
    with pytest.raises(RuntimeError, match="unforeseen"):
        await run(settings, asyncio.Event())
