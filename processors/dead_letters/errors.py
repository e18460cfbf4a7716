"""What looking at dead letters can raise, beside `processors.topic_reader.TopicUnreadable`.

ProcessorError
└── DeadLetterError
    ├── NoSuchLetter     nothing has that id, or several have
    └── NotReplayed      Kafka did not take what was to be replayed
"""

from __future__ import annotations

from processors.errors import ProcessorError


class DeadLetterError(ProcessorError):
    """Base of everything this package raises."""


class NoSuchLetter(DeadLetterError):
    """No dead letter, or more than one, has the id `wanted`; `reason` says which."""

    def __init__(self, wanted: str, reason: str) -> None:
        super().__init__(f"{wanted}: {reason}; `inferwatch dead-letters list` shows the ids there are")
        self.wanted = wanted
        self.reason = reason


class NotReplayed(DeadLetterError):
    """Kafka did not take a record for `topic`. What was begun is found out by the next replay of the same letters."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(
            f"{topic} did not take what was to be replayed: {reason}. "
            "Replay the same letters again: what did arrive is found and not sent twice"
        )
        self.topic = topic
        self.reason = reason
