"""Ports on this machine."""

from __future__ import annotations

import socket

from app.errors import PortTaken


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return that many different ports that nothing listens on now."""
    sockets = [socket.create_server((host, 0)) for _ in range(count)]
    try:
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def require_free(service: str, host: str, port: int, variable: str) -> None:
    """Raise `PortTaken`, which names `variable` as the way out, where something listens on the port."""
    try:
        # SO_REUSEADDR is on: a connection that lingers after its server ended is no obstacle.
        socket.create_server((host, port)).close()
    except OSError as error:
        raise PortTaken(service, host, port, variable) from error
