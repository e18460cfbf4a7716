"""What starting servers on this machine can raise.

LocalError
├── ToolMissing        a program that must be on this machine is not
├── FetchFailed        the broker's files could not be downloaded
├── FormatFailed       the broker's data folder could not be prepared
└── MockBrokerFailed   the in-memory broker did not come up
"""

from __future__ import annotations

from pathlib import Path


class LocalError(Exception):
    """Base of everything this package raises."""


class ToolMissing(LocalError):
    """`reason` says which program is missing and what to install."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchFailed(LocalError):
    """Maven ended with `status`; `output` is the end of what it said."""

    def __init__(self, status: int | None, output: str) -> None:
        how = "took too long" if status is None else f"ended with status {status}"
        super().__init__(
            f"Maven could not download Kafka: it {how}. Check the network and Maven's settings "
            "(~/.m2/settings.xml), then try again; for a first look INFERWATCH_KAFKA_EMBEDDED=1 does without Kafka."
            f"\n{output}"
        )
        self.status = status
        self.output = output


class FormatFailed(LocalError):
    """Kafka's storage tool refused `data_dir`."""

    def __init__(self, data_dir: Path, output: str) -> None:
        super().__init__(f"Kafka could not prepare {data_dir}. Empty that folder to begin anew.\n{output}")
        self.data_dir = data_dir
        self.output = output


class MockBrokerFailed(LocalError):
    """librdkafka's mock cluster gave no address within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The in-memory broker did not start within {seconds:g} s")
        self.seconds = seconds
