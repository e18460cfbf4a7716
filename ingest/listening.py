"""Listening on a port, and saying in words why that is not possible."""

from __future__ import annotations

import errno
import ssl

from aiohttp import web

from ingest.errors import ListenError, PortTakenError


async def listen(runner: web.AppRunner, setting: str, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
    """Let an application that is set up listen; return the port, a free one for 0. `setting` names what holds it.

    Raises:
        ListenError: the address cannot be listened on; `PortTakenError` where something else does.
    """
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        raise why_not(setting, host, port, error) from error
    return int(runner.addresses[0][1])


def why_not(setting: str, host: str, port: int, error: OSError) -> ListenError:
    """Return what to raise where listening failed."""
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(setting, host, port)
    return ListenError(setting, host, port, error.strerror or str(error))
