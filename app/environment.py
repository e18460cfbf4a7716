"""Typed values from environment variables; an error names the variable and the form it should have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from app.errors import SettingsError

T = TypeVar("T")


class Environment:
    """Reads variables that begin with a prefix. A variable that is empty counts as not set."""

    def __init__(self, variables: Mapping[str, str], prefix: str = "INFERWATCH_") -> None:
        self._variables = variables
        self._prefix = prefix

    def text(self, name: str, default: str) -> str:
        """Return a text as it is."""
        return self._variables.get(self._prefix + name, "").strip() or default

    def optional(self, name: str) -> str | None:
        """Return a text, or None where it is not set."""
        return self.text(name, "") or None

    def port(self, name: str, default: int) -> int:
        """Return a port, 1 to 65535."""
        return self.integer(name, default, 1, 65_535, "a port from 1 to 65535")

    def optional_port(self, name: str) -> int | None:
        """Return a port, or None where it is not set."""
        return self.port(name, 1) if self.optional(name) else None

    def integer(self, name: str, default: int, least: int, most: int, expected: str | None = None) -> int:
        """Return a whole number from `least` to `most`."""
        text = self.text(name, str(default))
        expected = expected or f"a whole number from {least} to {most}"
        if not re.fullmatch(r"-?[0-9]{1,15}", text) or not least <= int(text) <= most:
            raise SettingsError(self._prefix + name, text, expected)
        return int(text)

    def integers(self, name: str, default: tuple[int, ...], least: int, most: int) -> tuple[int, ...]:
        """Return whole numbers from `least` to `most`, ascending, given with commas between them."""
        text = self.text(name, ",".join(map(str, default)))
        numbers = tuple(int(part) if re.fullmatch(r"[0-9]{1,15}", part) else -1 for part in text.split(","))
        if not all(least <= number <= most for number in numbers) or list(numbers) != sorted(set(numbers)):
            raise SettingsError(self._prefix + name, text, f"ascending numbers from {least} to {most}, such as 30,120")
        return numbers

    def seconds(self, name: str, default: float) -> float:
        """Return seconds above 0."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) <= 0:
            raise SettingsError(self._prefix + name, text, "seconds above 0, such as 0.5")
        return float(text)

    def optional_amount(self, name: str) -> float | None:
        """Return an amount of 0 or more, or None where it is not set."""
        text = self.optional(name)
        if text is not None and not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise SettingsError(self._prefix + name, text, "an amount of 0 or more, such as 0.3")
        return None if text is None else float(text)

    def share(self, name: str, default: float) -> float:
        """Return a share from 0 to 1."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or not 0 <= float(text) <= 1:
            raise SettingsError(self._prefix + name, text, "a share from 0 to 1, such as 0.5")
        return float(text)

    def flag(self, name: str, default: bool) -> bool:
        """Return a yes or no."""
        text = self.text(name, "true" if default else "false").lower()
        if text not in ("true", "false", "1", "0"):
            raise SettingsError(self._prefix + name, text, "true or false")
        return text in ("true", "1")

    def url(self, name: str, default: str) -> str:
        """Return an HTTP URL."""
        return self._checked_url(self._prefix + name, self.text(name, default))

    def optional_url(self, variable: str) -> str | None:
        """Return the HTTP URL of a variable given with its full name, or None where it is not set."""
        text = self._variables.get(variable, "").strip()
        return self._checked_url(variable, text) if text else None

    def address(self, name: str, default: str) -> str:
        """Return a `host:port`."""
        text = self.text(name, default)
        if not _is_address(text):
            raise SettingsError(self._prefix + name, text, "host:port, such as 127.0.0.1:8000")
        return text

    def optional_address(self, name: str) -> str | None:
        """Return a `host:port`, or None where it is not set."""
        return self.address(name, "") if self.optional(name) else None

    def addresses(self, name: str, default: str) -> str:
        """Return `host:port[,host:port…]`."""
        text = self.text(name, default)
        if not all(_is_address(part) for part in text.split(",")):
            raise SettingsError(self._prefix + name, text, "host:port[,host:port…]")
        return text

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Return one of some words."""
        text = self.text(name, default)
        if text not in allowed:
            raise SettingsError(self._prefix + name, text, f"one of {', '.join(allowed)}")
        return text

    def path(self, name: str, default: Path) -> Path:
        """Return a path, `~` expanded."""
        return self._expanded(name, self.text(name, str(default)))

    def existing_file(self, name: str) -> Path | None:
        """Return the path of a file that exists, or None where it is not set."""
        text = self.optional(name)
        if text is None:
            return None
        path = self._expanded(name, text)
        if not path.is_file():
            raise SettingsError(self._prefix + name, text, "the path of a file that exists")
        return path

    def _expanded(self, name: str, text: str) -> Path:
        try:
            return Path(text).expanduser()
        except RuntimeError as error:
            raise SettingsError(self._prefix + name, text, "a path; nobody knows the home that ~ stands for") from error

    @staticmethod
    def _checked_url(variable: str, text: str) -> str:
        try:
            parts = urlsplit(text)
            fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        except ValueError:
            fits = False
        if not fits:
            raise SettingsError(variable, text, "a URL such as http://127.0.0.1:8123, without user and password")
        return text


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    right_form = re.fullmatch(r"[^\s/,@]+", host) and re.fullmatch(r"[0-9]{1,5}", port)
    return right_form is not None and 0 < int(port) < 65_536
