"""What erasing from topics can raise.

ProcessorError
├── NotYetProcessed      records wait for a worker that does not come
└── TopicNotErased       Kafka would not remove records
"""

from __future__ import annotations

from processors.errors import ProcessorError


class NotYetProcessed(ProcessorError):
    """`behind` records of `topic` were not processed by `group` (empty: by nobody ever) within the time given."""

    def __init__(self, topic: str, group: str, behind: int, seconds: float) -> None:
        whose = f"worker {group.removeprefix('inferwatch-')}" if group else "any worker"
        super().__init__(
            f"{behind} records of {topic} were not processed by {whose} within {seconds:g} seconds; erased now, "
            "they would come back or be lost. Start the worker, or give it more time with --wait, then run this again."
        )
        self.topic = topic
        self.group = group
        self.behind = behind


class TopicNotErased(ProcessorError):
    """Kafka did not remove what `topic` holds."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(
            f"Kafka did not remove records of {topic}: {reason}. The embedded broker cannot: it forgets everything "
            "when it is restarted. A real one needs the right to delete records (ACL operation Delete on the topic)."
        )
        self.topic = topic
        self.reason = reason
