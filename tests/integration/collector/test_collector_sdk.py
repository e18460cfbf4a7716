"""The SDK's own HTTP transport and a real collector understand each other."""

import asyncio
import time
from pathlib import Path

from inferwatch import Mirror, topics
from ingest.api_keys import create
from tests.support.collector import events_of, running_collector


async def test_what_an_application_mirrors_through_a_collector_is_in_kafka_once(bootstrap: str, tmp_path: Path) -> None:
    _, key = create(tmp_path / "keys.json", time.time(), team="alpha")

    def application(url: str) -> list[str]:
        mirror = Mirror(collector_url=url, api_key=key, service="sdk-through-collector")
        ids = []
        for number in range(150):
            with mirror.inference("m", f"prompt {number}") as inference:
                inference.output("answer")
            ids.append(inference.event_id)
        mirror.close()
        stats = mirror.stats()
        assert (stats.delivered, stats.failed, stats.dropped) == (150, 0, 0)
        return ids

    async with running_collector(bootstrap, api_keys=tmp_path / "keys.json") as client:
        ids = await asyncio.to_thread(application, client.base)
    found = [each for each in events_of(bootstrap, topics.INFERENCES) if each.get("service") == "sdk-through-collector"]
    assert sorted(each["event_id"] for each in found) == sorted(ids)
    assert {(each["source"], each["team"]) for each in found} == {("sdk", "alpha")}
