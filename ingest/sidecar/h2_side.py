"""One direction of an HTTP/2 connection with its header table: frames in, headers, content and resets out."""

from __future__ import annotations

from collections.abc import Callable

from ingest.sidecar.h2_frames import ACK, GOAWAY, RST_STREAM, SETTINGS, Block, FrameReader
from ingest.sidecar.h2_headers import HeaderReader, Headers

_HEADER_TABLE_SIZE = 1
_SETTING_BYTES = 6


class Side:
    """Reads what one side sends.

    `on_headers` gets each header block, read, and may return frames to pass on instead of it; `on_data` gets content
    and whether it ends its stream; `on_reset` a stream and an error code; `on_goaway` the last stream that this
    side took.
    """

    def __init__(
        self,
        on_headers: Callable[[Headers, Block], bytes | None],
        on_data: Callable[[int, memoryview, bool], None],
        on_reset: Callable[[int, int], None],
        preface: bytes = b"",
        *,
        on_goaway: Callable[[int], None] | None = None,
    ) -> None:
        self._on_headers = on_headers
        self._on_reset = on_reset
        self._on_goaway = on_goaway
        self.data = on_data
        self._reader = FrameReader(self, preface)
        self._table = HeaderReader()
        self._other: Side | None = None

    def receives_tables_of(self, other: Side) -> None:
        """Say whose header blocks the settings that this side sends are about: those that it receives."""
        self._other = other

    @property
    def between_frames(self) -> bool:
        """Whether a frame may be put in before whatever is passed on next."""
        return self._reader.between_frames

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in; return what is to be passed on. Raises `NotHttp2`, and what the callbacks raise."""
        return self._reader.feed(data)

    def release(self) -> list[bytes]:
        """Return what was held back and has to be passed on where nobody follows any more."""
        return self._reader.release()

    def headers(self, block: Block) -> bytes | None:
        """See a header block; every one is read, since later ones may refer to it."""
        return self._on_headers(self._table.read(block.encoded), block)

    def control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """See a frame that is about a stream or the connection."""
        if kind == RST_STREAM:
            self._on_reset(stream, int.from_bytes(payload, "big"))
        elif kind == GOAWAY and self._on_goaway is not None:
            self._on_goaway(int.from_bytes(payload[:4], "big") & 0x7FFF_FFFF)
        elif kind == SETTINGS and not flags & ACK and self._other is not None:
            for at in range(0, len(payload) - _SETTING_BYTES + 1, _SETTING_BYTES):
                if int.from_bytes(payload[at : at + 2], "big") == _HEADER_TABLE_SIZE:
                    self._other._table.allow_table(int.from_bytes(payload[at + 2 : at + 6], "big"))
