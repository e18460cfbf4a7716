"""Increases become events: in seconds and joules, keyed as everything of a model is, and what is not told is None."""

from __future__ import annotations

import uuid

from inferwatch.validity import Bounds
from inferwatch.validity_telemetry import telemetry_invalid
from inferwatch.wire import decode_telemetry, encode_event
from ingest.errors import ScrapeError
from ingest.scraper.exposition import read_exposition
from ingest.scraper.increases import Increase
from ingest.scraper.readings import Answers, Subject
from ingest.scraper.samples import key_of, sample_of
from ingest.scraper.settings import ServerAddress
from ingest.scraper.watched import Watched
from processors.records import model_key
from tests.support.triton_says import GPU, METRICS


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def elapsed(self) -> float:
        return self.at - 1_700_000_000.0


def test_a_sample_of_a_model_says_what_was_added_in_seconds() -> None:
    counters = {"requests": 3, "queue_time": 1_500_000_000, "failures:OTHER": 2, "failures:BACKEND": 0}
    one = sample_of(Increase(Subject("m", "2"), counters, {"pending": 4.0}, False), 100.0, 10.0, "triton:8002", "prod")
    assert (one.model, one.model_version, one.device, one.instance) == ("m", "2", "", "triton:8002")
    assert (one.requests, one.queue_time, one.failures, one.pending) == (3, 1.5, {"OTHER": 2}, 4)
    assert (one.compute_infer_time, one.cache_hits, one.energy, one.power) == (None, None, None, None)
    assert str(uuid.UUID(one.sample_id)) == one.sample_id


def test_a_sample_of_a_gpu_says_joules() -> None:
    one = sample_of(Increase(Subject(device=GPU), {"energy": 4_100}, {"power": 410.0}, False), 1.0, 10.0, "t", "prod")
    assert (one.model, one.device, one.energy, one.power, one.utilisation) == ("", GPU, 4.1, 410.0, None)


def test_the_key_is_that_of_everything_about_the_model() -> None:
    one = sample_of(Increase(Subject("m"), {}, {}, False), 1.0, 10.0, "t", "prod")
    assert key_of(one) == model_key("prod", "m").encode()


def test_a_server_that_is_watched_says_nothing_first_and_then_what_was_added_also_over_a_failure() -> None:
    clock, watched = HandClock(), Watched(ServerAddress("triton:8002"), "prod")
    assert watched.answered(clock, Answers(read_exposition(METRICS))) == []
    clock.at += 10
    watched.missed(ScrapeError("triton:8002", "away"))
    assert (watched.problem, watched.failed) == ("away", 1)
    clock.at += 10
    later = METRICS.replace('version="3"} 161', 'version="3"} 170').replace("90123.456", "98123.456")
    samples = {one.model or one.device: one for one in watched.answered(clock, Answers(read_exposition(later)))}
    assert {one.interval for one in samples.values()} == {20.0}
    assert (samples["resnet"].requests, samples["resnet"].pending, samples["resnet"].failures) == (9, 12, {})
    assert (samples[GPU].energy, samples[GPU].power) == (8_000.0, 412.519)
    assert (samples["cpu"].utilisation, samples["cpu"].energy) == (0.25, None)
    assert (watched.scrapes, watched.failed, watched.samples, watched.resets) == (3, 1, 4, 0)
    assert (watched.last_success, watched.problem) == (clock.now(), None)


def test_every_sample_is_one_that_the_worker_takes() -> None:
    clock, watched = HandClock(), Watched(ServerAddress("triton:8002"), "prod")
    watched.answered(clock, Answers(read_exposition(METRICS)))
    clock.at += 10
    for one in watched.answered(clock, Answers(read_exposition(METRICS))):
        decoded = decode_telemetry(encode_event(one))
        assert decoded == one
        assert telemetry_invalid(decoded, Bounds(clock.now(), 30.0, 300.0)) is None
