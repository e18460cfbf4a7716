"""Settings of a replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from ingest.errors import SettingError
from ingest.replay.formats import Format
from ingest.replay.window import Window

Route = Literal["generate_stream", "generate", "chat"]

DEFAULT_MODEL: Final = "smollm2"
SLOWEST: Final = 1e-6
"""A second of the trace takes twelve days."""


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """What to replay, and how fast.

    Attributes:
        path: the file; `-` is standard input.
        form: its format; None recognises it by its content.
        speed: how many times faster than it was; None is as fast as possible.
        window: the part of the trace.
        skip_bad: whether lines that are not of the format are counted; otherwise the first one ends the replay.
        reorder: how many arrivals may be held to put them in order.
        late_after: seconds after its time from which something counts as late.
    """

    path: str
    form: Format | None = None
    speed: float | None = 1.0
    window: Window = field(default_factory=Window)
    skip_bad: bool = False
    reorder: int = 10_000
    late_after: float = 0.1

    def __post_init__(self) -> None:
        if self.speed is not None and not SLOWEST <= self.speed < float("inf"):
            raise SettingError("speed", self.speed, f"a number of at least {SLOWEST}")
        if self.window.end is not None and self.window.end <= self.window.begin:
            raise SettingError("window", (self.window.begin, self.window.end), "an end after the beginning")


@dataclass(frozen=True, slots=True)
class Labels:
    """Names that what is sent carries. None leaves a recorded event its own, and gives others the default."""

    model: str | None = None
    team: str | None = None
    environment: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class EventSettings:
    """How events are made of arrivals, for Kafka.

    Attributes:
        labels: names they carry.
        ttft: assumed seconds from the arrival to the first token, where the trace has no times.
        tpot: assumed seconds for each further token, likewise.
        text: whether to make text of about the length that the trace says.
        seed: what that text is made of.
    """

    labels: Labels = field(default_factory=Labels)
    ttft: float = 0.2
    tpot: float = 0.02
    text: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("ttft", "tpot"):
            if not 0 <= getattr(self, name) <= 3600:
                raise SettingError(name, getattr(self, name), "seconds from 0 to 3600")


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How requests are made of arrivals, for the sidecar.

    Attributes:
        url: where the sidecar listens, without a path.
        route: what to ask: Triton's `generate_stream` or `generate`, or OpenAI's chat completions, streamed.
        labels: names they carry, as headers.
        most_input_tokens: longest prompt that is made; those that were recorded are sent as they are.
        most_output_tokens: longest answer that is asked for.
        concurrency: most requests at the same time.
        drop_late: whether what is too late when its turn comes is dropped, instead of sent late.
        timeout: seconds for one request and its answer.
        seed: what prompts are made of.
    """

    url: str = "http://127.0.0.1:9000"
    route: Route = "generate_stream"
    labels: Labels = field(default_factory=Labels)
    most_input_tokens: int = 1_024
    most_output_tokens: int = 256
    concurrency: int = 64
    drop_late: bool = False
    timeout: float = 120.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("most_input_tokens", "most_output_tokens", "concurrency"):
            if getattr(self, name) < 1:
                raise SettingError(name, getattr(self, name), "a number of at least 1")
        if self.timeout <= 0:
            raise SettingError("timeout", self.timeout, "seconds, more than 0")
