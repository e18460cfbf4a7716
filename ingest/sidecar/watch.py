"""What a connection through the sidecar tells whoever follows it; it decides what passes, and never raises."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Follows both directions of one connection.

    What `request` and `response` return is what the other side gets: the bytes as they came, but for headers that are
    added to responses to inferences and, where settings say so, taken out of requests.
    """

    @property
    def busy(self) -> bool:
        """Whether a request or its response is under way."""
        ...

    @property
    def crowded(self) -> bool:
        """Whether so many requests wait for their response that no more should be read."""
        ...

    @property
    def unanswered(self) -> bool:
        """Whether the client waits for a response of which nothing has come yet, and can be given one."""
        ...

    @property
    def uploading(self) -> bool:
        """Whether the client is about to send more, which must be read for it to see an answer."""
        ...

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the closing of the connection tells the client that the response is complete."""
        ...

    @property
    def broken(self) -> bool:
        """Whether what would have to pass cannot be made any more; both connections have to be closed."""
        ...

    def request(self, data: bytes) -> list[bytes]:
        """See bytes from the client; return what upstream gets."""
        ...

    def response(self, data: bytes) -> list[bytes]:
        """See bytes from upstream; return what the client gets."""
        ...

    def client_gone(self) -> None:
        """See that the client left."""
        ...

    def upstream_gone(self, *, cut: bool = False) -> None:
        """See that upstream closed the connection; `cut` where that was not how it ends a response."""
        ...

    def refuse(self, reason: str) -> list[bytes]:
        """Return what the client gets to what it has asked so far, where upstream cannot answer it; may be nothing."""
        ...

    def farewell(self) -> bytes:
        """Return what tells the client to begin no further requests, where its protocol can and now is a moment."""
        ...
