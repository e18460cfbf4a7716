"""A Triton whose metrics count nothing, because its latencies are off: its statistics do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.scraper.settings import ServerAddress
from tests.integration.scraper.moody import MoodyTriton
from tests.integration.scraper.scraping import failures, scraping
from tests.support.waiting import until


async def test_samples_add_up_to_what_triton_counted_where_its_metrics_count_nothing(tmp_path: Path) -> None:
    triton = MoodyTriton(tmp_path, "--metrics-config=counter_latencies=false")
    try:
        await asyncio.to_thread(triton.start)
        async with scraping([ServerAddress(triton.metrics, triton.http)]) as (_, kept):
            for seconds in (0.01, 0.01, 0.01, -1.0):
                await asyncio.to_thread(triton.infer, seconds)
            await until(lambda: failures(kept.of("moody")).total() > 0, "the failure")
        counted = triton.statistics()
    finally:
        triton.stop()
    samples = kept.of("moody")
    assert sum(one.requests for one in samples) == sum(one.inferences for one in samples) == 3
    assert sum(one.executions for one in samples) == counted["execution_count"]
    assert failures(samples) == {"UNKNOWN": 1}
    assert {one.pending for one in samples} == {0}
    took = sum(one.request_time or 0 for one in samples)
    assert took == pytest.approx(counted["inference_stats"]["success"]["ns"] / 1e9)
