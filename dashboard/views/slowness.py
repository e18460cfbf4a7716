"""Is a model slow, and because requests wait or because they are computed? One sentence, by a stated rule.

The rule, for the time of an average request that succeeded, waiting and computing together:

1. It is `GROWN` times that of the time before or more, by `NOTICEABLE` seconds at least: slow, because of whichever of
   the two grew more.
2. Otherwise at least `MOSTLY` of it is waiting: slow because queueing, since more servers would spare it that.
3. Otherwise queueing does not slow it.

A decoupled model that answers from threads of its own is computed, as Triton counts, only until it has taken a request
over. Where clients wait `BEYOND` times as long as Triton counts, most of their time is beyond what it counts, and so
not in a queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dashboard import formatting as fmt
from storage.queries import Load

GROWN: Final = 1.2
NOTICEABLE: Final = 0.001
MOSTLY: Final = 0.5
BEYOND: Final = 2.0

Cause = Literal["queueing", "computing"]

_COLOURS: Final[Mapping[Cause, str]] = {"queueing": "orange", "computing": "blue"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to say: why a model is slow (None where it is not, or nobody knows), a headline, and what it rests on.

    `colour` is Streamlit's name of the headline's.
    """

    cause: Cause | None
    headline: str
    because: str
    colour: str


def verdict(now: Load, before: Load, ago: str, seen: float | None = None) -> Verdict:
    """Return whether a model is slow and why; `before` is the time of the same length before, `ago` its name.

    `seen` is the median of what clients waited for their whole answer, in seconds, where it was mirrored.
    """
    if now.queue is None or now.compute is None:
        why = f"No request succeeded in the last {ago}." if not now.requests else "Triton does not tell times."
        return Verdict(None, "Nothing to tell", why, "gray")
    total, share = now.queue + now.compute, now.queue_share or 0.0
    if seen is not None and seen >= BEYOND * total:
        return _beyond(now.queue, total, seen)
    took = f"A request takes {fmt.seconds(total)} on average"
    if before.queue is None or before.compute is None:
        return _by_share(now, took, share, "nothing to compare it with")
    earlier = before.queue + before.compute
    if total < GROWN * earlier or total - earlier < NOTICEABLE:
        return _by_share(now, took, share, f"{fmt.seconds(earlier)} in the {ago} before")
    more_queue, more_compute = now.queue - before.queue, now.compute - before.compute
    cause: Cause = "queueing" if more_queue > more_compute else "computing"
    part = min(1.0, max(more_queue, more_compute) / (total - earlier))
    rise = f"{fmt.share(part)} of the rise is {cause}"
    because = f"{took}, {fmt.seconds(earlier)} in the {ago} before; {rise}."
    return Verdict(cause, f"Slow because {cause}", because, _COLOURS[cause])


def _beyond(queue: float, total: float, seen: float) -> Verdict:
    because = (
        f"Clients have their answer after {fmt.seconds(seen)} (median), and Triton counts {fmt.seconds(total)} for a "
        f"request: the model answers from threads of its own. A request waits {fmt.seconds(queue)} on average."
    )
    return Verdict(None, "Not slowed by queueing", because, "green")


def _by_share(now: Load, took: str, share: float, compared: str) -> Verdict:
    waits = f"it waits {fmt.seconds(now.queue)} of that, {fmt.share(share)}"
    if share >= MOSTLY:
        return Verdict("queueing", "Slow because queueing", f"{took} ({compared}); {waits}.", _COLOURS["queueing"])
    computed = f"{took} ({compared}); {waits}, and is computed for the rest."
    return Verdict(None, "Not slowed by queueing", computed, "green")
