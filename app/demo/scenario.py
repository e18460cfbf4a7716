"""The order of things: a reference, then three incidents, each caused in the traffic until it is noticed."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.demo.ledger import Ledger
from app.demo.observer import Observer
from app.demo.traffic import Topic, Traffic
from app.errors import DemoTooSlow

Say = Callable[[str], None]

REFERENCE_EVENTS: Final = 100
WINDOW_EVENTS: Final = 25
_PAUSE: Final = 0.1
_REFERENCE_SECONDS: Final = 180.0
_USUAL_SECONDS: Final = 45.0


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that goes wrong in the traffic, the rule that must notice, and how long it may take at most.

    It goes on for `lingers` seconds after it was noticed.
    """

    rule: str
    topic: Topic
    seconds: float
    says: str
    lingers: float = 0.0


def incidents(traffic: Traffic) -> tuple[Incident, ...]:
    """Return the three incidents of the demo, in order."""
    return (
        Incident("pii-in-prompts", traffic.personal, 40.0, "every other prompt carries personal data", 4.0),
        Incident("topic-drift", traffic.shifted, 60.0, "prompts are about cooking, not banking"),
        Incident("errors", traffic.too_long, 40.0, "every other prompt is longer than the context"),
    )


async def play(traffic: Traffic, ledger: Ledger, observer: Observer, say: Say, calm_seconds: float) -> None:
    """Let normal traffic make a reference, then each incident happen until its message arrives or its time is up.

    Raises:
        DemoTooSlow: the machine does not make enough inferences.
    """
    say(f"Normal traffic until there is a reference of {REFERENCE_EVENTS} prompts")
    needed, began = REFERENCE_EVENTS + WINDOW_EVENTS, time.monotonic()
    if not await _until(lambda: len(observer.seen.events) >= needed, _REFERENCE_SECONDS):
        raise DemoTooSlow(len(observer.seen.events), needed, _REFERENCE_SECONDS)
    # What takes long until there is a reference also takes longer until there is enough to notice.
    slowness = max((time.monotonic() - began) / _USUAL_SECONDS, 1.0)
    for incident in incidents(traffic):
        await asyncio.sleep(calm_seconds)
        say(f"Incident: {incident.says}")
        cause = time.time()
        ledger.incidents[incident.rule] = cause
        traffic.topic = incident.topic
        rule = incident.rule
        noticed = await _until(functools.partial(_noticed, observer, rule, cause), incident.seconds * slowness)
        say(f"  noticed after {time.time() - cause:.1f} s" if noticed else "  not noticed")
        await asyncio.sleep(incident.lingers)
        traffic.topic = traffic.normal


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_PAUSE)
    return True


def _noticed(observer: Observer, rule: str, since: float) -> bool:
    return observer.seen.alert_at(rule, since) is not None
