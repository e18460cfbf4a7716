"""Figures of model servers, as the samples of several servers, models and GPUs add up to them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from detectors.pii.scanner import Scanner
from inferwatch import DropReport, ServerSample, new_event_id
from inferwatch.events import TelemetryEvent
from processors.records import Position
from processors.settings import EnrichSettings
from processors.telemetry.contents import Telemetry
from storage.queries import (
    EnergyPrices,
    Filters,
    Load,
    Reader,
    TimeRange,
    devices,
    energy_bill,
    load_series,
    losses,
    served_models,
    total_load,
)
from storage.sink import Block, ClickHouseSink
from tests.support import store_rows

NOW = store_rows.RECENT
RANGE = TimeRange.last(timedelta(minutes=5), NOW)
START = RANGE.start.timestamp()
GPU, OTHER_GPU = "GPU-1", "GPU-2"
SMOLLM2 = Filters(model="smollm2")
UNTOLD: dict[str, Any] = dict.fromkeys(
    ("queue_time", "compute_input_time", "compute_infer_time", "compute_output_time")
)

Store = Callable[..., None]


@pytest.fixture
def store(sink: ClickHouseSink) -> Store:
    """Writes telemetry as the worker does; each call is a record of its own."""
    contents = Telemetry(EnrichSettings(), Scanner())
    offset = iter(range(1_000))

    def write(*events: TelemetryEvent) -> None:
        after = next(offset) - 1
        for kind, table in ((ServerSample, "server_samples"), (DropReport, "drop_reports")):
            given: Any = [(Position(0, after + 1, i), one) for i, one in enumerate(events) if isinstance(one, kind)]
            if given:
                block = Block("topic", 0, after, dt.datetime.now(dt.UTC), contents.rows_of(table, given))  # type: ignore[arg-type]
                assert sink.append(table, block).cut == 0  # type: ignore[arg-type]

    return write


def sample(second: float, model: str = "smollm2", **fields: Any) -> ServerSample:
    """What a server said some seconds after the start of the range, of ten seconds."""
    given: dict[str, Any] = {"interval": 10.0, "instance": "a:8002", "environment": "prod"}
    if "device" not in fields:
        given |= {"model": model, "model_version": "1", "queue_time": 0.0}
        given |= {"compute_input_time": 0.0, "compute_infer_time": 0.0, "compute_output_time": 0.0}
    return ServerSample(**{"sample_id": new_event_id(), "at": START + second, **given, **fields})


def test_without_a_sample_there_is_nothing_and_no_zero(reader: Reader) -> None:
    assert served_models(reader, RANGE) == []
    assert total_load(reader, RANGE) == Load()
    assert (Load().rate, Load().queue, Load().queue_share, Load().pending) == (None, None, None, None)
    assert devices(reader, RANGE) == []
    assert losses(reader, RANGE) == []
    bill = energy_bill(reader, RANGE)
    assert (bill.total, bill.models, bill.idle) == (None, (), None)


def test_waiting_and_computing_are_told_apart_by_request(reader: Reader, store: Store) -> None:
    store(
        sample(
            10, requests=3, queue_time=6.0, compute_input_time=0.25, compute_infer_time=1.0, compute_output_time=0.25
        ),
        sample(20, requests=1, queue_time=0.0, compute_infer_time=0.5, inferences=8, executions=2),
    )
    found = total_load(reader, RANGE, SMOLLM2)
    assert (found.requests, found.queue, found.compute) == (4, 1.5, 0.5)
    assert found.queue_share == 0.75
    assert (found.rate, found.batch) == (4 / 20, 4.0)
    assert found.each(found.compute_infer_time) == 1.5 / 4


def test_rates_and_what_waits_of_several_servers_add_up_whatever_their_intervals(reader: Reader, store: Store) -> None:
    store(
        *(sample(n, requests=10, pending=2) for n in (10, 20)),
        sample(20, requests=40, interval=20.0, instance="b:8002", pending=3),
        *(sample(n, requests=5, model_version="2", pending=1) for n in (10, 20)),
    )
    found = total_load(reader, RANGE, SMOLLM2)
    assert (found.requests, found.rate, found.pending) == (70, 1.0 + 2.0 + 0.5, 6.0)


def test_a_version_that_replaced_another_doubles_neither_rate_nor_what_waits(reader: Reader, store: Store) -> None:
    store(*(sample(10 * n, requests=10, pending=4, model_version="1" if n < 15 else "2") for n in range(1, 30)))
    store(*(sample(10 * n, "minilm", requests=3) for n in range(1, 30)))
    found = total_load(reader, RANGE, SMOLLM2)
    assert (found.requests, found.rate, found.pending) == (290, 1.0, 4.0)


def test_times_are_of_the_requests_of_servers_that_tell(reader: Reader, store: Store) -> None:
    store(
        sample(10, requests=900, **UNTOLD),
        sample(10, requests=100, instance="b:8002", queue_time=100.0, compute_infer_time=50.0),
    )
    found = total_load(reader, RANGE, SMOLLM2)
    assert (found.requests, found.timed, found.queue, found.compute) == (1_000, 100, 1.0, 0.5)


def test_failures_are_counted_by_reason(reader: Reader, store: Store) -> None:
    store(
        sample(10, failures={"OTHER": 2, "REJECTED": 1}),
        sample(20, failures={"OTHER": 3}),
        sample(20, instance="b:8002", failures={"BACKEND": 7}),
    )
    assert total_load(reader, RANGE, SMOLLM2).failures == {"OTHER": 5, "REJECTED": 1, "BACKEND": 7}
    assert total_load(reader, RANGE, SMOLLM2).failed == 13


def test_a_series_adds_up_to_the_total_and_steps_without_a_sample_are_empty(reader: Reader, store: Store) -> None:
    store(*(sample(n, requests=n, queue_time=n / 10, failures={"OTHER": 1}) for n in (5, 15, 25, 95, 299)))
    series = load_series(reader, RANGE, timedelta(seconds=30), SMOLLM2)
    total = total_load(reader, RANGE, SMOLLM2)
    assert [point.at for point in series] == RANGE.steps(timedelta(seconds=30))
    assert sum(point.load.requests for point in series) == total.requests == 439
    assert sum(point.load.queue_time or 0 for point in series) == pytest.approx(total.queue_time)
    assert series[0].load.requests == 45
    assert series[1].load == Load()
    with pytest.raises(ValueError, match="whole seconds"):
        load_series(reader, RANGE, timedelta(milliseconds=1500))


def test_models_come_by_requests_and_say_when_their_servers_were_heard(reader: Reader, store: Store) -> None:
    store(sample(10, requests=1), sample(20, "minilm", requests=9), sample(30, requests=1, environment="test"))
    found = served_models(reader, RANGE)
    assert [(one.model, one.environment, one.load.requests) for one in found] == [
        ("minilm", "prod", 9),
        ("smollm2", "prod", 1),
        ("smollm2", "test", 1),
    ]
    assert found[0].heard == RANGE.start + timedelta(seconds=20)
    assert [one.model for one in served_models(reader, RANGE, Filters(environment="test"))] == ["smollm2"]


def test_what_a_server_does_not_tell_is_none(reader: Reader, store: Store) -> None:
    store(sample(10, requests=3, **UNTOLD))
    found = total_load(reader, RANGE, SMOLLM2)
    assert (found.queue, found.compute, found.queue_share, found.pending) == (None, None, None, None)
    assert found.requests == 3


def test_devices_are_as_they_were_read_last_and_their_energy_is_of_the_whole_range(
    reader: Reader, store: Store
) -> None:
    gpu: dict[str, Any] = {"device": GPU, "memory_used": 5.0, "memory_total": 10.0, "power_limit": 700.0}
    store(
        sample(10, utilisation=0.2, power=300.0, energy=3000.0, **gpu),
        sample(20, utilisation=0.8, power=600.0, energy=6000.0, **gpu),
        sample(20, device="cpu", utilisation=0.5, memory_used=1.0, memory_total=2.0),
    )
    card, cpu = devices(reader, RANGE)
    assert (card.device, card.utilisation, card.mean_utilisation, card.power) == (GPU, 0.8, 0.5, 600.0)
    assert (card.memory_used, card.memory_total, card.power_limit, card.energy) == (5.0, 10.0, 700.0, 9000.0)
    assert (cpu.device, cpu.utilisation, cpu.energy, cpu.power) == ("cpu", 0.5, None, None)
    assert cpu.at == RANGE.start + timedelta(seconds=20)


def an_interval(second: float, joules: float | None, instance: str = "a:8002", **compute: float) -> list[ServerSample]:
    return [
        *(sample(second, model, instance=instance, requests=1, compute_infer_time=n) for model, n in compute.items()),
        sample(second, device=GPU, instance=instance, energy=joules),
        sample(second, device=OTHER_GPU, instance=instance, energy=joules),
    ]


def test_energy_is_shared_by_time_of_computing_and_what_computed_nothing_is_idle(reader: Reader, store: Store) -> None:
    store(*an_interval(10, 500.0, smollm2=3.0, minilm=1.0))
    store(*an_interval(20, 200.0, smollm2=0.0, minilm=2.0))
    store(*an_interval(30, 50.0, smollm2=0.0, minilm=0.0))
    bill = energy_bill(reader, RANGE)
    assert {model.model: model.joules for model in bill.models} == {"smollm2": 750.0, "minilm": 250.0 + 400.0}
    assert (bill.total, bill.idle) == (1500.0, 100.0)
    assert {model.known_share for model in bill.models} == {1.0}


def test_energy_of_one_server_is_not_shared_with_models_of_another(reader: Reader, store: Store) -> None:
    store(*an_interval(10, 500.0, smollm2=1.0))
    store(*an_interval(10, None, "b:8002", smollm2=1.0, minilm=5.0))
    bill = energy_bill(reader, RANGE)
    assert {model.model: (model.joules, model.known_share) for model in bill.models} == {
        "smollm2": (1000.0, 0.5),
        "minilm": (None, 0.0),
    }


def test_where_no_gpu_tells_its_energy_it_is_unknown_and_not_nothing(reader: Reader, store: Store) -> None:
    store(sample(10, requests=1, compute_infer_time=1.0), sample(10, device="cpu", utilisation=0.5))
    bill = energy_bill(reader, RANGE)
    (share,) = bill.models
    assert (bill.total, bill.idle, share.joules, share.kwh) == (None, None, None, None)
    assert share.cost(EnergyPrices(0.3, 400.0)) is None


def test_energy_by_token_uses_the_tokens_of_the_same_range(reader: Reader, store: Store, sink: ClickHouseSink) -> None:
    store(*an_interval(10, 1_800.0, smollm2=1.0))
    at = RANGE.start + timedelta(seconds=30)
    old = RANGE.start - timedelta(seconds=30)
    made = [{"started_at": moment, "model": "smollm2", "output_tokens": 250} for moment in (at, at, old)]
    sink.write("inferences", store_rows.inferences(made))
    share = energy_bill(reader, RANGE).of("smollm2")
    assert share is not None
    prices = EnergyPrices(price_per_kwh=0.3, grams_per_kwh=400.0)
    assert (share.output_tokens, share.counted, share.requests) == (500, 2, 1)
    assert share.kwh == pytest.approx(0.001)
    assert share.per_thousand_tokens(share.joules) == 7_200.0
    assert share.cost(prices) == pytest.approx(0.0003)
    assert share.per_thousand_tokens(share.grams(prices)) == pytest.approx(0.8)
    assert share.cost(EnergyPrices()) is None


def test_energy_by_token_is_that_of_good_requests_whose_tokens_are_known(
    reader: Reader, store: Store, sink: ClickHouseSink
) -> None:
    store(sample(10, requests=10, compute_infer_time=1.0), sample(10, device=GPU, energy=36_000.0))
    at = RANGE.start + timedelta(seconds=30)
    made: list[dict[str, Any]] = [
        {"status": "ok", "output_tokens": 1_000},
        {"status": "ok", "output_tokens": None},
        {"status": "error", "output_tokens": 500},
        {"status": "cancelled", "output_tokens": 500},
    ]
    sink.write("inferences", store_rows.inferences([{"started_at": at, "model": "smollm2", **one} for one in made]))
    share = energy_bill(reader, RANGE).of("smollm2")
    assert share is not None
    assert (share.counted, share.requests, share.output_tokens) == (1, 10, 1_000)
    assert share.per_thousand_tokens(share.joules) == 3_600.0


def test_energy_is_not_all_known_where_one_gpu_of_a_server_does_not_tell(reader: Reader, store: Store) -> None:
    store(
        sample(10, requests=1, compute_infer_time=3.0),
        sample(10, device=GPU, energy=1_000.0),
        sample(10, device=OTHER_GPU, utilisation=0.9),
        sample(10, device="cpu", utilisation=0.9),
    )
    store(*an_interval(20, 250.0, smollm2=1.0))
    bill = energy_bill(reader, RANGE)
    share = bill.of("smollm2")
    assert share is not None
    assert (share.joules, share.known_share, bill.total, bill.idle) == (1_500.0, 0.25, 1_500.0, 0.0)


def test_losses_are_counted_by_source_and_service_with_their_reasons(reader: Reader, store: Store) -> None:
    def report(second: float, **fields: Any) -> DropReport:
        given: dict[str, Any] = {"report_id": new_event_id(), "since": 0.0, "source": "sdk", "instance": "web:1"}
        return DropReport(**{**given, "at": START + second, "service": "shop", "environment": "prod", **fields})

    store(
        report(10, dropped=3, reasons={"memory full": 3}),
        report(20, dropped=1, failed=2, reasons={"memory full": 1, "timed out": 2}, instance="web:2"),
        report(30, failed=50, source="sidecar", reasons={"timed out": 50}, environment="test"),
        report(400, dropped=9),
    )
    first, second = losses(reader, RANGE)
    assert (first.source, first.failed, first.mirrors) == ("sidecar", 50, 1)
    assert (second.source, second.service, second.dropped, second.failed, second.mirrors) == ("sdk", "shop", 4, 2, 2)
    assert second.reasons == {"memory full": 4, "timed out": 2}
    assert second.last == RANGE.start + timedelta(seconds=20)
    assert [one.source for one in losses(reader, RANGE, Filters(environment="prod"))] == ["sdk"]


def test_a_report_that_was_made_again_counts_as_it_was_last(reader: Reader, store: Store) -> None:
    def report(second: float, dropped: int) -> DropReport:
        return DropReport(
            report_id="same", at=START + second, since=0.0, source="sdk", instance="web:1", dropped=dropped
        )

    store(report(10, 3))
    store(report(20, 5))
    (found,) = losses(reader, RANGE)
    assert found.dropped == 5
