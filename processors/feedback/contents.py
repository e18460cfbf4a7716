"""What the feedback topic holds: ratings and corrections, rows of table `feedback`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from detectors.protocols import PiiScanner
from inferwatch import topics
from processors.enrich.decode import DeadLetter, SourceRecord
from processors.feedback.rows import Given, read, rows_of
from processors.settings import EnrichSettings
from storage.sink import Columns, Table

if TYPE_CHECKING:
    from processors.stored_step import Contents


class Feedback:
    """Ratings, for `processors.stored_step.StoredStep`. Comments are masked and authors hashed."""

    topic: Final = topics.FEEDBACK
    tables: Sequence[Table] = ("feedback",)

    def __init__(self, settings: EnrichSettings, scanner: PiiScanner) -> None:
        self._settings = settings
        self._scanner = scanner
        self._secret = settings.user_hash_secret.encode()

    def read(self, records: Iterable[SourceRecord], now: float) -> tuple[dict[Table, list[Given]], list[DeadLetter]]:
        """Return ratings, with where they stood, and what is none."""
        good, dead = read(records, now, self._settings.past_days, self._settings.future_seconds)
        return {"feedback": good}, dead

    def rows_of(self, table: Table, given: Sequence[Given]) -> Columns:
        """Return the columns of ratings."""
        return rows_of(given, self._scanner, self._secret)


if TYPE_CHECKING:
    _: type[Contents] = Feedback
