"""Messages that people can rely on: Slack takes them, names in them are only names, each is sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.slack_checks import problems
from inferwatch import topics
from processors.errors import NotDelivered
from processors.notify.message import slack_message
from processors.notify.worker import NotifyStep, Sent
from processors.producer import MemoryProducer
from processors.records import AlertTransition, encode_records
from processors.step import Record
from storage.state import MemoryStateStore
from tests.unit.processors.makers import NOW, TOPIC_IDS, HandClock, transition

PAGE = "http://127.0.0.1:8501/"


def texts_of(value: Any) -> list[str]:
    """Return every text in a payload that Slack reads as mrkdwn."""
    if isinstance(value, dict):
        own = [value["text"]] if value.get("type") == "mrkdwn" else []
        return own + [text for item in value.values() for text in texts_of(item)]
    return [text for item in value for text in texts_of(item)] if isinstance(value, list) else []


def test_a_message_says_what_where_since_when_and_how_bad() -> None:
    payload = slack_message(transition(), PAGE)
    assert problems(payload) == []
    assert payload["text"] == "Critical: errors on m (prod): 25% of requests failed"
    whole = repr(payload)
    for said in ("prod", "Severity", "critical", "UTC", "0.25 (limit 0.1)", "40 inferences", ":red_circle:"):
        assert said in whole
    buttons = payload["attachments"][0]["blocks"][3]["elements"]
    assert [button["url"] for button in buttons] == [
        "http://127.0.0.1:8501/?environment=prod&model=m",
        "http://127.0.0.1:8501/alerts?environment=prod&model=m",
    ]


def test_a_resolved_alert_says_how_long_it_was() -> None:
    payload = slack_message(transition(state="resolved"), PAGE)
    assert "Back to normal after" in payload["text"]
    assert problems(payload) == []
    assert payload["text"].startswith("Resolved: errors on m")
    assert "Back to normal after 1 min 30 s" in repr(payload)
    assert "Measured on" not in repr(payload)


@given(
    st.builds(
        transition,
        environment=st.text(max_size=400),
        model=st.text(max_size=400),
        rule=st.text(max_size=400),
        signal=st.text(max_size=400),
        summary=st.text(max_size=6000),
        state=st.sampled_from(["pending", "firing", "resolved"]),
        severity=st.sampled_from(["info", "warning", "critical"]),
        value=st.floats(),
    )
)
def test_slack_takes_every_message(change: AlertTransition) -> None:
    assert problems(slack_message(change, PAGE)) == []


@pytest.mark.parametrize("name", ["&" * 9_000, "𝕏" * 9_000, "%" * 9_000])
def test_slack_takes_a_message_with_names_that_grow_when_escaped(name: str) -> None:
    change = transition(environment=name, model=name, rule=name, signal=name, summary=name)
    assert problems(slack_message(change, PAGE)) == []


@pytest.mark.parametrize("state", ["firing", "resolved"])
@pytest.mark.parametrize("field", ["environment", "model", "rule", "summary", "signal"])
@pytest.mark.parametrize("name", ["<!channel>", "<http://evil.example|click>", "<@U1> & more"])
def test_names_from_traffic_make_no_links_and_call_nobody(state: str, field: str, name: str) -> None:
    payload = slack_message(transition(state=state, **{field: name}), PAGE)
    for text in [payload["text"], *texts_of(payload)]:
        assert "<" not in text
        assert ">" not in text
    assert problems(payload) == []


class Told:
    """A notifier that keeps what it is given, or refuses as told."""

    def __init__(self, *refusals: NotDelivered) -> None:
        self.refusals = list(refusals)
        self.messages: list[str] = []

    async def send(self, payload: dict[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.messages.append(payload["text"].split(" on ")[0])


def change(state: str, alert: str = "a", number: int = 0) -> AlertTransition:
    return transition(state=state, alert_id=alert, transition_id=f"{alert}-{state}-{number}")


def records(changes: Sequence[AlertTransition], first: int = 0) -> list[Record]:
    return [Record(topics.ALERTS, 0, offset, "", encode_records([one])) for offset, one in enumerate(changes, first)]


def step(told: Told | None, store: MemoryStateStore | None = None) -> NotifyStep:
    return NotifyStep(told, PAGE, store or MemoryStateStore(), MemoryProducer(), TOPIC_IDS, HandClock())


async def test_people_hear_of_what_fires_and_of_its_end_and_not_of_what_is_pending() -> None:
    told = Told()
    assert await step(told).process(records([change("pending"), change("firing"), change("resolved")]))
    assert told.messages == ["Critical: errors", "Resolved: errors"]


async def test_the_end_of_what_nobody_heard_of_is_not_told() -> None:
    told = Told()
    assert await step(told).process(records([change("pending"), change("resolved")]))
    assert told.messages == []


async def test_a_transition_is_told_once_although_it_comes_again() -> None:
    store, told = MemoryStateStore(), Told()
    batch = [change("firing"), change("resolved")]
    one = step(told, store)
    await one.process(records(batch))
    await one.process(records(batch, first=2))  # the same transitions, sent again
    await one.release()
    assert await step(told, store).process(records([*batch, *batch]))  # the same records, after a restart
    assert len(told.messages) == 2


async def test_the_end_is_told_after_a_restart_too() -> None:
    store, told = MemoryStateStore(), Told()
    await step(told, store).process(records([change("firing")]))
    await step(told, store).process(records([change("resolved")], first=1))
    assert told.messages == ["Critical: errors", "Resolved: errors"]


async def test_slack_that_is_away_is_waited_for_as_long_as_it_asks(waits: list[float]) -> None:
    busy = [NotDelivered("HTTP 429", wait, final=False) for wait in (1.0, 30.0, 1.0, 1.0)]
    told = Told(*busy)
    assert await step(told).process(records([change("firing")]))
    assert waits == [2.0, 30.0, 60.0, 60.0]
    assert told.messages == ["Critical: errors"]


class Outage(Told):
    """Takes some messages, then none for an hour."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.asked = asyncio.Event()

    async def send(self, payload: dict[str, Any]) -> None:
        if len(self.messages) == self.takes:
            self.asked.set()
            raise NotDelivered("HTTP 503", 3600.0, final=False)
        await super().send(payload)


async def interrupted(one: NotifyStep, outage: Outage, batch: list[Record]) -> None:
    processing = asyncio.create_task(one.process(batch))
    await asyncio.wait_for(outage.asked.wait(), 5)
    one.interrupt()
    assert not await asyncio.wait_for(processing, 5)


async def test_slack_that_is_away_does_not_hold_up_a_release_and_the_rest_comes_again() -> None:
    store, outage = MemoryStateStore(), Outage(takes=1)
    one = step(outage, store)
    batch = records([change("firing", name) for name in "abc"])
    await interrupted(one, outage, batch)
    await one.release()
    saved = store.load("notify", 0)
    assert saved is not None
    assert list(saved.offsets.values()) == [0]
    told = Told()
    assert await step(told, store).process(batch)
    assert len(outage.messages) == 1
    assert len(told.messages) == 2
    outage.takes = 3
    assert await one.process(records([change("firing", "d")], first=3))  # usable again
    assert len(outage.messages) == 2


async def test_nothing_is_durable_or_sent_between_an_interruption_and_the_release() -> None:
    store, outage = MemoryStateStore(), Outage(takes=0)
    one = step(outage, store)
    await interrupted(one, outage, records([change("firing")]))
    outage.takes = 9
    assert not await one.tick()
    assert not await one.process(records([change("firing", "b")], first=1))
    assert outage.messages == []
    saved = store.load("notify", 0)
    assert saved is None or not saved.offsets


async def test_a_record_that_was_sent_in_part_is_finished_without_repetition() -> None:
    store, outage, told = MemoryStateStore(), Outage(takes=1), Told()
    one = step(outage, store)
    batch = [Record(topics.ALERTS, 0, 0, "", encode_records([change("firing", "a"), change("resolved", "a")]))]
    await interrupted(one, outage, batch)
    await one.release()
    assert await step(told, store).process(batch)
    assert (outage.messages, told.messages) == (["Critical: errors"], ["Resolved: errors"])


async def test_a_message_that_is_refused_is_given_up_and_its_end_is_not_told(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    told = Told(NotDelivered("HTTP 404 no_team", 1.0, final=True))
    assert await step(told).process(records([change("firing"), change("resolved"), change("firing", "b")]))
    assert (told.messages, waits) == (["Critical: errors"], [])
    assert "HTTP 404 no_team" in caplog.text


async def test_without_a_notifier_alerts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert await step(None).process(records([change("firing")]))
    assert "Alert errors firing on m: 25% of requests failed" in caplog.text


async def test_what_is_no_transition_is_buried() -> None:
    producer = MemoryProducer()
    one = NotifyStep(Told(), PAGE, MemoryStateStore(), producer, TOPIC_IDS, HandClock())
    loud = encode_records([transition()]).replace(b'"critical"', b'"loud"')
    assert await one.process([Record(topics.ALERTS, 0, 0, "", b"junk"), Record(topics.ALERTS, 0, 1, "", loud)])
    assert [dict(letter.headers)["reason"] for letter in producer.records] == [
        "not a AlertTransition: DecodeError",
        "not a AlertTransition: ValidationError",
    ]


def test_what_is_remembered_is_bounded() -> None:
    sent = Sent()
    for number in range(3_000):
        sent.add(change("firing", alert=str(number)))
    snapshot = sent.snapshot()
    assert (len(snapshot["transitions"]), len(snapshot["firing"])) == (1_000, 1_000)
    assert Sent.restored(snapshot).snapshot() == snapshot
    assert not sent.wants(change("firing", alert="2999"))
    assert sent.wants(change("resolved", alert="2999"))


def test_the_time_of_a_message_is_utc() -> None:
    assert "2027-01-15 07:58:30 UTC" in repr(slack_message(transition(at=NOW), PAGE))
