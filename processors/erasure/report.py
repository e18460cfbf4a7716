"""The outcome of an erasure: where was looked, what was found before, what is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.erasure.report import Found, total

_NO_ROWS: Final = (
    "No inference of the subject has a row, though it is named elsewhere. Of a user that is so where this command has "
    "another INFERWATCH_USER_HASH_SECRET than the workers: then rows stay, and nothing here can know."
)


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What one run did and proved.

    Attributes:
        erasure_id: stands for the subject in the audit log.
        dry_run: nothing was changed, and `after` is empty.
        events: inferences of the subject.
        before, after: every place, with how much was looked at and found there.
        seconds: how long it took.
    """

    erasure_id: str
    dry_run: bool
    events: int
    before: tuple[Found, ...]
    after: tuple[Found, ...]
    seconds: float

    @property
    def left(self) -> int:
        """How much of the subject is still somewhere."""
        return total(self.after)

    @property
    def complete(self) -> bool:
        """Whether nothing is left; of a dry run nothing is known."""
        return not self.dry_run and self.left == 0

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {**dataclasses.asdict(self), "left": self.left, "complete": self.complete}


def as_text(report: ErasureReport) -> str:
    """Return the report for people."""
    lines = [f"Subject {report.erasure_id}, {many(report.events, 'inference')}", "", "Found:"]
    lines += _lines(report.before, only_hits=True) or ["  nothing"]
    if report.dry_run:
        return "\n".join([*lines, "", "Nothing was changed: this was a dry run."])
    if report.events == 0 and report.before and total(report.before):
        lines += ["", _NO_ROWS]
    lines += ["", "Searched afterwards:", *_lines(report.after, only_hits=False), ""]
    looked = ", ".join(f"{count:,} {unit}" for unit, count in _by_unit(report.after).items())
    if report.complete:
        lines.append(f"Erased in {report.seconds:.1f} s. Looked at {looked}: found 0.")
    else:
        lines.append(
            f"NOT COMPLETE: {report.left} left. Looked at {looked}. Run the command again, see docs/privacy.md."
        )
    return "\n".join(lines)


def _lines(places: Sequence[Found], *, only_hits: bool) -> list[str]:
    return [
        f"  {place.place:<32} {place.found:>8} of {place.looked_at:,} {place.unit}"
        + (f"   {place.note}" if place.note else "")
        for place in places
        if place.found or not only_hits
    ]


def _by_unit(places: Sequence[Found]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for place in places:
        counts[place.unit] = counts.get(place.unit, 0) + place.looked_at
    return counts


def many(count: int, what: str) -> str:
    """Return a count with what is counted, in the singular or the plural."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
