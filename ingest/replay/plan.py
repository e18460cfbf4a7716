"""What a replay would send."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ingest.replay.arrival import Arrival
from ingest.replay.schedule import when_they_arrive


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of a trace at a speed.

    Attributes:
        form: the format of the file.
        count: how many would be sent.
        span: seconds of the trace from the first arrival to the last.
        seconds: the same in the replay; None where it is as fast as possible.
        mean_rate: arrivals a second of the replay; None likewise, and where all come at once.
        peak_rate: arrivals in the fullest of its seconds.
        input_tokens: of all prompts, where the trace says.
        output_tokens: of all answers, likewise.
        capped: how many would be shorter than the trace says.
        skipped: lines that are not of the format.
        disordered: arrivals that could not be put in order.
    """

    form: str
    count: int
    span: float
    seconds: float | None
    mean_rate: float | None
    peak_rate: int | None
    input_tokens: int
    output_tokens: int
    capped: int
    skipped: int = 0
    disordered: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def plan(arrivals: Iterable[Arrival], form: str, speed: float | None, capped: Callable[[Arrival], bool]) -> Plan:
    """Return what a replay of arrivals at a speed would send."""
    count = asked = answered = shorter = 0
    span, peak, second, in_second = 0.0, 0, 0, 0
    for due in when_they_arrive(arrivals, speed):
        count += 1
        span = max(span, due.offset)
        asked += due.arrival.input_tokens or 0
        answered += due.arrival.output_tokens or 0
        shorter += capped(due.arrival)
        now = int(due.begins or 0)
        second, in_second = (now, 1) if now != second else (second, in_second + 1)
        peak = max(peak, in_second)
    seconds = None if speed is None else span / speed
    return Plan(
        form=form,
        count=count,
        span=span,
        seconds=seconds,
        mean_rate=count / seconds if seconds else None,
        peak_rate=None if speed is None else peak,
        input_tokens=asked,
        output_tokens=answered,
        capped=shorter,
    )


def lines(told: Plan, to: str) -> Iterator[str]:
    """Yield the lines of a plan for people."""
    yield f"{told.count:,} of format {told.form} would be sent to {to}; they span {told.span:,.1f} s of the trace"
    if told.seconds is None:
        yield "As fast as possible"
    elif told.mean_rate is not None:
        yield f"In {told.seconds:,.1f} s: {told.mean_rate:,.2f} a second on average, at most {told.peak_rate:,}"
    yield f"{told.input_tokens:,} input tokens, {told.output_tokens:,} output tokens"
    if told.capped:
        yield f"  {told.capped:>9,}  would be capped: shorter than the trace says"
    if told.skipped:
        yield f"  {told.skipped:>9,}  lines would be skipped"
    if told.disordered:
        yield f"  {told.disordered:>9,}  too far from their place in the file to be put in order"
