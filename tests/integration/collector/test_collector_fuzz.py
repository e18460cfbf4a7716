"""Twenty seconds of what `make fuzz` does for ten minutes."""

from pathlib import Path

import pytest

from tests.fuzz.collector import fuzz


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_nothing_hostile_is_answered_with_an_error_of_ours_and_no_good_event_is_lost_or_repeated(
    bootstrap: str, tmp_path: Path
) -> None:
    figures = fuzz(bootstrap, tmp_path, 20.0, seed=7)
    assert figures["problems"] == []
    assert (figures["lost"], figures["repeated"]) == (0, 0)
    assert figures["good_events"] > 50
    assert figures["requests"] > 500
