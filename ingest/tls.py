"""TLS: what clients are shown, and how servers are checked."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from ingest.errors import SettingError


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What clients are shown.

    Attributes:
        certificate: chain in PEM, the server's own certificate first.
        key: its private key in PEM.
        client_ca: certificates in PEM that clients' own are checked against; without it clients need none.
        setting: what the names of these settings begin with, for errors.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    setting: str = field(default="TLS", compare=False)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How upstream is checked and what it is shown.

    Attributes:
        ca: certificates in PEM that upstream's is checked against; the system's where it is None.
        server_name: name that upstream's certificate must be for; the host of its address where it is None.
        certificate: chain in PEM that upstream is shown, where it asks for one.
        key: its private key in PEM.
        setting: what the names of these settings begin with, for errors.
    """

    ca: Path | None = None
    server_name: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    setting: str = field(default="TLS", compare=False)


def server_context(tls: ServerTls | None, alpn: str) -> ssl.SSLContext | None:
    """Return what a listening port needs, None for plain connections.

    Raises:
        SettingError: a file cannot be read or holds something else.
    """
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([alpn])
    _load_chain(context, tls.certificate, tls.key, tls.setting)
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_ca(context, tls.client_ca, f"{tls.setting}_CLIENT_CA")
    return context


def client_context(tls: ClientTls | None, alpn: str) -> ssl.SSLContext | None:
    """Return what connections to upstream need, None for plain ones.

    Raises:
        SettingError: a file cannot be read or holds something else, or the server's name cannot be one.
    """
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([alpn])
    if tls.ca is not None:
        _load_ca(context, tls.ca, f"{tls.setting}_CA")
    else:
        context.load_default_certs()
    if tls.certificate is not None:
        _load_chain(context, tls.certificate, tls.key, tls.setting)
    if tls.server_name is not None:
        _check_name(context, tls.server_name, f"{tls.setting}_SERVER_NAME")
    return context


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path | None, setting: str) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"{setting}_CERT", f"{certificate} with key {key}", f"PEM files: {error}") from error


def _no_password() -> str:
    """Let an encrypted key fail; without this OpenSSL would wait for somebody to type."""
    return ""


def _load_ca(context: ssl.SSLContext, ca: Path, setting: str) -> None:
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(setting, str(ca), f"a PEM file: {error}") from error


def _check_name(context: ssl.SSLContext, name: str, setting: str) -> None:
    """Let a name fail that every connection would fail with."""
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except (ValueError, ssl.SSLError) as error:
        raise SettingError(setting, name, f"the name of a server: {error}") from error
