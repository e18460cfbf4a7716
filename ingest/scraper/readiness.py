"""Whether a scraper hears every server."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.admin import Readiness
from ingest.scraper.watched import Watched


def readiness(watched: Sequence[Watched]) -> Readiness:
    """Return whether every server answers and, for each, why the last look at it failed."""
    ready = all(one.problem is None and one.last_success is not None for one in watched)
    return Readiness(ready, {"servers": {one.server.metrics: _state(one) for one in watched}})


def _state(watched: Watched) -> str:
    if watched.problem is not None:
        return watched.problem
    return "not asked yet" if watched.last_success is None else "answers"
