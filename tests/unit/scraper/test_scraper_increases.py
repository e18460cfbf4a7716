"""What was added adds up to what was counted, whatever began anew, vanished or could not be heard."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.scraper.exposition import read_exposition
from ingest.scraper.increases import Increase, Increases, ServerIncreases
from ingest.scraper.readings import Answers, Reading, Readings, Subject
from ingest.scraper.statistics import read_statistics
from tests.support.triton_says import GPU, METRICS, answer, statistics

MODEL, OTHER = Subject("m", "1"), Subject("n", "1")
RESNET = Subject("resnet", "3")


def model(subject: Subject = MODEL, **counters: int) -> Readings:
    return {subject: Reading(dict(counters), {"pending": 2.0})}


def after(*looks: Readings) -> list[Increase]:
    """Return what the last of several looks finds."""
    one = Increases()
    for readings in looks:
        found = one.look(readings)
    return found


def test_the_first_look_adds_nothing() -> None:
    assert Increases().look(model(requests=100)) == []
    assert ServerIncreases().look(5.0, Answers(model(requests=100))) == (0.0, [])


def test_the_second_look_says_what_was_added_since_and_how_long_that_took() -> None:
    one = ServerIncreases()
    one.look(5.0, Answers(model(requests=100, queue_time=7)))
    seconds, (found,) = one.look(17.5, Answers(model(requests=103, queue_time=7)))
    assert seconds == 12.5
    assert found == Increase(MODEL, {"requests": 3, "queue_time": 0}, {"pending": 2.0}, anew=False)


def test_counters_of_which_one_fell_all_began_at_nothing() -> None:
    (found,) = after(model(requests=100, queue_time=50), model(requests=4, queue_time=60))
    assert (found.counters, found.anew) == ({"requests": 4, "queue_time": 60}, True)


def test_one_model_that_begins_anew_leaves_others_alone() -> None:
    first = {**model(requests=100), **model(OTHER, requests=10)}
    found = {one.subject: one for one in after(first, {**model(requests=1), **model(OTHER, requests=12)})}
    assert (found[MODEL].counters["requests"], found[OTHER].counters["requests"]) == (1, 2)


def test_a_model_that_was_loaded_meanwhile_began_at_nothing() -> None:
    found = after(model(), {**model(), **model(OTHER, requests=12)})
    assert {one.subject: one.counters.get("requests") for one in found}[OTHER] == 12


def test_a_model_that_was_unloaded_and_loaded_again_began_at_nothing() -> None:
    (found,) = after(model(requests=10), {}, model(requests=12))
    assert (found.counters, found.anew) == ({"requests": 12}, False)


def test_a_gpu_that_said_nothing_for_a_while_did_not_begin_anew() -> None:
    def gpu(**counters: int) -> Readings:
        return {Subject(device=GPU): Reading(dict(counters))}

    assert after(gpu(energy=1000), {}, gpu(energy=1250))[0].counters == {"energy": 250}
    assert after(gpu(energy=1000), gpu(), gpu(energy=1250))[0].counters == {"energy": 250}


def two_more(metrics: str) -> str:
    """Return metrics after two more requests."""
    return metrics.replace('success{model="resnet",version="3"} 161', 'success{model="resnet",version="3"} 163')


def both(metrics: str, counted: bytes) -> Answers:
    return Answers(read_exposition(metrics), read_statistics(counted))


def without(name: str) -> str:
    """Return metrics but for lines in which the name stands."""
    return "\n".join(line for line in METRICS.splitlines() if name not in line) + "\n"


def failed(counters: dict[str, int]) -> dict[str, int]:
    return {name.removeprefix("failures:"): count for name, count in counters.items() if name.startswith("failures:")}


def test_metrics_count_and_statistics_tell_what_those_do_not() -> None:
    told = without("queue_duration_us")
    one = ServerIncreases()
    one.look(0.0, both(told, answer(statistics())))
    more = two_more(told).replace('"OTHER",version="3"} 1', '"OTHER",version="3"} 5')
    later = statistics(
        success={"count": 999, "ns": 17_000_000_999},
        queue={"count": 999, "ns": 11_110_322},
        fail={"count": 99, "ns": 0},
    )
    found = {increase.subject: increase for increase in one.look(10.0, both(more, answer(later)))[1]}
    counters = found[RESNET].counters
    assert (counters["requests"], counters["request_time"], counters["queue_time"]) == (2, 0, 100)
    assert failed(counters) == {"OTHER": 4, "BACKEND": 0, "CANCELED": 0, "REJECTED": 0}
    assert found[RESNET].levels == {"pending": 12}
    assert Subject(device=GPU) in found


def test_statistics_count_where_metrics_tell_no_time_of_requests() -> None:
    # Triton lists these, and never moves them, where `counter_latencies` is off.
    still = without("duration_us")
    one = ServerIncreases()
    one.look(0.0, both(still, answer(statistics())))
    later = statistics(success={"count": 165, "ns": 17_000_000_999}, fail={"count": 13, "ns": 0})
    found = {increase.subject: increase for increase in one.look(10.0, both(still, answer(later)))[1]}
    counters = found[RESNET].counters
    assert (counters["requests"], counters["request_time"], counters["queue_time"]) == (5, 1_000_000_000, 0)
    assert failed(counters) == {"UNKNOWN": 3}
    assert (found[RESNET].levels, counters["cache_hits"]) == ({"pending": 12}, 0)


def test_a_model_that_only_statistics_know_has_failures_of_unknown_reason() -> None:
    one = ServerIncreases()
    one.look(0.0, both("", answer(statistics())))
    found = one.look(10.0, both("", answer(statistics(fail={"count": 13, "ns": 0}))))[1]
    assert found[0].counters["failures:UNKNOWN"] == 3


def test_loading_a_model_again_begins_its_statistics_anew_but_not_its_metrics() -> None:
    one = ServerIncreases()
    one.look(0.0, both(METRICS, answer(statistics())))
    nothing: dict[str, Any] = {name: {"count": 0, "ns": 0} for name in ("success", "fail", "queue", "compute_infer")}
    more = two_more(METRICS)
    found = {each.subject: each for each in one.look(10.0, both(more, answer(statistics(**nothing))))[1]}
    counters = found[RESNET].counters
    assert (counters["requests"], counters["failures:OTHER"], counters["queue_time"]) == (2, 0, 0)
    assert found[RESNET].anew


def test_an_unloaded_model_that_metrics_go_on_telling_of_is_left_out_once_it_did_nothing() -> None:
    one = ServerIncreases()
    one.look(0.0, both(METRICS, answer(statistics())))
    last = two_more(METRICS)
    told = [{each.subject for each in one.look(10.0 + n, both(last, answer()))[1]} for n in range(2)]
    assert [RESNET in subjects for subjects in told] == [True, False]


COUNTERS = ("requests", "queue_time", "energy")
STEPS = st.lists(
    st.sampled_from(("look", "missed", "restart")) | st.tuples(st.sampled_from(COUNTERS), st.integers(0, 1000)),
    max_size=40,
)


@given(STEPS)
def test_additions_are_last_minus_first_and_after_each_fall_all_there_is(steps: list[str | tuple[str, int]]) -> None:
    told = dict.fromkeys(COUNTERS, 0)
    one, looks, added = Increases(), [], dict.fromkeys(COUNTERS, 0)
    for step in steps:
        if step == "look":
            looks.append(dict(told))
            for increase in one.look({MODEL: Reading(dict(told))}):
                assert all(value >= 0 for value in increase.counters.values())
                added = {name: added[name] + value for name, value in increase.counters.items()}
        elif step == "restart":
            told = dict.fromkeys(COUNTERS, 0)
        elif isinstance(step, tuple):
            told[step[0]] += step[1]
    assert added == {name: expected(name, looks) for name in COUNTERS}


def expected(name: str, looks: list[dict[str, int]]) -> int:
    """Last minus first of every stretch in which no counter fell; each stretch but the first began at nothing."""
    if not looks:
        return 0
    total, first, last = 0, looks[0][name], looks[0]
    for now in looks[1:]:
        if any(now[each] < last[each] for each in now):
            total, first = total + last[name] - first, 0
        last = now
    return total + last[name] - first


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.booleans()), min_size=1, max_size=20))
def test_intervals_cover_the_time_from_the_first_look_to_the_last(pauses: list[tuple[float, bool]]) -> None:
    one, now, covered = ServerIncreases(), 1000.0, 0.0
    one.look(now, Answers({}))
    heard = now
    for pause, answers in pauses:
        now += pause
        if answers:
            covered += one.look(now, Answers({}))[0]
            heard = now
    assert abs(covered - (heard - 1000.0)) <= 1e-6 * max(1.0, covered)
