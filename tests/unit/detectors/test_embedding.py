"""The embedding detector's life, its promise about false alarms, and that a restart changes nothing."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.embedding import EmbeddingDrift, EmbeddingDriftSettings
from detectors.errors import BadInput, BadSetting, BadSnapshot
from detectors.mmd.features import FourierFeatures, median_bandwidth
from detectors.mmd.permutation import permutation_p_value
from detectors.protocols import Detection, Snapshot, Vectors

D = 16
SMALL = EmbeddingDriftSettings(
    D, reference=80, windows=(20, 40), features=64, expected_run_length=2000, permutations=199
)


def topic(seed: int, count: int, shift: float = 0.0) -> Vectors:
    """Unit vectors around one of four centres; with `shift` they lean towards a fifth."""
    centres = np.random.default_rng(99).standard_normal((5, D))
    rng = np.random.default_rng(seed)
    which = np.where(rng.random(count) < shift, 4, rng.integers(4, size=count))
    points = centres[which] + 0.7 * rng.standard_normal((count, D))
    unit: Vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return unit


def through_json(state: Snapshot) -> Snapshot:
    return cast("Snapshot", json.loads(json.dumps(state, allow_nan=False)))


WATCHING = EmbeddingDrift(SMALL)
WATCHING.update(topic(1, 80))
WATCHING_STATE = through_json(WATCHING.snapshot())


def phase(detector: EmbeddingDrift) -> str:
    return detector.phase


def watching() -> EmbeddingDrift:
    return EmbeddingDrift.from_snapshot(SMALL, WATCHING_STATE)


def test_it_collects_then_watches_then_drifts_then_recovers() -> None:
    detector = EmbeddingDrift(SMALL)
    detector.update(topic(1, 79))
    assert (phase(detector), detector.collected, detector.level) == ("collecting", 79, 0.0)
    assert detector.update(topic(2, 1 + 200)) == []
    assert (phase(detector), detector.collected) == ("watching", 80)
    (found,) = detector.update(topic(3, 60, shift=1.0))
    assert phase(detector) == "in drift"
    assert found.index < 20
    assert found.seen == 280 + found.index + 1
    assert found.statistic > found.threshold
    assert found.p_value is not None
    assert found.p_value <= SMALL.confirm_below
    assert found.window == 20
    assert detector.level > 1.0
    assert detector.update(topic(4, 100, shift=1.0)) == []
    detector.update(topic(5, 80))
    assert phase(detector) == "watching"
    assert detector.level < 1.0
    assert len(detector.update(topic(6, 60, shift=1.0))) == 1


def test_rebase_takes_the_new_topic_as_normal() -> None:
    detector = watching()
    assert detector.update(topic(3, 60, shift=1.0))
    detector.rebase()
    assert phase(detector) == "collecting"
    assert detector.update(topic(4, 300, shift=1.0)) == []
    assert phase(detector) == "watching"
    assert len(detector.update(topic(5, 60))) == 1


def test_false_alarms_come_about_as_seldom_as_promised() -> None:
    alarms = events = 0
    for seed in range(12):
        promise = EmbeddingDriftSettings(D, 80, (20, 40), 64, expected_run_length=400, permutations=199, seed=seed)
        detector = EmbeddingDrift(promise)
        alarms += len(detector.update(topic(1000 + seed, 80 + 2000)))
        events += 2000
    assert 200 < events / max(alarms, 1) < 1600


@settings(max_examples=25, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_batches_and_restarts_make_no_difference(changes: list[tuple[int, float]], cuts: list[int]) -> None:
    stream = np.concatenate([topic(i, count, shift) for i, (count, shift) in enumerate(changes)])
    whole, pieces = watching(), watching()
    expected = [(d.seen, d.p_value) for d in whole.update(stream)]
    actual: list[Detection] = []
    place = turn = 0
    while place < len(stream):
        end = place + cuts[turn % len(cuts)]
        actual += pieces.update(stream[place:end])
        pieces = EmbeddingDrift.from_snapshot(SMALL, through_json(pieces.snapshot()))
        place, turn = end, turn + 1
    assert [(d.seen, d.p_value) for d in actual] == expected
    assert phase(pieces) == phase(whole)
    assert pieces.level == pytest.approx(whole.level, abs=1e-3)


def test_a_restart_while_collecting_loses_nothing() -> None:
    stream = topic(1, 300)
    steady = EmbeddingDrift(SMALL)
    steady.update(stream)
    stopped = EmbeddingDrift(SMALL)
    stopped.update(stream[:50])
    stopped = EmbeddingDrift.from_snapshot(SMALL, through_json(stopped.snapshot()))
    stopped.update(stream[50:])
    assert stopped.snapshot() == steady.snapshot()


@pytest.mark.parametrize("batch", [np.zeros((3, D + 1)), np.zeros(D), np.full((2, D), np.nan), np.full((2, D), np.inf)])
def test_embeddings_that_cannot_be_used_are_refused_and_change_nothing(batch: Vectors) -> None:
    detector = watching()
    with pytest.raises(BadInput):
        detector.update(batch)
    assert detector.snapshot() == WATCHING_STATE


def test_an_empty_batch_is_nothing() -> None:
    detector = watching()
    assert detector.update(np.empty((0, D), np.float32)) == []
    assert detector.snapshot() == WATCHING_STATE


def test_a_reference_of_one_repeated_vector_still_tells_others_apart() -> None:
    detector = EmbeddingDrift(SMALL)
    same = np.repeat(topic(1, 1), 300, axis=0)
    assert detector.update(same) == []
    assert len(detector.update(topic(2, 40))) == 1


@pytest.mark.parametrize("name", ["thresholds", "reference", "rows", "in_drift", "bandwidth", "level"])
def test_a_damaged_snapshot_is_refused(name: str) -> None:
    watch = cast("Snapshot", WATCHING_STATE["watch"])
    with pytest.raises(BadSnapshot, match=name):
        EmbeddingDrift.from_snapshot(SMALL, WATCHING_STATE | {"watch": watch | {name: "?"}})


def test_features_approximate_the_gaussian_kernel() -> None:
    points = topic(1, 30)
    bandwidth = median_bandwidth(points)
    features = FourierFeatures(D, 4096, bandwidth, seed=3)(points).astype(np.float64) / (1 << 14)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    assert np.abs(features @ features.T * 2 / 4096 - np.exp(-distances / 2 / bandwidth**2)).max() < 0.1


def test_p_values_of_samples_without_a_difference_are_uniform() -> None:
    rng = np.random.default_rng(0)
    samples = (rng.standard_normal((200, 60, 8)) * 1000).astype(np.int16)
    p_values = [permutation_p_value(each[:40], each[40:], 99, rng) for each in samples]
    assert 0.4 < np.mean(p_values) < 0.6
    assert np.mean(np.array(p_values) <= 0.05) < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"dimensions": 0},
        {"windows": ()},
        {"windows": (1,)},
        {"windows": (40, 20)},
        {"reference": 30},
        {"features": 7},
        {"expected_run_length": 10},
        {"confirm_below": 0.0001},
        {"seed": -1},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        EmbeddingDriftSettings(**({"dimensions": D} | wrong))  # type: ignore[arg-type]  # wrong values on purpose
