"""What the environment says of the store; part of `app.settings`."""

from __future__ import annotations

from pathlib import Path

from app.environment import Environment
from app.errors import SettingsError
from storage.client import StoreSettings
from storage.embedded.settings import EmbeddedSettings
from storage.retention import BadRetention, RetentionSettings

_LONGEST_DAYS = 36_500


def store(env: Environment) -> StoreSettings:
    """Return where the store is.

    Raises:
        SettingsError: a name of the cluster that cannot be one.
    """
    return StoreSettings(
        url=env.url("CLICKHOUSE_URL", "http://127.0.0.1:8123"),
        database=env.text("CLICKHOUSE_DATABASE", "inferwatch"),
        user=env.text("CLICKHOUSE_USER", "default"),
        password=env.text("CLICKHOUSE_PASSWORD", ""),
        query_seconds=env.seconds("CLICKHOUSE_QUERY_SECONDS", StoreSettings().query_seconds),
    )


def retention(env: Environment) -> RetentionSettings:
    """Return how long tables keep their rows.

    Raises:
        SettingsError: numbers that do not go together, such as text that outlives its rows.
    """
    default = RetentionSettings()
    days = {
        name: env.integer(f"RETENTION_{name.upper()}_DAYS", getattr(default, name), 1, _LONGEST_DAYS)
        for name in ("rows", "text", "minutes", "hours", "embeddings", "feedback")
    }
    incidents = env.optional("RETENTION_INCIDENTS_DAYS")
    kept = None if incidents is None else env.integer("RETENTION_INCIDENTS_DAYS", 1, 1, _LONGEST_DAYS)
    try:
        return RetentionSettings(**days, incidents=kept)
    except BadRetention as error:
        variable = f"INFERWATCH_RETENTION_{error.name.upper()}_DAYS"
        raise SettingsError(variable, str(error.days), error.expected) from error


def embedded(env: Environment, host: str, data_dir: Path) -> EmbeddedSettings:
    """Return how the embedded engine runs."""
    return EmbeddedSettings(
        path=env.path("STORE_PATH", data_dir / "clickhouse"),
        host=host,
        port=env.port("STORE_PORT", 8123),
        max_memory_bytes=env.integer("STORE_MEMORY_MB", 2048, 256, 10**7) << 20,
        spool_memory_bytes=env.integer("STORE_SPOOL_MB", 256, 8, 10**6) << 20,
        user=env.optional("CLICKHOUSE_USER"),
        password=env.text("CLICKHOUSE_PASSWORD", ""),
    )
