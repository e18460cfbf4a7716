"""Everything on this machine: which services, with which settings, in which order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app import settings as settings_module
from app.environment import Environment
from app.local import kafka
from app.local.ports import free_ports, require_free
from app.local.probes import answers_http, answers_kafka
from app.local.supervisor import Service, Supervisor
from app.schema import bring_up_to_date
from app.settings import Settings
from processors.admin import ensure_topics
from processors.app import ROLES

Say = Callable[[str], None]

_PORTS: Final = {
    "STORE_PORT": 8123,
    "BROKER_PORT": 9092,
    "BROKER_CONTROLLER_PORT": 9093,
    "TRITON_HTTP_PORT": 8000,
    "TRITON_GRPC_PORT": 8001,
    "TRITON_METRICS_PORT": 8002,
    "SIDECAR_HTTP_PORT": 9000,
    "SIDECAR_GRPC_PORT": 9001,
    "SIDECAR_ADMIN_PORT": 9002,
    "SCRAPER_PORT": 9003,
    "COLLECTOR_PORT": 4318,
    "COLLECTOR_GRPC_PORT": 4317,
    "DASHBOARD_PORT": 8501,
    "SLACK_PORT": 8502,
    "ENRICH_PORT": 9101,
    "DETECT_PORT": 9102,
    "ALERT_PORT": 9103,
}
"""Variables, each with the port it names and that is taken where it is not set."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """How a stack is set up. `variables` are handed to its services; `loaded` is what they make of them."""

    data_dir: Path
    ports: Mapping[str, int]
    variables: Mapping[str, str]
    loaded: Settings
    embedded_broker: bool
    slack_receiver: bool

    @property
    def slack_page(self) -> str:
        """Address of the page that shows messages, where there is a local receiver."""
        return f"http://127.0.0.1:{self.ports['SLACK_PORT']}"

    @property
    def dashboard_page(self) -> str:
        """Address of the dashboard."""
        return f"http://127.0.0.1:{self.ports['DASHBOARD_PORT']}"


def configure(
    environ: Mapping[str, str], data_dir: Path, *, any_ports: bool, local_slack: bool, embedded_broker: bool
) -> StackSettings:
    """Choose ports and write down what every service must know.

    Raises:
        SettingsError: a variable has a value that cannot work.
        PortTaken: a port is in use; not with `any_ports`, which takes free ones.
    """
    ports = _ports(environ, any_ports=any_ports)
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    variables = {
        "INFERWATCH_DATA_DIR": str(data_dir.resolve()),
        "INFERWATCH_HOST": "127.0.0.1",
        "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": address["BROKER_PORT"],
        "INFERWATCH_KAFKA_EMBEDDED": str(embedded_broker).lower(),
        "INFERWATCH_CLICKHOUSE_URL": f"http://{address['STORE_PORT']}",
        "INFERWATCH_TRITON_HTTP": address["TRITON_HTTP_PORT"],
        "INFERWATCH_TRITON_GRPC": address["TRITON_GRPC_PORT"],
        "INFERWATCH_TRITON_METRICS": address["TRITON_METRICS_PORT"],
        "INFERWATCH_EMBEDDER": address["TRITON_GRPC_PORT"],
        "INFERWATCH_DASHBOARD_URL": f"http://{address['DASHBOARD_PORT']}",
        # All of this is on loopback, where probes speak plain HTTP.
        "INFERWATCH_COLLECTOR_TLS_CERT": "",
        "INFERWATCH_COLLECTOR_TLS_KEY": "",
        **{f"INFERWATCH_{name}": str(port) for name, port in ports.items()},
    }
    if local_slack:
        variables["SLACK_WEBHOOK_URL"] = f"http://{address['SLACK_PORT']}/services/T0/B0/local"
    loaded = settings_module.load({**environ, **variables})
    return StackSettings(data_dir.resolve(), ports, variables, loaded, embedded_broker, local_slack)


class Stack:
    """All services of one machine, started in order and stopped in the other."""

    def __init__(self, settings: StackSettings, environ: Mapping[str, str], say: Say) -> None:
        self._settings = settings
        self._environ = environ
        self._say = say
        self._supervisor = Supervisor(settings.data_dir / "logs")
        self._variables = dict(settings.variables)

    def start(self) -> StackSettings:
        """Start everything and wait until it is ready; return the settings with every address as it came to be.

        Raises:
            ServiceFailed: a service ended or took too long; the others are still to be stopped.
        """
        self._say("Starting ClickHouse's engine, Kafka and Triton")
        self._start("store", answers_http(f"{self._settings.loaded.store.url}/ping"))
        self._start("broker", answers_kafka(self._broker_address))
        triton = f"http://{self._settings.loaded.triton_http}/v2/health/ready"
        # Triton waits for open gRPC streams without end; by then nobody is left who could read them.
        self._start("triton", answers_http(triton), stop_seconds=6.0)
        self._supervisor.wait_ready("store")
        bring_up_to_date(self._settings.loaded.store, self._settings.loaded.retention)
        self._supervisor.wait_ready("broker")
        self._settings = self._with_broker_address()
        ensure_topics(self._settings.loaded.kafka)
        self._say("Starting workers, sidecar, scraper, collector and dashboard")
        if self._settings.slack_receiver:
            self._start("slack-receiver", answers_http(f"{self._settings.slack_page}/healthz"))
        for role in ROLES:
            port = self._settings.ports[f"{role.upper()}_PORT"]
            health = answers_http(f"http://127.0.0.1:{port}/healthz")
            self._start("worker", health, role, tier=1, INFERWATCH_WORKER_PORT=str(port))
        admin = self._settings.ports["SIDECAR_ADMIN_PORT"]
        # Open streams may finish first, and only then is what was mirrored flushed.
        self._start("sidecar", answers_http(f"http://127.0.0.1:{admin}/readyz"), tier=2, stop_seconds=20.0)
        # Alive, not ready: it is ready once it has heard Triton, for which nobody has to wait.
        scraper = self._settings.ports["SCRAPER_PORT"]
        self._start("scraper", answers_http(f"http://127.0.0.1:{scraper}/healthz"), tier=2)
        collector = self._settings.ports["COLLECTOR_PORT"]
        # Running requests may finish first, and only then is what was taken flushed.
        self._start("collector", answers_http(f"http://127.0.0.1:{collector}/readyz"), tier=2, stop_seconds=25.0)
        self._start("dashboard", answers_http(f"{self._settings.dashboard_page}/_stcore/health"), tier=2)
        for name in self._supervisor.pids():
            self._supervisor.wait_ready(name)
        return self._settings

    def check(self) -> None:
        """Raise `ServiceFailed` when a service has ended by itself."""
        self._supervisor.check()

    def stop(self) -> list[str]:
        """Stop everything; return the names of services that had to be killed."""
        return self._supervisor.stop_all()

    def pids(self) -> dict[str, int]:
        """Return the process id of each service."""
        return self._supervisor.pids()

    def _start(
        self,
        command: str,
        ready: Callable[[], bool],
        *arguments: str,
        tier: int = 0,
        stop_seconds: float = 10.0,
        **more: str,
    ) -> None:
        name = "-".join((command, *arguments))
        argv = (sys.executable, "-m", "app.cli", command, *arguments)
        environment = {**self._environ, **self._variables, **more}
        self._supervisor.start(Service(name, argv, environment, ready, stop_seconds=stop_seconds, tier=tier))

    def _broker_address(self) -> str | None:
        if not self._settings.embedded_broker:
            return self._settings.loaded.kafka.bootstrap_servers
        file = embedded_broker_file(self._settings.data_dir)
        return str(json.loads(file.read_text())["bootstrap"]) if file.exists() else None

    def _with_broker_address(self) -> StackSettings:
        """The embedded broker chooses its port itself, so only now everyone can be told."""
        self._variables["INFERWATCH_KAFKA_BOOTSTRAP_SERVERS"] = self._broker_address() or ""
        old = self._settings
        loaded = settings_module.load({**self._environ, **self._variables})
        return StackSettings(
            old.data_dir, old.ports, dict(self._variables), loaded, old.embedded_broker, old.slack_receiver
        )


def embedded_broker_file(data_dir: Path) -> Path:
    """Return the file where the embedded broker writes its address."""
    return data_dir / "embedded-broker.json"


def choose_broker(say: Say, cache_dir: Path, *, wanted: bool) -> bool:
    """Return whether the embedded broker is needed, and say which it will be; fetch the real one where it can run.

    Raises:
        FetchFailed: Java and Maven are here, but the download fails.
    """
    if wanted:
        problem: str | None = "INFERWATCH_KAFKA_EMBEDDED asks for it."
    else:
        problem = kafka.available(cache_dir)
    if problem is None:
        kafka.fetch(cache_dir, say)
        say(f"Kafka: a real broker, Apache Kafka {kafka.KAFKA_VERSION}")
        return False
    say(f"Kafka: the embedded broker, in memory and for a first look only. {problem}")
    return True


def _ports(environ: Mapping[str, str], *, any_ports: bool) -> dict[str, int]:
    if any_ports:
        return dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    env = Environment(environ)
    ports = {name: env.port(name, default) for name, default in _PORTS.items()}
    for name, port in ports.items():
        service = name.removesuffix("_PORT").replace("_", " ").lower()
        require_free(service, "127.0.0.1", port, f"INFERWATCH_{name}")
    return ports
