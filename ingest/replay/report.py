"""What became of a replay, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ingest.replay.tally import Tally


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a replay. Times are in seconds; those of lateness are None where nothing could be late.

    Attributes:
        form: the format of the file.
        to: `kafka` or `sidecar`.
        wall: from the beginning until the last answer.
        trace: how far the trace was sent, in its seconds.
        asked_speed: None is as fast as possible.
        achieved_speed: None where nothing was due later than at once.
        others: see `Tally`.
    """

    form: str
    to: str
    sent: int
    ok: int
    failed: dict[str, int]
    dropped: dict[str, int]
    capped: int
    skipped: int
    first_skipped: str | None
    disordered: int
    late: int
    late_after: float
    lateness_p50: float | None
    lateness_p99: float | None
    lateness_max: float | None
    asked_speed: float | None
    achieved_speed: float | None
    achieved_share: float | None
    trace: float
    wall: float
    interrupted: bool

    @property
    def complete(self) -> bool:
        """Whether everything that could be read was sent, and answered well."""
        return not (self.failed or self.dropped or self.interrupted)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "complete": self.complete}


def report(tally: Tally, form: str, to: str, speed: float | None) -> Report:
    """Return the report of what was counted."""
    share = tally.achieved_share
    achieved = share * speed if share is not None and speed is not None else None
    if speed is None and tally.seconds > 0:
        achieved = tally.offset / tally.seconds
    return Report(
        form=form,
        to=to,
        sent=tally.sent,
        ok=tally.ok,
        failed=dict(tally.failed.most_common()),
        dropped=dict(tally.dropped.most_common()),
        capped=tally.capped,
        skipped=tally.skipped,
        first_skipped=None if tally.first_skipped is None else str(tally.first_skipped),
        disordered=tally.disordered,
        late=tally.late,
        late_after=tally.late_after,
        lateness_p50=tally.lateness.quantile(0.5),
        lateness_p99=tally.lateness.quantile(0.99),
        lateness_max=tally.latest if tally.lateness.count else None,
        asked_speed=speed,
        achieved_speed=achieved,
        achieved_share=share,
        trace=tally.offset,
        wall=tally.wall,
        interrupted=tally.interrupted,
    )


def lines(told: Report) -> Iterator[str]:
    """Yield the lines of a report for people."""
    stopped = " Stopped before the end." if told.interrupted else ""
    yield f"{told.sent:,} sent to {told.to} in {told.wall:,.1f} s, {told.ok:,} of them well.{stopped}"
    for reason, times in told.failed.items():
        yield f"  {times:>9,}  failed: {reason}"
    for reason, times in told.dropped.items():
        yield f"  {times:>9,}  not sent: {reason}"
    if told.capped:
        yield f"  {told.capped:>9,}  capped: shorter than the trace says"
    if told.skipped:
        yield f"  {told.skipped:>9,}  lines skipped; the first: {told.first_skipped}"
    if told.disordered:
        yield f"  {told.disordered:>9,}  too far from their place in the file to be put in order"
    yield from _pace(told)


def _pace(told: Report) -> Iterator[str]:
    if told.lateness_max is not None:
        yield (
            f"Lateness: {told.late:,} later than {told.late_after:g} s; p50 {told.lateness_p50:.3f} s, "
            f"p99 {told.lateness_p99:.3f} s, at most {told.lateness_max:.3f} s"
        )
    if told.achieved_speed is None:
        return
    if told.asked_speed is None:
        yield f"Speed: {told.achieved_speed:,.1f} times that of the trace, as fast as possible"
    else:
        yield f"Speed: {told.achieved_speed:,.4g} of {told.asked_speed:,.4g} asked for ({told.achieved_share:.1%})"
