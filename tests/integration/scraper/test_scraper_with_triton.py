"""The scraper on a real Triton: what its samples add up to is what Triton counted."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc

from inferwatch import ServerSample
from ingest.scraper.settings import ServerAddress
from tests.integration.scraper.moody import MoodyTriton
from tests.integration.scraper.scraping import asked, failures, scraping
from tests.support.waiting import until

TIMES = {
    "request_time": "success",
    "queue_time": "queue",
    "compute_input_time": "compute_input",
    "compute_infer_time": "compute_infer",
    "compute_output_time": "compute_output",
}


async def infer(triton: MoodyTriton, *seconds: float) -> list[int]:
    """Ask all at once."""
    return list(await asyncio.gather(*(asyncio.to_thread(triton.infer, one) for one in seconds)))


def total(samples: list[ServerSample], name: str) -> float:
    return sum(getattr(one, name) or 0 for one in samples)


def most_pending(samples: list[ServerSample]) -> int:
    return max((one.pending or 0 for one in samples), default=0)


def share_of_queue(samples: list[ServerSample]) -> float:
    queue = total(samples, "queue_time")
    return queue / (queue + sum(total(samples, name) for name in TIMES if name.startswith("compute")))


@pytest.mark.parametrize("with_statistics", [True, False])
async def test_samples_add_up_to_what_triton_counted(moody: MoodyTriton, with_statistics: bool) -> None:
    before = moody.statistics()
    address = ServerAddress(moody.metrics, moody.http if with_statistics else None)
    async with scraping([address]) as (_, kept):
        assert await infer(moody, *[0.05] * 4) == [200] * 4
        assert await infer(moody, 0.01) == [200]
        await until(lambda: total(kept.of("moody"), "requests") >= 5, "five requests")
    after, samples = moody.statistics(), kept.of("moody")
    assert total(samples, "requests") == total(samples, "inferences") == 5
    assert total(samples, "executions") == after["execution_count"] - before["execution_count"]
    for ours, theirs in TIMES.items():
        counted = (after["inference_stats"][theirs]["ns"] - before["inference_stats"][theirs]["ns"]) / 1e9
        # Metrics round the times of each request down to microseconds.
        assert counted - 6e-6 <= total(samples, ours) <= counted + 1e-9, ours


async def test_waiting_and_computing_are_told_apart(moody: MoodyTriton) -> None:
    async with scraping([ServerAddress(moody.metrics, moody.http)]) as (_, kept):
        for _ in range(3):
            assert await infer(moody, 0.1) == [200]
        await until(lambda: total(kept.of("moody"), "requests") >= 3, "three requests")
        one_by_one = kept.of("moody")
        assert await infer(moody, *[0.1] * 4) == [200] * 4
        await until(lambda: total(kept.of("moody"), "requests") >= 7, "four more")
        at_once = kept.of("moody")[len(one_by_one) :]
    assert share_of_queue(one_by_one) < 0.1
    assert share_of_queue(at_once) > 0.5


async def test_failures_have_their_reasons_and_what_waits_is_seen(moody: MoodyTriton) -> None:
    client = grpc.InferenceServerClient(f"127.0.0.1:{moody.settings.grpc_port}")
    answered: list[Any] = []

    def ask(seconds: float) -> Any:
        given = grpc.InferInput("seconds", [1, 1], "FP32")
        given.set_data_from_numpy(np.array([[seconds]], dtype=np.float32))
        return client.async_infer("moody", [given], lambda result, error: answered.append(error))

    async with scraping([ServerAddress(moody.metrics, moody.http)]) as (_, kept):
        assert await infer(moody, -1.0) == [500]
        moody.forget()
        # It computes for long enough that everything else happens while it does.
        calls = [ask(3.0)]
        await until(lambda: moody.has_computed, "one that computes")
        calls += [ask(0.01), ask(0.01)]
        await until(lambda: most_pending(kept.of("moody")) >= 2, "one that computes, two that wait")
        impatient = asyncio.create_task(asyncio.to_thread(moody.infer, 0.01, patience=0.01))
        await until(lambda: most_pending(kept.of("moody")) >= 3, "a third that waits")
        calls[2].cancel()
        assert await impatient == 503
        await until(lambda: failures(kept.of("moody")).total() >= 3, "three failures")
        await until(lambda: len(answered) == 3, "all answers")
    client.close()
    found = failures(kept.of("moody"))
    assert found == {"BACKEND": 1, "REJECTED": 1, "CANCELED": 1}


async def test_the_machine_is_a_device_and_a_server_without_gpus_tells_no_energy(moody: MoodyTriton) -> None:
    async with scraping([ServerAddress(moody.metrics)]) as (_, kept):
        await until(lambda: any(one.device for one in kept.samples), "a device")
    cpu = [one for one in kept.samples if one.device]
    assert {one.device for one in cpu} == {"cpu"}
    assert all(0 < (one.memory_used or 0) < (one.memory_total or 0) for one in cpu)
    assert {one.energy for one in kept.samples} == {None}


async def test_a_model_that_is_loaded_again_is_counted_on_and_nothing_twice(moody: MoodyTriton) -> None:
    async with scraping([ServerAddress(moody.metrics, moody.http)]) as (scraper, kept):
        await infer(moody, -1.0, 0.01, 0.01, 0.01)
        await until(lambda: total(kept.of("moody"), "requests") >= 3, "three requests")
        assert await asyncio.to_thread(moody.post, "v2/repository/models/moody/unload", {}) == 200
        assert await asyncio.to_thread(moody.post, "v2/repository/models/moody/load", {}) == 200
        seen = scraper.watched[0].scrapes
        await until(lambda: scraper.watched[0].scrapes > seen + 1, "two looks")
        assert await infer(moody, 0.01) == [200]
        await until(lambda: total(kept.of("moody"), "requests") >= 4, "one more")
    assert total(kept.of("moody"), "requests") == 4
    assert failures(kept.of("moody")) == {"BACKEND": 1}


async def test_a_server_that_ends_and_starts_again_is_counted_on_and_said_to_be_away_meanwhile(
    moody: MoodyTriton,
) -> None:
    async with scraping([ServerAddress(moody.metrics, moody.http)]) as (scraper, kept):
        (watched,) = scraper.watched
        await infer(moody, *[0.01] * 3)
        await until(lambda: total(kept.of("moody"), "requests") >= 3, "three requests")
        assert (await asked(scraper, "/readyz"))[0] == 200
        await asyncio.to_thread(moody.stop)
        await until(lambda: watched.failed > 0, "a look that fails")
        status, body = await asked(scraper, "/readyz")
        assert status == 503
        assert moody.metrics in json.loads(body)["servers"][moody.metrics]
        assert (await asked(scraper, "/healthz"))[0] == 200
        await asyncio.to_thread(moody.start)
        await until(lambda: watched.problem is None, "it answers")
        assert await infer(moody, 0.01, 0.01) == [200, 200]
        await until(lambda: total(kept.of("moody"), "requests") >= 5, "two more")
        _, metrics = await asked(scraper, "/metrics")
    samples = kept.of("moody")
    assert total(samples, "requests") == 5
    assert watched.resets > 0
    assert f'inferwatch_scraper_failed_scrapes_total{{server="{moody.metrics}"}} {watched.failed}' in metrics
    longest = max(samples, key=lambda one: one.interval)
    assert longest.interval >= 2 * min(one.interval for one in samples)
    for earlier, later in pairwise(samples):
        assert later.at - later.interval == pytest.approx(earlier.at, abs=0.05)
