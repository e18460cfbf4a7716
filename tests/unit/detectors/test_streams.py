"""Numeric detectors: agreement with river, run lengths, delays, and units of what they report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import river.drift

from detectors.adwin import Adwin, AdwinSettings
from detectors.errors import BadInput, BadSetting
from detectors.normalise import NormaliserSettings
from detectors.page_hinkley import PageHinkley, PageHinkleySettings
from detectors.proportion import ProportionSettings, ProportionStream
from detectors.protocols import Detection
from detectors.river import RiverSettings, RiverStream
from detectors.streams import AdwinStream, AdwinStreamSettings, PageHinkleyStream, PageHinkleyStreamSettings

# river's classes carry no types.
RIVER_ADWIN: Any = river.drift.ADWIN
RIVER_PAGE_HINKLEY: Any = river.drift.PageHinkley
LATENCY = NormaliserSettings(log=True)


def steps(seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    levels = rng.normal(0.0, 1.5, 5)
    return [float(x) for level in levels for x in rng.normal(level, 1.0, rng.integers(40, 900))]


@pytest.mark.parametrize("seed", range(5))
def test_our_adwin_decides_as_rivers_does_at_every_value(seed: int) -> None:
    ours, theirs, changes = Adwin(AdwinSettings()), RIVER_ADWIN(), 0
    for x in steps(seed):
        cut = ours.update(x)
        theirs.update(x)
        assert (cut is not None) == theirs.drift_detected
        if cut is not None:
            ours, changes = Adwin(AdwinSettings()), changes + 1
    assert changes > 0


@pytest.mark.parametrize("seed", range(5))
def test_our_page_hinkley_decides_as_rivers_does_at_every_value(seed: int) -> None:
    settings = PageHinkleySettings(slack=0.25, expected_run_length=500)
    ours, changes = PageHinkley(settings), 0
    theirs = RIVER_PAGE_HINKLEY(min_instances=30, delta=0.25, threshold=ours.threshold, alpha=1.0)
    for x in steps(seed):
        found = ours.update(x)
        theirs.update(x)
        assert found == theirs.drift_detected
        if found:
            ours, changes = PageHinkley(settings), changes + 1
    assert changes > 0


def latencies(seed: int, before: float, after: float, at: int, count: int) -> list[float]:
    rng = np.random.default_rng(seed)
    medians = np.where(np.arange(count) < at, before, after)
    values: list[float] = (medians * np.exp(0.5 * rng.standard_normal(count))).tolist()
    return values


@pytest.mark.parametrize(
    "stream",
    [
        AdwinStream(AdwinStreamSettings(LATENCY)),
        PageHinkleyStream(PageHinkleyStreamSettings(LATENCY)),
    ],
    ids=["adwin", "page-hinkley"],
)
def test_a_doubled_latency_is_found_once_soon_and_reported_in_seconds(stream: AdwinStream | PageHinkleyStream) -> None:
    found: list[Detection] = []
    for place, x in enumerate(latencies(7, 0.2, 0.4, 1000, 1500)):
        detection = stream.update(x, at=float(place))
        if detection:
            found.append(detection)
    (one,) = found
    assert 1000 < one.seen <= 1100
    assert one.at == one.seen - 1
    assert one.before == pytest.approx(0.2, rel=0.25)
    assert one.after == pytest.approx(0.4, rel=0.4)
    assert one.statistic > one.threshold


def test_a_steady_stream_of_skewed_values_raises_nothing() -> None:
    stream = AdwinStream(AdwinStreamSettings(LATENCY))
    assert [x for x in latencies(3, 0.2, 0.2, 0, 5000) if stream.update(x, 0.0)] == []


def test_page_hinkleys_false_alarms_are_about_as_rare_as_asked_for() -> None:
    settings = PageHinkleySettings(slack=0.25, expected_run_length=500)
    rng = np.random.default_rng(11)
    test, alarms, count = PageHinkley(settings), 0, 60_000
    for x in rng.standard_normal(count).tolist():
        if test.update(x):
            test, alarms = PageHinkley(settings), alarms + 1
    assert 300 < count / alarms < 1200


def test_a_constant_stream_is_normal_and_any_other_value_is_not() -> None:
    stream = PageHinkleyStream()
    for _ in range(500):
        assert stream.update(5.0, 0.0) is None
    assert any(stream.update(5.1, 0.0) for _ in range(40))


def test_false_alarms_of_shares_are_at_least_as_rare_as_promised() -> None:
    settings = ProportionSettings(expected_run_length=300, baseline=0.05)
    rng = np.random.default_rng(5)
    lengths = []
    for _ in range(60):
        stream, length = ProportionStream(settings), 0
        while length < 20_000:
            length += 1
            if stream.update(float(rng.random() < 0.05), 0.0):
                break
        lengths.append(length)
    assert np.mean(lengths) > 300


def test_a_rise_of_errors_is_found_once_and_again_after_it_was_over() -> None:
    stream = ProportionStream(ProportionSettings(warm_up=200))
    rng = np.random.default_rng(1)
    shares = np.repeat([0.01, 0.3, 0.01, 0.3], [600, 300, 2000, 300])
    found = [d for share in shares if (d := stream.update(float(rng.random() < share), 0.0))]
    assert [600 < found[0].seen < 660, 2900 < found[1].seen < 2960, len(found)] == [True, True, 2]
    assert found[0].before is not None
    assert found[0].before < 0.05
    assert found[0].after is not None
    assert found[0].after > 0.05


def test_a_falling_share_is_found_when_asked_for() -> None:
    stream = ProportionStream(ProportionSettings(direction="down", baseline=0.5))
    assert any(stream.update(0.0, 0.0) for _ in range(60))


def test_a_share_of_something_that_is_not_yes_or_no_is_refused() -> None:
    with pytest.raises(BadInput, match="0 or 1"):
        ProportionStream().update(0.5, 0.0)


def test_rivers_detectors_work_behind_the_protocol() -> None:
    stream = RiverStream(RiverSettings("river-adwin", memory=500), RIVER_ADWIN)
    values = np.repeat([0.0, 3.0], [2000, 200]) + np.random.default_rng(0).standard_normal(2200)
    found = [d.seen for x in values.tolist() if (d := stream.update(x, 0.0))]
    assert len(found) == 1
    assert 2000 < found[0] < 2100


@pytest.mark.parametrize("x", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused_and_change_nothing(x: float) -> None:
    for stream in (AdwinStream(), PageHinkleyStream(), RiverStream(RiverSettings("r"), RIVER_ADWIN)):
        before = stream.snapshot()
        with pytest.raises(BadInput):
            stream.update(x, 0.0)
        assert stream.snapshot() == before


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="delta"):
        AdwinSettings(delta=0.0)
    with pytest.raises(BadSetting, match="slack"):
        PageHinkleySettings(slack=0.0)
    with pytest.raises(BadSetting, match="baseline"):
        ProportionSettings(baseline=1.0)
    with pytest.raises(BadSetting, match="warm_up"):
        NormaliserSettings(warm_up=2)
    with pytest.raises(BadSetting, match="memory"):
        RiverSettings("r", memory=1)
