"""What must differ when a container's program runs on this machine: addresses and folders, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.local.ports import free_ports

LOOPBACK = "127.0.0.1"
_SELF = frozenset({"", "localhost", LOOPBACK, "0.0.0.0"})
_MOST_PORTS = 40


class Relocation:
    """Every port of every service becomes a free one on loopback, every folder another.

    Parameters
    ----------
    services
        Names that stand for hosts.
    folders
        Folders of the containers, each with the one that takes its place.
    """

    def __init__(self, services: Iterable[str], folders: Mapping[str, Path]) -> None:
        self._services = frozenset(services)
        self._folders = folders
        self._free = free_ports(_MOST_PORTS)
        self._ports: dict[tuple[str, int], int] = {}
        self._folder = re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, folders))})(?=/|$)")

    def port(self, service: str, port: int) -> int:
        """Return the port that stands for a service's own."""
        if (service, port) not in self._ports:
            self._ports[service, port] = self._free.pop()
        return self._ports[service, port]

    def words(self, service: str, words: Iterable[str]) -> tuple[str, ...]:
        """Return a command of a service."""
        return tuple(self._text(service, word) for word in words)

    def variables(self, service: str, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a service."""
        return {
            name: str(self.port(service, int(value))) if name.endswith("_PORT") else self._text(service, value)
            for name, value in variables.items()
        }

    def _text(self, service: str, text: str) -> str:
        def address(match: re.Match[str]) -> str:
            host, port = match[1], int(match[2])
            if host not in _SELF | self._services:
                return match[0]
            return f"{LOOPBACK}:{self.port(service if host in _SELF else host, port)}"

        text = re.sub(r"([\w.-]*):(\d{2,5})(?!\d)", address, text)
        text = re.sub(r"(?<=port=)\d+$", lambda match: str(self.port(service, int(match[0]))), text)
        text = re.sub(r"\b0\.0\.0\.0$", LOOPBACK, text)
        return self._folder.sub(lambda match: str(self._folders[match[0]]), text)
