"""The notify step: each transition that people must know of is sent once.

Order of durability:

1. Skip transitions that were sent before: they are remembered by id, with the offset.
2. Send; wait and try again for as long as Slack is away or asks to.
3. Save what was sent; then records may be acknowledged.

Killed between 2 and 3, the message that was just sent is sent once more. Interrupted in 2, what was sent is saved, and
the rest of the batch comes again, here or elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from inferwatch.clock import Clock
from processors.dead_letters import read_or_bury
from processors.errors import Interrupted, NotDelivered
from processors.notify.message import slack_message
from processors.notify.slack import Notifier
from processors.partitions import PartitionStates
from processors.producer import OutgoingRecord, RecordProducer
from processors.records import AlertTransition
from processors.retry import pause, until_it_works
from processors.step import Record
from storage.state import StateStore

log: Final = logging.getLogger(__name__)
COMPONENT: Final = "notify"
_REMEMBERED: Final = 1_000
_LONGEST_WAIT: Final = 60.0


class Sent:
    """The ids of the last transitions that were sent, and alerts that people know to be firing."""

    def __init__(self, transitions: Sequence[str] = (), firing: Sequence[str] = ()) -> None:
        self._transitions = dict.fromkeys(transitions)
        self._firing = dict.fromkeys(firing)

    def wants(self, change: AlertTransition) -> bool:
        """Return whether people must hear of a transition: it fires, or it ends what they heard of."""
        if change.transition_id in self._transitions:
            return False
        return change.state == "firing" or (change.state == "resolved" and change.alert_id in self._firing)

    def add(self, change: AlertTransition) -> None:
        """Remember that a transition was sent."""
        self._transitions[change.transition_id] = None
        if change.state == "firing":
            self._firing[change.alert_id] = None
        else:
            self._firing.pop(change.alert_id, None)
        while len(self._transitions) > _REMEMBERED:
            del self._transitions[next(iter(self._transitions))]
        while len(self._firing) > _REMEMBERED:
            del self._firing[next(iter(self._firing))]

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain JSON."""
        return {"version": 1, "transitions": list(self._transitions), "firing": list(self._firing)}

    @classmethod
    def restored(cls, snapshot: dict[str, Any]) -> Sent:
        """Return the state that a snapshot describes."""
        return cls(snapshot["transitions"], snapshot["firing"])


class NotifyStep:
    """Sends alert transitions to people. Without a notifier they are logged."""

    def __init__(
        self,
        notifier: Notifier | None,
        dashboard_url: str,
        store: StateStore,
        producer: RecordProducer,
        topic_ids: Mapping[str, str],
        clock: Clock,
    ) -> None:
        self._notifier = notifier
        self._dashboard_url = dashboard_url
        self._producer = producer
        self._interrupted = asyncio.Event()
        self._states = PartitionStates(COMPONENT, store, clock, 0.0, topic_ids, Sent, Sent.restored)

    async def process(self, records: Sequence[Record]) -> bool:
        """Send the messages of a batch, in order."""
        buried: list[OutgoingRecord] = []
        try:
            for sent, record in await self._states.unprocessed(records):
                for change in read_or_bury(record, AlertTransition, buried):
                    if sent.wants(change) and await self._send(change):
                        sent.add(change)
        except Interrupted as error:
            log.warning("%s; it will come again", error)
        await until_it_works("Sending dead letters", lambda: self._producer.send(buried))
        return await self.tick()

    async def tick(self) -> bool:
        """Save what a store that was away did not take."""
        saved = await self._states.saved(now=True)
        return saved and not self._interrupted.is_set()

    def interrupt(self) -> None:
        """Send nothing more; whoever takes over does."""
        self._interrupted.set()

    async def release(self) -> None:
        """Save what can be saved, then forget."""
        await self._states.saved(now=True)
        self._states.forget()
        self._interrupted.clear()

    async def _send(self, change: AlertTransition) -> bool:
        """Return whether people were told, sooner or later.

        Raises:
            Interrupted: they were not told yet, and may be by someone else.
        """
        log.warning("Alert %s %s on %s: %s", change.rule, change.state, change.model, change.summary)
        if self._notifier is None:
            return True
        wait = 1.0
        while True:
            if self._interrupted.is_set():
                raise Interrupted("Sending a message")
            try:
                await self._notifier.send(slack_message(change, self._dashboard_url))
                return True
            except NotDelivered as error:
                if error.final:
                    log.error("A message is given up, the webhook refuses it: %s", error.reason)
                    return False
                wait = min(max(wait * 2, error.retry_after), _LONGEST_WAIT)
                log.warning("%s; trying again in %.0f s", error, wait)
                await pause("Sending a message", wait, self._interrupted)
