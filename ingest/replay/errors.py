"""What replaying a file of traffic can raise.

ReplayError (an IngestError)
├── UnreadableFileError  it cannot be opened, read or unpacked
├── UnknownFormatError   its content is of no format that is known
├── BadLineError         one of its lines is not of its format
└── TargetAwayError      nothing answers where the traffic should go
"""

from __future__ import annotations

from ingest.errors import IngestError


class ReplayError(IngestError):
    """A file of traffic cannot be replayed."""


class UnreadableFileError(ReplayError):
    """It cannot be opened, read or unpacked."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}")
        self.path = path
        self.reason = reason


class UnknownFormatError(ReplayError):
    """Its content is of no format that is known."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}. Known are the Azure LLM trace (CSV with TIMESTAMP,ContextTokens,GeneratedTokens), "
            "Mooncake traces (JSON lines with timestamp, input_length and output_length) and recorded inference events "
            "(JSON lines); --format names one of them."
        )
        self.path = path
        self.reason = reason


class BadLineError(ReplayError):
    """One of its lines, counted from 1, is not of its format; `reason` never quotes it."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class TargetAwayError(ReplayError):
    """Nothing answers where the traffic should go."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"nothing can be sent to {address}: {reason}")
        self.address = address
        self.reason = reason
