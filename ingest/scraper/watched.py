"""One server that is watched: what it said last, and how looking at it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from inferwatch import ServerSample
from inferwatch.clock import Clock
from ingest.errors import ScrapeError
from ingest.scraper.increases import ServerIncreases
from ingest.scraper.readings import Answers
from ingest.scraper.samples import sample_of
from ingest.scraper.settings import ServerAddress


@dataclass(slots=True)
class Watched:
    """A server, with counts of looks at it.

    Attributes:
        scrapes: all looks, those that failed included.
        failed: looks that failed.
        resets: how often counters of a model or a device began anew.
        samples: samples made.
        last_success: when it answered last, Unix seconds; None for never.
        problem: why the last look failed; None where it did not.
    """

    server: ServerAddress
    environment: str
    scrapes: int = 0
    failed: int = 0
    resets: int = 0
    samples: int = 0
    last_success: float | None = None
    problem: str | None = None
    _increases: ServerIncreases = field(default_factory=ServerIncreases)

    def answered(self, clock: Clock, answers: Answers) -> list[ServerSample]:
        """Take what the server says now and return what was added since it was heard last."""
        interval, found = self._increases.look(clock.elapsed(), answers)
        at = clock.now()
        self.scrapes += 1
        self.resets += sum(increase.anew for increase in found)
        self.samples += len(found)
        self.last_success, self.problem = at, None
        return [sample_of(increase, at, interval, self.server.metrics, self.environment) for increase in found]

    def missed(self, error: ScrapeError) -> None:
        """Note that the server could not be heard."""
        self.scrapes += 1
        self.failed += 1
        self.problem = error.reason
