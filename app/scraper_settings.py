"""What the environment says of the scraper; part of `app.settings`."""

from __future__ import annotations

from typing import Final

from app.environment import Environment
from app.errors import SettingsError
from ingest.scraper.settings import ScraperSettings, ServerAddress
from processors.settings import KafkaSettings

_NONE: Final = "none"


def scraper(env: Environment, kafka: KafkaSettings, host: str, triton_http: str) -> ScraperSettings:
    """Return which servers are watched, and how.

    Raises:
        SettingsError: a variable has a value that cannot work.
    """
    default = ScraperSettings()
    return ScraperSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        servers=_servers(env, triton_http),
        environment=env.text("ENVIRONMENT", default.environment),
        interval=env.seconds("SCRAPER_SECONDS", default.interval),
        timeout=env.seconds("SCRAPER_TIMEOUT_SECONDS", default.timeout),
        host=host,
        admin_port=env.port("SCRAPER_PORT", default.admin_port),
        max_samples=env.integer("SCRAPER_MAX_SAMPLES", default.max_samples, 1, 10**7),
        kafka=dict(kafka.security),
    )


def _servers(env: Environment, triton_http: str) -> tuple[ServerAddress, ...]:
    metrics = env.addresses("TRITON_METRICS", "127.0.0.1:8002").split(",")
    if len(set(metrics)) < len(metrics):
        raise SettingsError("INFERWATCH_TRITON_METRICS", ",".join(metrics), "each address once")
    if env.text("TRITON_STATISTICS", _NONE if len(metrics) > 1 else triton_http) == _NONE:
        return tuple(ServerAddress(address) for address in metrics)
    statistics = env.addresses("TRITON_STATISTICS", triton_http).split(",")
    if len(statistics) != len(metrics):
        expected = f"{_NONE}, or as many addresses as INFERWATCH_TRITON_METRICS has, {len(metrics)}"
        raise SettingsError("INFERWATCH_TRITON_STATISTICS", ",".join(statistics), expected)
    return tuple(ServerAddress(*both) for both in zip(metrics, statistics, strict=True))
