"""The report says what was sent, what was not, and what could not be kept up with."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from rich.console import Console

from ingest.errors import SettingError
from ingest.replay.errors import BadLineError
from ingest.replay.plan import lines as plan_lines
from ingest.replay.plan import plan
from ingest.replay.progress import in_words, share, show
from ingest.replay.report import lines, report
from ingest.replay.schedule import when_they_arrive
from ingest.replay.settings import EventSettings, ReplaySettings, RequestSettings
from ingest.replay.tally import Tally
from ingest.replay.window import Window
from tests.unit.replay.traces import arrivals


def tallied(times: list[float], speed: float | None, delays: list[float]) -> Tally:
    """Send arrivals so many seconds after their time."""
    tally = Tally(late_after=0.1)
    for due, delay in zip(when_they_arrive(arrivals(*times), speed), delays, strict=True):
        tally.note_sent(due, (due.sends or 0.0) + delay)
    return tally


def test_lateness_is_counted_and_its_quantiles_told() -> None:
    told = report(tallied([0.0, 1.0, 2.0, 3.0], 1.0, [0.0, 0.05, 0.2, 4.0]), "azure", "kafka", 1.0)
    assert (told.sent, told.late, told.lateness_max) == (4, 2, 4.0)
    assert told.lateness_p50 == pytest.approx(0.05, rel=0.02)
    assert told.lateness_p99 == pytest.approx(0.2, rel=0.02)
    assert (told.trace, told.asked_speed) == (3.0, 1.0)


def test_speed_is_what_was_due_over_what_it_took() -> None:
    told = report(tallied([0.0, 100.0], 10.0, [0.0, 10.0]), "azure", "kafka", 10.0)
    assert (told.achieved_share, told.achieved_speed) == (0.5, 5.0)
    assert "5 of 10 asked for (50.0%)" in "\n".join(lines(told))


def test_one_that_is_out_of_place_in_the_file_changes_no_speed() -> None:
    tally = tallied([0.0, 50.0, 100.0, 5.0], 1.0, [0.0, 0.0, 0.0, 95.0])
    assert report(tally, "azure", "kafka", 1.0).achieved_share == 1.0


def test_as_fast_as_possible_nothing_is_late_and_speed_is_that_of_the_trace() -> None:
    told = report(tallied([0.0, 100.0], None, [0.0, 2.0]), "azure", "kafka", None)
    assert (told.late, told.lateness_max, told.achieved_share, told.achieved_speed) == (0, None, None, 50.0)
    assert "50.0 times that of the trace" in "\n".join(lines(told))


def test_everything_at_once_has_no_speed() -> None:
    told = report(tallied([5.0, 5.0], 1.0, [0.0, 1.0]), "azure", "kafka", 1.0)
    assert (told.achieved_share, told.achieved_speed) == (None, None)


def test_an_empty_replay_is_complete() -> None:
    told = report(Tally(0.1), "azure", "kafka", 1.0)
    assert told.complete
    assert "0 sent" in "\n".join(lines(told))


@pytest.mark.parametrize("what", ["failed", "dropped", "interrupted"])
def test_a_replay_is_complete_only_where_everything_went_well(what: str) -> None:
    tally = tallied([0.0], 1.0, [0.0])
    tally.skipped = tally.capped = tally.disordered = tally.late = 3
    assert report(tally, "azure", "kafka", 1.0).complete
    if what == "failed":
        tally.failed["HTTP 503"] += 1
    elif what == "dropped":
        tally.dropped["too late by its turn"] += 1
    else:
        tally.interrupted = True
    assert not report(tally, "azure", "kafka", 1.0).complete


def test_everything_that_was_counted_is_said() -> None:
    tally = tallied([0.0, 1.0], 1.0, [0.0, 0.5])
    tally.failed["HTTP 503"], tally.dropped["too late"], tally.capped, tally.disordered = 4, 5, 6, 7
    tally.note_skipped(BadLineError(9, "not JSON"))
    tally.note_skipped(BadLineError(10, "not JSON"))
    tally.interrupted = True
    told = report(tally, "azure", "sidecar", 1.0)
    text = "\n".join(lines(told))
    for said in (
        *("Stopped before the end", "4  failed: HTTP 503", "5  not sent: too late", "6  capped"),
        *("2  lines skipped; the first: line 9: not JSON", "7  too far from", "1 later than 0.1 s"),
    ):
        assert said in text
    assert json.loads(json.dumps(told.as_dict()))["complete"] is False


def test_a_plan_says_how_many_how_long_and_how_dense() -> None:
    told = plan(arrivals(0.0, 5.0, 9.0, 10.0, 40.0), "azure", 10.0, lambda each: each.line == 1)
    assert (told.count, told.span, told.seconds, told.mean_rate, told.peak_rate) == (5, 40.0, 4.0, 1.25, 3)
    assert (told.input_tokens, told.output_tokens, told.capped) == (500, 55, 1)
    assert "at most 3" in "\n".join(plan_lines(told, "kafka"))


def test_a_plan_as_fast_as_possible_has_no_rate() -> None:
    told = plan(arrivals(0.0, 5.0), "azure", None, lambda _: False)
    assert (told.seconds, told.mean_rate, told.peak_rate) == (None, None, None)


def test_progress_tells_counts_and_the_most_that_is_known_to_be_done() -> None:
    tally = tallied([0.0, 60.0], 1.0, [0.0, 0.5])
    assert in_words(tally) == "2 sent, trace at 0:01:00, 0 well, 1 late"
    assert share(tally, 80, Window()) == 20 / 80
    assert share(tally, 80, Window(limit=4)) == 0.5
    assert share(tally, 80, Window(begin=10.0, end=90.0)) == 0.75
    assert share(tally, None, Window()) is None
    assert share(Tally(0.1), 80, Window(limit=4)) == 0.0


@pytest.mark.parametrize(("terminal", "said"), [(True, "2 sent, trace at 0:01:00"), (False, "25%: 2 sent, trace at")])
def test_progress_is_shown_on_a_terminal_and_elsewhere(terminal: bool, said: str) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=120)
    pauses = iter([None])

    async def pause(_seconds: float) -> None:
        # The second pause ends it.
        if next(pauses, "no more") == "no more":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(show(tallied([0.0, 60.0], 1.0, [0.0, 0.0]), 80, Window(), console, pause))
    assert said in shown.getvalue()


def test_settings_that_cannot_work_are_refused_by_name() -> None:
    for wrong in (
        lambda: ReplaySettings("f", speed=0.0),
        lambda: ReplaySettings("f", speed=1e-300),
        lambda: ReplaySettings("f", window=Window(5.0, 5.0)),
        lambda: EventSettings(ttft=-1.0),
        lambda: RequestSettings(concurrency=0),
        lambda: RequestSettings(timeout=0.0),
    ):
        with pytest.raises(SettingError):
            wrong()
