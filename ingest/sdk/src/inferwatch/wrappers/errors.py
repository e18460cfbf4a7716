"""What wrapping can raise, when the application sets it up; never while it infers."""

from __future__ import annotations

from importlib.util import find_spec

from inferwatch.errors import InferwatchError


class UnknownClientError(InferwatchError):
    """What was given is no client that can be wrapped."""

    def __init__(self, client: object, expected: str, package: str) -> None:
        missing = find_spec(package) is None
        hint = f"; the package {package} is not installed: pip install {package}" if missing else ""
        super().__init__(f"{type(client).__module__}.{type(client).__qualname__} is not {expected}{hint}")
        self.client = client
        self.expected = expected
        self.package = package
