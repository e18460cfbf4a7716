"""What Triton says becomes readings: of models, GPUs and the machine; what it does not tell is not there."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferwatch.wire import encode_event
from ingest.errors import ContentError
from ingest.scraper.exposition import read_exposition
from ingest.scraper.increases import Increases
from ingest.scraper.readings import Reading, Subject
from ingest.scraper.samples import sample_of
from ingest.scraper.statistics import read_statistics
from tests.support.triton_says import BROKEN_GPU, GPU, METRICS, ON_TWO_GPUS, answer, statistics

RESNET = Subject("resnet", "3")


def test_metrics_tell_of_models_gpus_and_the_machine() -> None:
    found = read_exposition(METRICS)
    assert set(found) == {RESNET, Subject(device=GPU), Subject(device=BROKEN_GPU), Subject(device="cpu")}
    assert found[RESNET].counters == {
        "requests": 161,
        "failures:OTHER": 1,
        "failures:BACKEND": 2,
        "failures:CANCELED": 3,
        "failures:REJECTED": 4,
        "inferences": 1288,
        "executions": 40,
        "request_time": 16_100_000_000,
        "queue_time": 11_110_000,
        "compute_input_time": 500_000,
        "compute_infer_time": 15_000_000_000,
        "compute_output_time": 700_000,
        "cache_hits": 5,
        "cache_misses": 156,
    }
    assert found[RESNET].levels == {"pending": 12}
    assert found[Subject(device=GPU)] == Reading(
        {"energy": 90_123_456},
        {
            "utilisation": 0.87,
            "memory_total": 150_754_820_096,
            "memory_used": 4.1e9,
            "power": 412.519,
            "power_limit": 700,
        },
    )
    cpu = {"utilisation": 0.25, "memory_total": 25_276_510_208, "memory_used": 763_482_112}
    assert found[Subject(device="cpu")] == Reading({}, cpu)


def test_series_of_one_model_add_up_whatever_labels_they_have_besides() -> None:
    counters = {"requests": 300, "failures:BACKEND": 5, "failures:REJECTED": 4, "queue_time": 30_000}
    assert read_exposition(ON_TWO_GPUS) == {Subject("bert", "1"): Reading(counters, {"pending": 12})}


def test_a_gpu_that_does_not_answer_triton_has_no_power_no_memory_and_no_energy() -> None:
    assert read_exposition(METRICS)[Subject(device=BROKEN_GPU)] == Reading({}, {"utilisation": 0.0})


def test_failures_without_a_reason_are_counted_all_the_same() -> None:
    found = read_exposition('nv_inference_request_failure{model="m",version="1"} 7\n')
    assert found[Subject("m", "1")].counters == {"failures:UNKNOWN": 7}


def test_what_is_not_a_number_is_left_out() -> None:
    assert read_exposition("nv_cpu_utilization NaN\nnv_cpu_memory_used_bytes +Inf\n") == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(METRICS.splitlines()), st.floats(allow_nan=False, allow_infinity=False)), max_size=8
    )
)
def test_any_number_is_refused_or_becomes_a_sample(told: list[tuple[str, float]]) -> None:
    text = "".join(f"{line.rsplit(' ', 1)[0]} {number}\n" for line, number in told if not line.startswith("#"))
    increases = Increases()
    with contextlib.suppress(ContentError):
        increases.look({subject: Reading() for subject in read_exposition(text)})
        for increase in increases.look(read_exposition(text)):
            assert encode_event(sample_of(increase, 1.0, 10.0, "triton:8002", "prod"))


@pytest.mark.parametrize(
    "text",
    [
        'nv_inference_queue_duration_us{model="m",version="1"} 1e308\n',
        'nv_inference_request_success{model="m",version="1"} 1e19\n',
        'nv_inference_pending_request_count{model="m",version="1"} -1e19\n',
        f'nv_energy_consumption{{gpu_uuid="{GPU}"}} 1e17\n',
    ],
)
def test_a_number_beyond_anything_that_was_counted_is_refused(text: str) -> None:
    with pytest.raises(ContentError, match=r"beyond 2\^63"):
        read_exposition(text)


@pytest.mark.parametrize("text", ["<html>", 'nv_cpu_utilization{a="} 1', "nv_gpu_utilization 0.5\n", "nv_x one"])
def test_text_of_another_format_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ContentError) as caught:
        read_exposition(text)
    assert text not in str(caught.value)


@given(st.text(max_size=60) | st.sampled_from(METRICS.splitlines()))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ContentError):
        read_exposition(text)


def test_statistics_tell_counts_and_times_in_nanoseconds() -> None:
    found = read_statistics(answer(statistics(), statistics("bert", "1")))
    assert set(found) == {RESNET, Subject("bert", "1")}
    assert found[RESNET].counters == {
        "requests": 160,
        "inferences": 1280,
        "executions": 39,
        "request_time": 16_000_000_999,
        "queue_time": 11_110_222,
        "compute_input_time": 500_333,
        "compute_infer_time": 15_000_000_444,
        "compute_output_time": 700_555,
        "failures:UNKNOWN": 10,
    }


def test_a_count_beyond_anything_that_was_counted_is_refused() -> None:
    with pytest.raises(ContentError, match=r"beyond 2\^63"):
        read_statistics(answer(statistics(queue={"count": 1, "ns": 10**400})))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b'{"model_stats":[{"name":"m"}]}', b'{"error":"no"}', b"\xff", b"[" * 100_000]
)
def test_another_answer_is_refused(body: bytes) -> None:
    with pytest.raises(ContentError):
        read_statistics(body)
