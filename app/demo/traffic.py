"""Traffic: some users who ask one question after another, in every way there is, and a ledger of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.demo import planted, prompts
from app.demo.answer import Answer
from app.demo.clients import NO_ANSWER, Clients
from app.demo.ledger import Entry, Ledger
from app.demo.planted import Planted

log: Final = logging.getLogger(__name__)
_MAX_TOKENS: Final = 12
_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and what personal data it carries."""

    prompt: str
    planted: tuple[Planted, ...] = ()


Topic = Callable[[], Question]


class Traffic:
    """Asks questions of the current topic until it is stopped. `topic` may be changed at any time."""

    def __init__(self, clients: Clients, ledger: Ledger, rng: random.Random, users: int = 3) -> None:
        self._clients = clients
        self._ledger = ledger
        self._rng = rng
        self._users = users
        self._ways = itertools.cycle(clients.ways.items())
        self._values = planted.values(rng)
        self._stopping = asyncio.Event()
        self.topic: Topic = self.normal

    async def run(self) -> None:
        """Ask until `stop`; every question that was begun is finished and in the ledger."""
        async with asyncio.TaskGroup() as users:
            for _ in range(self._users):
                users.create_task(self._user())

    def stop(self) -> None:
        """Let every user finish the question they are at."""
        self._stopping.set()

    def normal(self) -> Question:
        """A question to a bank."""
        return Question(prompts.banking(self._rng))

    def personal(self) -> Question:
        """A question to a bank, every other with personal data in it."""
        text = prompts.banking(self._rng)
        if self._rng.random() < 0.5:
            return Question(text)
        values = (next(self._values), next(self._values))
        return Question(prompts.with_values(text, [value.value for value in values], self._rng), values)

    def shifted(self) -> Question:
        """A question about cooking."""
        return Question(prompts.cooking(self._rng))

    def too_long(self) -> Question:
        """Every other question is a document that the model cannot take."""
        return Question(prompts.too_long(self._rng)) if self._rng.random() < 0.5 else self.normal()

    async def _user(self) -> None:
        while not self._stopping.is_set():
            _, (source, ask) = next(self._ways)
            question = self.topic()
            answer = Answer()
            try:
                await ask(answer, question.prompt, _MAX_TOKENS)
            except NO_ANSWER as error:
                log.warning("A question got no answer: %s", type(error).__name__)
                answer.failed = True
                answer.finish()
            self._ledger.entries.append(
                Entry(
                    event_id=answer.event_id,
                    source=source,
                    streamed=answer.first is not None,
                    began_at=answer.began_at,
                    ended_at=answer.began_at + answer.duration,
                    duration=answer.duration,
                    time_to_first_token=answer.time_to_first_token,
                    time_per_output_token=answer.time_per_output_token,
                    failed=answer.failed,
                    planted=question.planted,
                )
            )
            await asyncio.sleep(_PAUSE)
