"""One contract for every numeric detector: stopped and restored anywhere, it does what it would have done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import river.drift
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.adwin import AdwinSettings
from detectors.errors import BadSnapshot
from detectors.normalise import NormaliserSettings
from detectors.page_hinkley import PageHinkleySettings
from detectors.proportion import ProportionSettings, ProportionStream
from detectors.protocols import JSON, Detection, NumericDetector, Snapshot
from detectors.river import RiverSettings, RiverStream
from detectors.streams import AdwinStream, AdwinStreamSettings, PageHinkleyStream, PageHinkleyStreamSettings

SHORT = NormaliserSettings(warm_up=20)
ADWIN = AdwinStreamSettings(SHORT, AdwinSettings(clock=4))
HINKLEY = PageHinkleyStreamSettings(SHORT, PageHinkleySettings(expected_run_length=200, grace=5))
SHARE = ProportionSettings(warm_up=20, expected_run_length=50)
RIVER = RiverSettings("river-kswin", memory=60)


def kswin() -> river.drift.KSWIN:
    return river.drift.KSWIN(alpha=0.01, window_size=40, stat_size=15, seed=1)


Make = Callable[[], NumericDetector]
Restore = Callable[[Snapshot], NumericDetector]
DETECTORS: list[tuple[Make, Restore]] = [
    (lambda: AdwinStream(ADWIN), lambda state: AdwinStream.from_snapshot(ADWIN, state)),
    (lambda: PageHinkleyStream(HINKLEY), lambda state: PageHinkleyStream.from_snapshot(HINKLEY, state)),
    (lambda: ProportionStream(SHARE), lambda state: ProportionStream.from_snapshot(SHARE, state)),
    (lambda: RiverStream(RIVER, kswin), lambda state: RiverStream.from_snapshot(RIVER, kswin, state)),
]
NAMES = ["adwin", "page-hinkley", "proportion", "river"]


def through_json(state: Snapshot) -> Snapshot:
    return cast("Snapshot", json.loads(json.dumps(state, allow_nan=False)))


def stream_for(detector: NumericDetector, seed: int, changes: list[int]) -> list[float]:
    rng = np.random.default_rng(seed)
    level = np.repeat(np.arange(len(changes)) % 2, changes)
    if isinstance(detector, ProportionStream):
        values = (rng.random(len(level)) < 0.05 + 0.6 * level).astype(float)
    else:
        values = rng.standard_normal(len(level)) + 3.0 * level
    return [float(x) for x in values]


@pytest.mark.parametrize(("make", "restore"), DETECTORS, ids=NAMES)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 99),
    changes=st.lists(st.integers(1, 120), min_size=1, max_size=5),
    stops=st.sets(st.integers(0, 400), max_size=6),
)
def test_a_restored_detector_raises_the_same_detections_at_the_same_events(
    make: Make, restore: Restore, seed: int, changes: list[int], stops: set[int]
) -> None:
    steady, stopped = make(), make()
    expected: list[Detection | None] = []
    actual: list[Detection | None] = []
    for place, x in enumerate(stream_for(steady, seed, changes)):
        if place in stops:
            stopped = restore(through_json(stopped.snapshot()))
        expected.append(steady.update(x, float(place)))
        actual.append(stopped.update(x, float(place)))
    assert actual == expected
    assert stopped.snapshot() == steady.snapshot()


@pytest.mark.parametrize(("make", "restore"), DETECTORS, ids=NAMES)
def test_the_streams_of_this_contract_do_raise_detections(make: Make, restore: Restore) -> None:
    detector = make()
    assert any(detector.update(x, 0.0) for x in stream_for(detector, 0, [100, 100]))


@pytest.mark.parametrize(("make", "restore"), DETECTORS, ids=NAMES)
@pytest.mark.parametrize(
    ("name", "value"), [("version", 99), ("detector", "other"), ("settings", {}), ("seen", "many"), ("seen", None)]
)
def test_a_snapshot_that_is_not_its_own_is_refused(make: Make, restore: Restore, name: str, value: JSON) -> None:
    with pytest.raises(BadSnapshot, match="restore"):
        restore(make().snapshot() | {name: value})
