"""Our embedding detector and alibi-detect's agree: silent without a change, soon awake after one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.alibi import AlibiDrift, AlibiDriftSettings
from detectors.embedding import EmbeddingDrift, EmbeddingDriftSettings
from detectors.protocols import Vectors

# alibi-detect and what it brings warn while being imported; none of that is ours.
pytestmark = pytest.mark.filterwarnings("default")
pytest.importorskip("alibi_detect", reason="needs the extra inferwatch-platform[alibi]", exc_type=ImportError)

D, N, W = 32, 200, 25
CHANGE = N + 150
ALIBI = AlibiDriftSettings(D, reference=N, window=W, components=4, expected_run_length=1000, simulations=5000)
OWN = EmbeddingDriftSettings(D, reference=N, windows=(W,), expected_run_length=1000)


def stream(seed: int) -> Vectors:
    """Unit vectors of three topics; from `CHANGE` on of another one."""
    centres = np.random.default_rng(7).standard_normal((4, D))
    rng = np.random.default_rng(seed)
    which = np.where(np.arange(CHANGE + 100) < CHANGE, rng.integers(3, size=CHANGE + 100), 3)
    points = centres[which] + 0.8 * rng.standard_normal((len(which), D))
    unit: Vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.mark.parametrize("seed", [0, 1])
def test_both_find_a_change_of_topic_once_and_within_a_window_of_each_other(seed: int) -> None:
    points = stream(seed)
    (own,) = EmbeddingDrift(OWN).update(points)
    (theirs,) = AlibiDrift(ALIBI).update(points)
    assert CHANGE < own.seen <= CHANGE + W
    assert CHANGE < theirs.seen <= CHANGE + W
    assert abs(own.seen - theirs.seen) <= W


def test_the_restored_backend_raises_the_same_detections() -> None:
    points = stream(3)
    steady = AlibiDrift(ALIBI)
    expected = steady.update(points)
    for stop in (N // 2, N + 10, N + W + 40, CHANGE + 5):
        stopped = AlibiDrift(ALIBI)
        before = stopped.update(points[:stop])
        stopped = AlibiDrift.from_snapshot(ALIBI, json.loads(json.dumps(stopped.snapshot())))
        after = stopped.update(points[stop:])
        assert [d.seen for d in before + after] == [d.seen for d in expected]
        assert [d.statistic for d in before + after] == pytest.approx([d.statistic for d in expected])


def test_its_memory_does_not_grow() -> None:
    detector = AlibiDrift(ALIBI)
    detector.update(stream(4))
    size = len(json.dumps(detector.snapshot()))
    detector.update(stream(5))
    assert len(json.dumps(detector.snapshot())) <= size + 10
