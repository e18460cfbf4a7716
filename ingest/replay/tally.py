"""What became of a replay so far: counted while it runs, in memory that does not grow."""

from __future__ import annotations

from collections import Counter

from detectors.sketch import Sketch
from ingest.replay.errors import BadLineError
from ingest.replay.schedule import Due


class Tally:
    """Counts of one replay.

    Attributes:
        sent: what was given to the target.
        ok: what the target answered well, or acknowledged.
        failed: what it did not, by reason.
        dropped: what was read and not sent, by reason.
        capped: what was sent shorter than the trace says.
        skipped: lines that are not of the format.
        first_skipped: the first of these.
        disordered: arrivals that came too late in the file to be put in order.
        late: what was sent more than `late_after` seconds after its time.
        lateness: seconds after its time of all that was sent.
        latest: the largest of these.
        offset: how far the trace is sent, in its seconds; what was sent last may have arrived earlier.
        place: how far the file is sent, in bytes.
        due: seconds from the first arrival at which the last was due, of all that was sent; None where it was due at
            once.
        seconds: the same at which that one was sent.
        wall: seconds that the whole replay took, set at its end.
        interrupted: whether the replay ended before its trace: it was stopped, or the file could not be read on.
    """

    def __init__(self, late_after: float) -> None:
        self.late_after = late_after
        self.sent = 0
        self.ok = 0
        self.failed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.capped = 0
        self.skipped = 0
        self.first_skipped: BadLineError | None = None
        self.disordered = 0
        self.late = 0
        self.lateness = Sketch()
        self.latest = 0.0
        self.offset = 0.0
        self.place = 0
        self.due: float | None = None
        self.seconds = 0.0
        self.wall = 0.0
        self.interrupted = False

    def note_sent(self, due: Due, after: float) -> None:
        """Count what was sent `after` seconds from the first arrival."""
        self.sent += 1
        self.offset = max(self.offset, due.offset)
        self.place = max(self.place, due.arrival.place)
        # What is out of place in the file may have been due long before what was sent already.
        if due.sends is None or self.due is None or due.sends >= self.due:
            self.due, self.seconds = due.sends, after
        if due.sends is None:
            return
        lateness = max(0.0, after - due.sends)
        self.lateness.add(lateness)
        self.latest = max(self.latest, lateness)
        self.late += lateness > self.late_after

    def note_skipped(self, error: BadLineError) -> None:
        """Count a line that is not of the format."""
        self.skipped += 1
        self.first_skipped = self.first_skipped or error

    def note_disordered(self) -> None:
        """Count an arrival that could not be put in order."""
        self.disordered += 1

    @property
    def unanswered(self) -> int:
        """How much was sent and is neither well nor failed yet."""
        return self.sent - self.ok - self.failed.total()

    @property
    def achieved_share(self) -> float | None:
        """The speed reached, divided by the one asked for; None where nothing was due later than at once."""
        return self.due / self.seconds if self.due and self.seconds > 0 else None
