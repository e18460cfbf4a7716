"""Half an inference, as it travels through the topic of halves."""

from __future__ import annotations

import sys
from typing import Literal

import msgspec

from ingest.errors import ContentError

Kind = Literal["request", "response", "done"]


class Half(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A request or a response, or the note that both have become an inference (`done`).

    `at` is when it was sent, in Unix seconds. The body is `text` where it is UTF-8, so that whoever searches the topic
    finds it, else `data`. `headers` are those of the model's request that the logger was told to pass on.
    """

    kind: Kind
    key: str
    at: float = 0.0
    id: str = ""
    service: str = ""
    namespace: str = ""
    endpoint: str = ""
    component: str = ""
    team: str = ""
    environment: str = ""
    headers: dict[str, str] = {}
    text: str | None = None
    data: bytes | None = None

    @property
    def body(self) -> bytes:
        """The body as it was sent."""
        return self.data if self.data is not None else (self.text or "").encode("utf-8", "replace")

    @property
    def size(self) -> int:
        """Roughly how many bytes it takes in memory: a text takes up to four for each of its characters."""
        held = (*msgspec.structs.astuple(self), *self.headers, *self.headers.values())
        return 512 + sum(map(sys.getsizeof, held))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Half)


def encode(half: Half) -> bytes:
    """Return a half as the value of a record."""
    return _encoder.encode(half)


def decode(value: bytes | None) -> Half:
    """Return the half that a record holds.

    Raises:
        ContentError: it holds none.
    """
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ContentError("half", "not one of ours") from error


def text_or_data(body: bytes) -> dict[str, str | bytes]:
    """Return the field of a half that holds a body."""
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"data": body}
