"""A way in over HTTP: its path, what it takes, and how it reads, answers and refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ingest.collector.answers import Answer, refusal
from ingest.collector.batch import Batch
from ingest.collector.json_values import JSON
from ingest.collector.received import Received
from ingest.errors import Refused


def _as_json(error: Refused, _media_type: str) -> Answer:
    return refusal(error)


def _json(_media_type: str) -> str:
    return JSON


ANY: Final = "*/*"
"""Stands for every content type: in CloudEvents' binary mode it is that of the data."""


@dataclass(frozen=True, slots=True)
class Way:
    """A path that takes POST.

    Attributes:
        path: where.
        media_types: content types that are understood.
        decode: makes a batch of a request; may raise `Refused`.
        refuse: makes an answer of a refusal, given the request's content type.
        answer_type: the answer's content type, given the request's.
        key_in_query: whether an API key may stand in the URL, as `?key=iw_…`, for senders that cannot set a header.
    """

    path: str
    media_types: tuple[str, ...]
    decode: Callable[[Received], Batch]
    refuse: Callable[[Refused, str], Answer] = _as_json
    answer_type: Callable[[str], str] = _json
    key_in_query: bool = False

    @property
    def refuses_as_json(self) -> bool:
        """Whether refusals are told as `answers.refusal` tells them."""
        return self.refuse is _as_json

    def takes(self, media_type: str) -> bool:
        """Whether a content type is understood."""
        return media_type in self.media_types or ANY in self.media_types
