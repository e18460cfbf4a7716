"""What the environment says of TLS; part of `app.settings`."""

from __future__ import annotations

from app.environment import Environment
from app.errors import SettingsError
from ingest.tls import ClientTls, ServerTls


def server_tls(env: Environment, service: str) -> ServerTls | None:
    """Return what clients of a service are shown, from `{service}_TLS_CERT`, `_KEY` and `_CLIENT_CA`.

    Raises:
        SettingsError: one of certificate and key is set without the other, or a client's authority without both.
    """
    certificate = env.existing_file(f"{service}_TLS_CERT")
    key = env.existing_file(f"{service}_TLS_KEY")
    client_ca = env.existing_file(f"{service}_TLS_CLIENT_CA")
    if certificate is not None and key is not None:
        return ServerTls(certificate, key, client_ca, f"INFERWATCH_{service}_TLS")
    if certificate is None and key is None and client_ca is None:
        return None
    missing = "CERT" if certificate is None else "KEY"
    raise SettingsError(f"INFERWATCH_{service}_TLS_{missing}", "", "a PEM file: TLS takes a certificate and its key")


def client_tls(env: Environment, server: str) -> ClientTls | None:
    """Return how a server is checked, where `{server}_TLS` is true, from `_CA`, `_SERVER_NAME`, `_CERT` and `_KEY`.

    Raises:
        SettingsError: one of certificate and key is set without the other, or any of them without TLS.
    """
    variable = f"INFERWATCH_{server}_TLS"
    if not env.flag(f"{server}_TLS", False):
        for part in ("CA", "SERVER_NAME", "CERT", "KEY"):
            if env.optional(f"{server}_TLS_{part}") is not None:
                raise SettingsError(variable, "false", f"true, or no {variable}_{part}, which would say nothing")
        return None
    certificate, key = env.existing_file(f"{server}_TLS_CERT"), env.existing_file(f"{server}_TLS_KEY")
    if (certificate is None) != (key is None):
        missing = "CERT" if certificate is None else "KEY"
        raise SettingsError(f"{variable}_{missing}", "", "a PEM file: a certificate goes with its key")
    authorities, name = env.existing_file(f"{server}_TLS_CA"), env.optional(f"{server}_TLS_SERVER_NAME")
    return ClientTls(authorities, name, certificate, key, variable)
