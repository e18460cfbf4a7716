"""What the processors can raise, beside `storage.errors` and `serving.errors`.

ProcessorError
├── TooMuchPoison        most of what arrives is invalid: the worker stops rather than empty the topic
├── InvalidRule          an alert rule that cannot be evaluated
├── InvalidPriceBook     a price book that cannot be read
├── DeliveryFailed       Kafka did not acknowledge in time
├── TopicsNotReady       no broker answers, or it does not have or make the topics
├── TopicUnreadable      a topic, or what is known of it, cannot be read
├── DeadLetterError      see `processors.dead_letters.errors`
├── DatasetNotWritten    the folder of datasets is full, or not ours to write
├── Interrupted          a wait was given up, because partitions are taken away or the worker stops
└── NotDelivered         a message did not reach people
"""

from __future__ import annotations


class ProcessorError(Exception):
    """Base of everything this package raises."""


class TooMuchPoison(ProcessorError):
    """In more than `limit` (a share) of the last `seen` records most events were invalid."""

    def __init__(self, share: float, seen: int, limit: float, last_reason: str) -> None:
        super().__init__(
            f"{share:.0%} of the last {seen} records held mostly invalid events, more than the limit of {limit:.0%}; "
            f"the last one because: {last_reason}. Something upstream writes another format: stop it. Then start once "
            "with INFERWATCH_POISON_LIMIT=1, which makes dead letters of all that is there."
        )
        self.share = share
        self.seen = seen
        self.limit = limit
        self.last_reason = last_reason


class InvalidRule(ProcessorError):
    """A rule file, and where it does not fit."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class InvalidPriceBook(ProcessorError):
    """A price book, and where it does not fit."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class DeliveryFailed(ProcessorError):
    """Kafka did not acknowledge a record for `topic`."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"Kafka did not take a record for {topic}: {reason}")
        self.topic = topic
        self.reason = reason


class TopicsNotReady(ProcessorError):
    """The topics at `servers` cannot be used, for `reason`."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(f"Kafka at {servers}: {reason}. Is it up, and is INFERWATCH_KAFKA_BOOTSTRAP_SERVERS right?")
        self.servers = servers
        self.reason = reason


class TopicUnreadable(ProcessorError):
    """A topic, or what is known of it, cannot be read."""

    def __init__(self, topic: str, servers: str, reason: str) -> None:
        super().__init__(
            f"{topic} at {servers} cannot be read: {reason}. "
            "Is Kafka up, is INFERWATCH_KAFKA_BOOTSTRAP_SERVERS right, and may this user read the topic?"
        )
        self.topic = topic
        self.servers = servers
        self.reason = reason


class DatasetNotWritten(ProcessorError):
    """A retraining dataset could not be written at `path`; may pass, once there is room or a right to write."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"no retraining dataset can be written at {path}: {reason}. "
            "Make it a folder that can be written and has room, or set INFERWATCH_RETRAINING_DIR to another"
        )
        self.path = path
        self.reason = reason


class Interrupted(ProcessorError):
    """What was waited for did not come before `Step.interrupt` was called."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: given up for now")
        self.what = what


class NotDelivered(ProcessorError):
    """Slack did not take a message; worth another try after `retry_after` seconds unless `final`."""

    def __init__(self, reason: str, retry_after: float, *, final: bool) -> None:
        super().__init__(f"Slack did not take a message: {reason}")
        self.reason = reason
        self.retry_after = retry_after
        self.final = final
