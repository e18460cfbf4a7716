"""Tensors are shown with quantiles that a reader understands."""

import json

import numpy as np
import pytest

from dashboard.views.tensors import with_quantiles
from inferwatch.tensors import RELATIVE_ERROR, sketch_of


def test_a_sketch_is_shown_as_quantiles() -> None:
    stored = {"input": [{"name": "x", "mean": 50.0, "sketch": sketch_of(np.arange(1.0, 101.0))}], "output": []}
    (shown,) = json.loads(with_quantiles(json.dumps(stored)))["input"]
    assert (shown["name"], shown["mean"], "sketch" in shown) == ("x", 50.0, False)
    assert list(shown["quantiles"]) == ["p1", "p25", "p50", "p75", "p99"]
    assert shown["quantiles"]["p50"] == pytest.approx(50, rel=RELATIVE_ERROR)


def test_what_has_no_sketch_stays_as_it_is() -> None:
    assert with_quantiles("") == ""
    assert json.loads(with_quantiles('{"input": [{"name": "x"}]}')) == {"input": [{"name": "x"}]}
