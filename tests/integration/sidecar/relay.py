"""A TCP relay that remembers every byte that passed through it, connection by connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Conversation:
    """The bytes of one connection in both directions."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@dataclass
class Relay:
    """Where it listens, and what passed, in the order in which connections were made."""

    port: int = 0
    conversations: list[Conversation] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Return `host:port`."""
        return f"127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def relayed(host: str, port: int) -> AsyncIterator[Relay]:
    """Run a relay before an address."""
    relay = Relay()
    running: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        conversation = Conversation()
        relay.conversations.append(conversation)
        upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                _pass_on(reader, upstream_writer, conversation.asked),
                _pass_on(upstream_reader, writer, conversation.answered),
            )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for task in running - {None}:
            assert task is not None
            task.cancel()
            await task


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    """Pass on until the end, which is passed on too."""
    with contextlib.suppress(ConnectionError):
        try:
            while data := await reader.read(1 << 16):
                kept += data
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
