"""What was added adds up to what was counted, whatever began anew, vanished or could not be heard."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ingest.scraper.increases import Increase, Increases
from ingest.scraper.readings import Reading, Readings, Subject

MODEL, OTHER = Subject("m", "1"), Subject("n", "1")
GPU = Subject(device="GPU-1")


def model(subject: Subject = MODEL, **counters: int) -> Readings:
    return {subject: Reading(dict(counters), {"pending": 2.0})}


def after(*looks: Readings) -> list[Increase]:
    """Return what the last of several looks, ten seconds apart, finds."""
    one = Increases()
    for number, readings in enumerate(looks):
        _, found = one.look(number * 10.0, readings)
    return found


def test_the_first_look_adds_nothing() -> None:
    assert Increases().look(5.0, model(requests=100)) == (0.0, [])


def test_the_second_look_says_what_was_added_since_and_how_long_that_took() -> None:
    one = Increases()
    one.look(5.0, model(requests=100, queue_time=7))
    seconds, (found,) = one.look(17.5, model(requests=103, queue_time=7))
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
        return {GPU: Reading(dict(counters))}

    assert after(gpu(energy=1000), {}, gpu(energy=1250))[0].counters == {"energy": 250}
    assert after(gpu(energy=1000), gpu(), gpu(energy=1250))[0].counters == {"energy": 250}


@dataclass
class Server:
    """A server whose counters are counted twice: as it tells them, and all that was ever counted and could be heard."""

    told: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("requests", "queue_time", "energy"), 0))
    since_look: dict[str, int] = field(default_factory=dict)
    at_look: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, more: int) -> None:
        self.told[name] += more

    def restart(self) -> None:
        self.told = dict.fromkeys(self.told, 0)


COUNTED = st.tuples(st.sampled_from(("requests", "queue_time", "energy")), st.integers(0, 1000))
STEPS = st.lists(st.just("look") | st.just("missed") | st.just("restart") | COUNTED, max_size=40)


@given(STEPS)
def test_what_was_added_is_last_minus_first_and_after_each_fall_what_there_is(
    steps: list[str | tuple[str, int]],
) -> None:
    server, one = Server(), Increases()
    looks: list[dict[str, int]] = []
    added: dict[str, int] = dict.fromkeys(server.told, 0)
    for number, step in enumerate(steps):
        if step == "look":
            looks.append(dict(server.told))
            _, found = one.look(float(number), {MODEL: Reading(dict(server.told))})
            for increase in found:
                assert all(value >= 0 for value in increase.counters.values())
                added = {name: added[name] + value for name, value in increase.counters.items()}
        elif step == "restart":
            server.restart()
        elif isinstance(step, tuple):
            server.count(*step)
    assert added == {name: expected(name, looks) for name in added}


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


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=20), st.data())
def test_the_time_that_samples_cover_is_from_the_first_look_to_the_last(
    pauses: list[float], data: st.DataObject
) -> None:
    one, now, covered = Increases(), 1000.0, 0.0
    one.look(now, model(requests=0))
    heard = now
    for pause in pauses:
        now += pause
        if data.draw(st.booleans()):
            covered += one.look(now, model(requests=0))[0]
            heard = now
    assert abs(covered - (heard - 1000.0)) <= 1e-6 * max(1.0, covered)
