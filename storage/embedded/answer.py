"""HTTP answers in ClickHouse's manner."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from aiohttp import web

from storage.embedded.compression import Compressor, compressor
from storage.embedded.engine import Progress
from storage.embedded.errors import EngineError, RequestError, TooManyQueries
from storage.embedded.request import Request

DISPLAY_NAME = "inferwatch-embedded"
# A result up to this size is complete before its first byte is sent, so that a late error still gets its status.
_HELD_BACK_BYTES = 4 * 1024 * 1024
# A client that reads nothing for so long loses its place.
_SEND_SECONDS = 120.0
_SMALLEST_COMPRESSED = 512


def common_headers(timezone: str, request: Request, format_name: str | None) -> dict[str, str]:
    """Headers every answer to a statement has; `format_name` only where there is a result."""
    headers = {
        "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
        "X-ClickHouse-Query-Id": request.query_id,
        "X-ClickHouse-Timezone": timezone,
        "Content-Type": "text/plain; charset=UTF-8" if format_name is None else "application/octet-stream",
    }
    if format_name is not None:
        headers["X-ClickHouse-Format"] = format_name
    return headers


def summary_header(progress: Progress) -> dict[str, str]:
    """X-ClickHouse-Summary: every figure is text, as ClickHouse writes it."""
    summary = {
        "read_rows": progress.read_rows,
        "read_bytes": progress.read_bytes,
        "written_rows": progress.written_rows,
        "written_bytes": progress.written_bytes,
        "elapsed_ns": int(progress.elapsed_seconds * 1e9),
    }
    return {"X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()})}


def error_answer(error: RequestError) -> web.Response:
    """Status, code header and text for `error`."""
    headers = {"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Server-Display-Name": DISPLAY_NAME}
    if isinstance(error, TooManyQueries):
        headers["Retry-After"] = str(error.retry_after)
    return web.Response(status=error.status, text=error.message + "\n", headers=headers)


def whole_answer(body: bytes, headers: Mapping[str, str], accepted: str) -> web.Response:
    """A result that is complete."""
    answer = web.Response(body=body, headers=headers)
    coding = compressor(accepted) if len(body) >= _SMALLEST_COMPRESSED else None
    if coding is not None:
        name, stream = coding
        answer.headers["Content-Encoding"] = name
        answer.body = stream.feed(body) + stream.finish()
    return answer


async def streamed_answer(
    http: web.Request, blocks: AsyncGenerator[bytes, None], headers: Mapping[str, str], accepted: str
) -> web.StreamResponse:
    """Send blocks as they come; a result of moderate size goes out whole.

    Raises
    ------
    EngineError
        Before the first byte was sent. Later errors are written into the stream, marked with the tag that the
        header X-ClickHouse-Exception-Tag announces.
    """
    async with aclosing(blocks):
        held = bytearray()
        async for block in blocks:
            held += block
            if len(held) >= _HELD_BACK_BYTES:
                break
        else:
            return whole_answer(bytes(held), headers, accepted)
        return await _stream(http, bytes(held), blocks, headers, accepted)


async def _stream(
    http: web.Request, first: bytes, blocks: AsyncGenerator[bytes, None], headers: Mapping[str, str], accepted: str
) -> web.StreamResponse:
    tag = secrets.token_hex(8)
    answer = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": tag})
    coding = compressor(accepted)
    packer: Compressor | None = None
    if coding is not None:
        answer.headers["Content-Encoding"], packer = coding
    await answer.prepare(http)

    async def send(data: bytes) -> None:
        packed = data if packer is None else await asyncio.to_thread(packer.feed, data)
        if packed:
            await asyncio.wait_for(answer.write(packed), _SEND_SECONDS)

    await send(first)
    try:
        async for block in blocks:
            await send(block)
    except EngineError as error:
        await send(_exception_block(error.message, tag))
    if packer is not None:
        await answer.write(packer.finish())
    await answer.write_eof()
    return answer


def _exception_block(message: str, tag: str) -> bytes:
    text = message.encode()
    return b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (
        tag.encode(),
        text,
        len(text) + 1,
        tag.encode(),
    )
