"""A sketch tells quantiles of what it counted, within its error, and two merge into the sketch of both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inferwatch.tensors import (
    MOST_BUCKETS,
    MOST_VALUES,
    RELATIVE_ERROR,
    TensorSample,
    merged,
    quantile,
    sample,
    sketch_of,
    summarise,
    with_summaries,
)
from tests.unit.sdk.events import event

WITHIN_TWO_DECADES = st.floats(0.5, 50.0).flatmap(lambda size: st.sampled_from([size, -size]))


@given(st.lists(WITHIN_TWO_DECADES, min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_a_quantile_is_within_the_relative_error(values: list[float], q: float) -> None:
    exact = sorted(values)[math.floor(q * (len(values) - 1))]
    found = quantile(sketch_of(np.array(values)), q)
    assert found is not None
    assert abs(found - exact) <= RELATIVE_ERROR * abs(exact) * 1.000001


@given(st.lists(st.lists(WITHIN_TWO_DECADES, max_size=100), min_size=1, max_size=4))
def test_merging_is_sketching_all_values_together(parts: list[list[float]]) -> None:
    together = sketch_of(np.array([value for part in parts for value in part], dtype=float))
    assert merged(sketch_of(np.array(part, dtype=float)) for part in parts) == together


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=600))
def test_any_finite_numbers_are_all_counted_in_few_buckets(values: list[float]) -> None:
    sketch = sketch_of(np.array(values, dtype=float))
    assert sum(sketch.values()) == len(values)
    assert len(sketch) <= MOST_BUCKETS


def test_zeros_are_zero_and_stand_between_the_signs() -> None:
    sketch = sketch_of(np.array([-4.0, 0.0, 1e-12, 4.0, 0.0]))
    assert quantile(sketch, 0.5) == 0.0
    assert quantile(sketch, 0.0) == pytest.approx(-4.0, rel=RELATIVE_ERROR)
    assert quantile(sketch, 1.0) == pytest.approx(4.0, rel=RELATIVE_ERROR)


def test_of_a_large_array_an_even_share_is_looked_at() -> None:
    values = np.linspace(1.0, 100.0, 1_000_000, dtype=np.float32).reshape(1_000, 1_000)
    sketch = sketch_of(values)
    assert MOST_VALUES // 2 < sum(sketch.values()) <= MOST_VALUES
    assert quantile(sketch, 0.5) == pytest.approx(50.5, rel=0.06)
    assert quantile(sketch, 0.99) == pytest.approx(99.0, rel=0.06)


def test_many_magnitudes_keep_the_large_ones() -> None:
    values = np.logspace(-8, 20, 3_000)
    assert quantile(sketch_of(values), 0.999) == pytest.approx(values[2996], rel=RELATIVE_ERROR)


def test_integers_and_booleans_are_numbers() -> None:
    assert sum(sketch_of(np.array([True, False, True])).values()) == 3
    assert quantile(sketch_of(np.array([7, 7, 7], dtype=np.uint8)), 0.5) == pytest.approx(7, rel=RELATIVE_ERROR)


def test_nothing_has_no_quantile() -> None:
    assert sketch_of(np.array([])) == {}
    assert quantile({}, 0.5) is None


def test_a_quantile_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        quantile({0: 1}, 1.5)


def test_a_sample_becomes_a_summary_on_its_way_out() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan]], dtype=np.float32)
    given = event(input_tensors=(TensorSample("x", "FP32", (2, 2), sample(values)),))
    (summary,) = with_summaries(given).input_tensors
    assert (summary.name, summary.shape, summary.count, summary.mean) == ("x", (2, 2), 4, 2.0)
    assert (summary.minimum, summary.maximum, summary.nan_share) == (1.0, 3.0, 0.25)
    assert summary.sketch == sketch_of(np.array([1.0, 2.0, 3.0]))


def test_an_event_without_samples_is_the_same_object() -> None:
    given = event(output_tensors=(summarise("y", "FP32", (2,), np.array([1.0, 2.0])),))
    assert with_summaries(given) is given


def test_a_sample_does_not_keep_the_tensor() -> None:
    assert sample(np.zeros((1_000, 1_000))).base is None


@pytest.mark.parametrize("values", [None, np.array([7.0]), np.array([])])
def test_a_single_number_and_nothing_have_no_moments(
    values: NDArray[Any] | None,
) -> None:
    summary = summarise("x", "FP64", (1,), values)
    assert (summary.count, summary.mean, summary.maximum, summary.sketch) == (1, None, None, None)
