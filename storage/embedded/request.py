"""What one HTTP request asks for, apart from its body."""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from storage.addresses import is_address, is_loopback
from storage.embedded.engine import Session
from storage.embedded.errors import NotAuthenticated, StatementRefused
from storage.embedded.settings import EmbeddedSettings

# Consumed by ClickHouse's HTTP handler itself; everything else in the URL is a setting. Sessions are accepted and
# have no effect: nothing is remembered from one request to the next.
_TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "user", "password", "query_id", "quota_key", "session_id",
        "session_timeout", "session_check", "compress", "decompress", "buffer_size", "wait_end_of_query", "stacktrace",
        "role", "client_protocol_version", "close_session",
    }
)  # fmt: skip
_NOT_DONE = ("compress", "decompress")


@dataclass(frozen=True)
class Request:
    """One request, ready to run once its body is there.

    Attributes
    ----------
    query
        SQL from the URL or the form; the body follows it.
    default_format
        For statements without a FORMAT of their own.
    accept_encoding
        Empty unless the client turned compression on.
    mark
        No other request has it; the statement runs with it as its `log_comment`.
    """

    query: str
    query_id: str
    mark: str
    default_format: str
    accept_encoding: str
    session: Session


def read_request(method: str, fields: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> Request:
    """Sort URL and form `fields` into SQL, parameters and settings.

    Raises
    ------
    StatementRefused
        A part of the protocol that this server does not have.
    """
    transport: dict[str, str] = {}
    parameters: dict[str, str] = {}
    settings: dict[str, str] = {}
    for name, value in fields:
        if name in _TRANSPORT:
            transport[name] = value
        elif name.startswith("param_"):
            parameters[name.removeprefix("param_")] = value
        else:
            settings[name] = value
    for name in _NOT_DONE:
        if transport.get(name) == "1":
            raise StatementRefused(f"{name}=1 is not implemented; use Content-Encoding and Accept-Encoding",
                                   code=48, name="NOT_IMPLEMENTED", status=501)  # fmt: skip
    if method == "GET":
        # As ClickHouse does: a link must not change anything.
        settings.setdefault("readonly", "2")
    # The engine gives its queries ids of its own; by this mark one can be found among those that run.
    mark = settings["log_comment"] = uuid.uuid4().hex
    compressed = settings.get("enable_http_compression") == "1"
    database = transport.get("database") or headers.get("X-ClickHouse-Database") or "default"
    default_format = transport.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated"
    return Request(
        query=transport.get("query", ""),
        query_id=transport.get("query_id") or str(uuid.uuid4()),
        mark=mark,
        default_format=default_format,
        accept_encoding=headers.get("Accept-Encoding", "") if compressed else "",
        session=Session(database, settings, parameters),
    )


def from_a_page(bound_to: str, headers: Mapping[str, str]) -> bool:
    """Whether a page in a browser sent this, rather than a program.

    Pages of other sites say where they come from. One whose name was pointed to this machine does not, but asks for
    that name; a server on loopback has none but `localhost`.
    """
    if "Origin" in headers:
        return True
    asked_for = urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    return is_loopback(bound_to) and asked_for != "" and not (asked_for == "localhost" or is_address(asked_for))


def authenticate(settings: EmbeddedSettings, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Check user and password where the server asks for them.

    Raises
    ------
    NotAuthenticated
        They are missing or wrong.
    """
    if settings.user is None:
        return
    user, password = _credentials(query, headers)
    same_user = hmac.compare_digest(user.encode(), settings.user.encode())
    same_password = hmac.compare_digest(password.encode(), settings.password.encode())
    if not (same_user and same_password):
        raise NotAuthenticated


def _credentials(query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise NotAuthenticated from None
        return user, password
    return query.get("user", "default"), query.get("password", "")
