"""Whether a sidecar can reach both ports of Triton."""

from __future__ import annotations

import asyncio
from typing import Final

from ingest.admin import Readiness
from ingest.sidecar.settings import SidecarSettings, split_address

_PROBE_SECONDS: Final = 2.0


async def readiness(settings: SidecarSettings) -> Readiness:
    """Return whether both accept connections and, for each, why not."""
    names = ("upstream_http", "upstream_grpc")
    reasons = await asyncio.gather(*(_probe(name, getattr(settings, name)) for name in names))
    upstreams = {name: reason or "reachable" for name, reason in zip(names, reasons, strict=True)}
    return Readiness(not any(reasons), upstreams)


async def _probe(name: str, address: str) -> str | None:
    """Return why an address cannot be reached, None where it can."""
    host, port = split_address(name, address)
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"{address} did not accept a connection within {_PROBE_SECONDS:g} s"
    except OSError as error:
        return f"{address} cannot be reached: {error.strerror or error}"
    writer.close()
    return None
