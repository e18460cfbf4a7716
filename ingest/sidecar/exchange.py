"""What was seen of one inference: everything that the parser needs, and nothing that it would have to wait for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ingest.sidecar.budget import MOST_PIECES, PIECE_BYTES, Budget
from ingest.sidecar.grpc_messages import GrpcMessage
from ingest.sidecar.tap import Outcome

Kind = Literal["infer", "generate", "chat", "completion", "embedding", "model_infer", "model_stream_infer"]
"""Which protocol the bytes speak; the last two are gRPC methods."""


@dataclass(frozen=True, slots=True)
class Route:
    """An inference as its path names it; gRPC names the model in the message."""

    kind: Kind
    model: str = ""
    version: str | None = None
    streamed: bool = False


class Capture:
    """The first bytes of one direction, in the pieces in which they came, each with its time.

    `size` counts everything that passed, `captured` what was kept, `codings` tells how messages are compressed. Of all
    pieces, also those that were not kept: `pieces` is their number, `first` and `last` are their times, and
    `longest_gap` is the longest time between two. It keeps at most `most` bytes in `MOST_PIECES`, and only what
    `budget` has left.
    """

    __slots__ = (
        *("_budget", "_taken", "captured", "codings", "first", "last"),
        *("longest_gap", "most", "parts", "pieces", "size"),
    )

    def __init__(self, most: int, budget: Budget | None = None) -> None:
        self._budget = budget
        self._taken = 0
        self.most = most
        self.parts: list[tuple[float, bytes]] = []
        self.captured = 0
        self.size = 0
        self.pieces = 0
        self.first: float | None = None
        self.last: float | None = None
        self.longest_gap = 0.0
        self.codings: dict[int, str] = {}

    def add_message(self, at: float, message: GrpcMessage, coding: str) -> None:
        """See a whole message, of which not everything may be here; keep what fits."""
        before = len(self.parts)
        self.add(at, message.data)
        self.size += message.size - len(message.data)
        if message.compressed and len(self.parts) > before:
            self.codings[before] = coding

    def add(self, at: float, data: bytes | memoryview) -> None:
        """See a piece; keep what fits, and nothing behind a gap."""
        room = min(len(data), self.most - self.captured) if self.whole else 0
        self.size += len(data)
        self.pieces += 1
        if self.last is None:
            self.first = at
        elif at - self.last > self.longest_gap:
            self.longest_gap = at - self.last
        self.last = at
        if room > 0 and len(self.parts) < MOST_PIECES and self._may_keep(room + PIECE_BYTES):
            self.captured += room
            self.parts.append((at, bytes(data[:room])))

    @property
    def held(self) -> int:
        """Roughly how many bytes this keeps in memory."""
        return self.captured + PIECE_BYTES * len(self.parts)

    def release(self) -> None:
        """Give back to the budget: from now on somebody else counts what is kept."""
        if self._budget is not None:
            self._budget.give_back(self._taken)
            self._budget = None

    def _may_keep(self, size: int) -> bool:
        if self._budget is None:
            return True
        if not self._budget.take(size):
            return False
        self._taken += size
        return True

    @property
    def most_plain(self) -> int:
        """How many bytes are read of what is compressed here: kilobytes may unfold to gigabytes."""
        return 2 * self.most

    @property
    def whole(self) -> bool:
        """Whether everything that passed was kept."""
        return self.captured == self.size

    def joined(self) -> bytes:
        """Return what was kept as one piece."""
        return b"".join(data for _, data in self.parts)


@dataclass(slots=True)
class Exchange:
    """One inference from the first byte of its request to how it ended.

    `started_at` is Unix time; `started`, `ended` and the times in captures are `Clock.elapsed()`. Of headers there are
    those that are read, with names in lower case and each byte of a value as a character. Over gRPC each captured part
    is one message (cut where the capture is full), over HTTP the parts of a body lie where the network cut it. `code`
    is the HTTP status or the gRPC code's name.
    """

    event_id: str
    route: Route
    headers: Mapping[str, str]
    started_at: float
    started: float
    request: Capture
    response: Capture
    response_headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    details: str = ""
    outcome: Outcome = "complete"
    ended: float = 0.0

    @property
    def held(self) -> int:
        """Roughly how many bytes this keeps in memory."""
        heads = sum(map(len, (*self.headers.values(), *self.response_headers.values())))
        return 2_048 + heads + len(self.route.model) + len(self.details) + self.request.held + self.response.held
