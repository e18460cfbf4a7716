"""What the services of docker-compose.yml come to as programs of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving import TritonSettings, prepare
from serving.launch import clear_shared_memory
from tests.integration.compose import kafka_image
from tests.integration.compose.relocation import Relocation
from tests.support import compose
from tests.support.kafka import CACHE
from tests.support.triton import fitting_environment

PROGRAMS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@dataclass(frozen=True)
class Program:
    """A command and all of its environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def of_ours(cls, command: tuple[str, ...], environment: dict[str, str]) -> Program:
        """A command of the package that is installed here."""
        found = shutil.which(command[0], path=environment["PATH"])
        assert found is not None, f"{command[0]} is not installed beside {sys.executable}"
        return cls((found, *command[1:]), environment)


class Programs:
    """Makes programs of services, all with their files in one folder."""

    def __init__(self, folder: Path, services: Mapping[str, compose.ComposeService]) -> None:
        self._folder = folder
        folders = {
            name: folder / name.strip("/").replace("/", "-")
            for name in ("/data", "/models", "/opt/kafka/bin", *services["kafka"].volumes)
        }
        for place in folders.values():
            place.mkdir()
        self._models, self._kafka_scripts = folders["/models"], folders["/opt/kafka/bin"]
        self.relocation = Relocation(services, folders)
        self._images = compose.stages()
        self._triton: TritonSettings | None = None

    def close(self) -> None:
        """Give back what programs that were killed may have left in shared memory."""
        if self._triton is not None:
            clear_shared_memory(self._triton)

    def program(self, service: compose.ComposeService) -> Program:
        """Return what to run for a service, prepared so that it can start."""
        variables = self.relocation.variables(service.name, service.environment)
        match service.name:
            case "kafka":
                return self._kafka({**self._system(), **variables})
            case "clickhouse":
                return self._clickhouse(variables)
            case "triton":
                return self._tritonserver(self.relocation.words(service.name, service.command), variables)
        image = {name: value for name, value in self._images["inferwatch"].environment.items() if name != "PATH"}
        command = self.relocation.words(service.name, service.command)
        return Program.of_ours(command, {**self._system(), **image, **variables})

    def _system(self) -> dict[str, str]:
        return {"PATH": PROGRAMS, "HOME": str(self._folder), "LANG": "C.UTF-8"}

    def _kafka(self, environment: dict[str, str]) -> Program:
        libraries = kafka_image.classpath(CACHE)
        kafka_image.install_scripts(self._kafka_scripts, libraries)
        return Program(kafka_image.set_up(self._folder / "kafka-config", libraries, environment), environment)

    def _clickhouse(self, variables: Mapping[str, str]) -> Program:
        """The same engine behind the same interface; the server's own program is in the image only."""
        environment = {
            **self._system(),
            "INFERWATCH_STORE_PORT": str(self.relocation.port("clickhouse", 8123)),
            "INFERWATCH_STORE_PATH": str(self._folder / "clickhouse"),
            "INFERWATCH_CLICKHOUSE_USER": variables["CLICKHOUSE_USER"],
            "INFERWATCH_CLICKHOUSE_PASSWORD": variables["CLICKHOUSE_PASSWORD"],
        }
        return Program.of_ours(("inferwatch", "store"), environment)

    def _tritonserver(self, stated: tuple[str, ...], variables: Mapping[str, str]) -> Program:
        """The stated arguments for this machine's Triton, which must be told besides where its backend is."""
        shutil.copytree(
            compose.ROOT / "serving/models",
            self._models,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
        http, grpc, metrics = (self.relocation.port("triton", port) for port in (8000, 8001, 8002))
        self._triton = TritonSettings(
            work_dir=self._folder / "triton",
            http_port=http,
            grpc_port=grpc,
            metrics_port=metrics,
            environment=fitting_environment(self._folder),
        )
        launch = prepare(self._triton)
        own = [word for word in launch.argv if word.startswith(("--backend-directory=", "--backend-config="))]
        image = {name: value for name, value in self._images["triton"].environment.items() if name != "PATH"}
        return Program((launch.argv[0], *stated[1:], *own), {**launch.env, **image, **variables})
