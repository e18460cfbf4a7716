"""A request as decoders see it: whose it is, what came, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.collector.batch import Batch
from ingest.collector.caller import Caller
from ingest.collector.outcomes import Repeat
from ingest.errors import Malformed

_MOST_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Received:
    """A request. `at` is its arrival in Unix seconds, header names are in lower case, `body` has no content coding.

    `environment` and `team` are those of what does not say, and `caller` may overrule what does.
    """

    caller: Caller
    path: str
    media_type: str
    body: bytes
    at: float
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: str = "default"
    most_characters: int = 65_536

    @property
    def idempotency_key(self) -> str:
        """What the sender calls this request, "" where it does not.

        Raises:
            Malformed: it is too long.
        """
        key = self.headers.get("idempotency-key", "")
        if len(key) > _MOST_KEY_CHARACTERS:
            raise Malformed(f"Idempotency-Key has more than {_MOST_KEY_CHARACTERS} characters")
        return key

    def repeat(self, batch: Batch) -> Repeat | None:
        """Return how this request is recognised when it comes again, None where it cannot be."""
        key = self.idempotency_key
        if not key and not batch.repeatable:
            return None
        digest = hashlib.sha256(self.body).hexdigest()
        return Repeat((self.caller.key_id, self.path, f"key {key}" if key else f"body {digest}"), digest)
