"""What docker-compose.yml and the Dockerfile say, as plain values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {"INFERWATCH_USER_HASH_SECRET": "a-secret-of-the-tests", "INFERWATCH_CLICKHOUSE_PASSWORD": "password4tests"}
"""What a `.env` must hold."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# The innermost expression: nested ones are replaced from the inside out.
_EXPRESSION = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^{}]*))?\}")


class VariableMissing(Exception):
    """A `${NAME:?message}` without its variable: where Compose would stop and show `message`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with `${…}` replaced as Compose does; an empty variable counts as not set for `:-` and `:?`."""

    def value(match: re.Match[str]) -> str:
        name, operator, operand = match[1], match[2] or "", match[3] or ""
        found = variables.get(name)
        if found or (found is not None and not operator.startswith(":")):
            return found
        if operator.endswith("?"):
            raise VariableMissing(name, operand)
        return operand

    while _EXPRESSION.search(text):
        text = _EXPRESSION.sub(value, text)
    return text.replace("$$", "$")


def load(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return docker-compose.yml with anchors, merges and variables resolved."""
    resolved: dict[str, Any] = _walk(raw(), variables)
    return resolved


def raw() -> dict[str, Any]:
    """Return docker-compose.yml with anchors and merges resolved, but `${…}` as written."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def services(variables: Mapping[str, str] = SECRETS) -> dict[str, ComposeService]:
    """Return all services by name."""
    return {name: ComposeService(name, spec) for name, spec in load(variables)["services"].items()}


@dataclass(frozen=True)
class ComposeService:
    """One service; `spec` is its mapping."""

    name: str
    spec: Mapping[str, Any]

    @property
    def command(self) -> tuple[str, ...]:
        """Its command; empty where the image's own runs."""
        return tuple(self.spec.get("command", ()))

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        return dict(self.spec.get("environment", {}))

    @property
    def one_shot(self) -> bool:
        """Whether it is meant to end."""
        return bool(self.spec["restart"] == "no")

    @property
    def health_check(self) -> tuple[str, ...]:
        """The program that tells its health, with arguments."""
        form, *words = self.spec["healthcheck"]["test"]
        return tuple(words) if form == "CMD" else ("/bin/sh", "-c", *words)

    @property
    def stop_seconds(self) -> float:
        """How long it may take to stop after SIGTERM."""
        return seconds(self.spec["stop_grace_period"])

    @property
    def needs(self) -> dict[str, str]:
        """Services that come first, each with what is waited for."""
        return {name: needed["condition"] for name, needed in self.spec.get("depends_on", {}).items()}

    @property
    def published(self) -> list[tuple[str, int, int]]:
        """Published ports: host address, host port, container port."""
        parts = [port.rsplit(":", 2) for port in self.spec.get("ports", ())]
        return [(host, int(outside), int(inside)) for host, outside, inside in parts]

    @property
    def volumes(self) -> dict[str, str]:
        """Volumes by the folder that they are mounted on."""
        return {folder: volume for volume, folder in (entry.split(":") for entry in self.spec.get("volumes", ()))}


def seconds(duration: str) -> float:
    """Return a duration such as `1m30s` in seconds."""
    parts = re.findall(r"(\d+)(ms|s|m|h)", duration)
    assert "".join(number + unit for number, unit in parts) == duration, duration
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


@dataclass(frozen=True)
class Stage:
    """One build stage: its base, and its instructions as (name, text)."""

    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Return the texts of all instructions of one name."""
        return [text for instruction, text in self.instructions if instruction == name]

    @property
    def copies(self) -> list[tuple[list[str], str]]:
        """What is copied from the repository: sources, destination."""
        words = [shlex.split(text) for text in self.all("COPY") if "--from=" not in text]
        return [(copied[:-1], copied[-1]) for copied in words]

    @property
    def environment(self) -> dict[str, str]:
        """The variables it sets."""
        return dict(text.split("=", 1) for text in self.all("ENV"))


def stages() -> dict[str, Stage]:
    """Return the Dockerfile's stages by name."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    instructions = [line.split(None, 1) for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]
    starts = [index for index, (name, _) in enumerate(instructions) if name == "FROM"]
    found = {}
    for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True):
        base, _, stage = instructions[start][1].split()
        found[stage] = Stage(base, tuple((name, rest) for name, rest in instructions[start + 1 : end]))
    return found


def _walk(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return interpolate(value, variables)
    if isinstance(value, dict):
        return {key: _walk(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, variables) for item in value]
    return value
