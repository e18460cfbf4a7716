"""Running what listens until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping

from app.errors import PortTaken


async def until_stopped(
    service: str, serve: Callable[[asyncio.Event], Awaitable[None]], ports: Mapping[str, str]
) -> None:
    """Serve until SIGTERM or SIGINT sets the event. `ports` names the variable of each setting that holds a port.

    Raises:
        PortTaken: something else listens there.
    """
    from ingest.errors import PortTakenError

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await serve(stop)
    except PortTakenError as error:
        raise PortTaken(service, error.host, error.port, ports[error.setting]) from error
