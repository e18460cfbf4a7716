"""Where Triton listens, what it loads and how much of the machine it may use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.errors import SettingInvalid

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class TritonSettings:
    """Settings of a local Triton.

    Attributes:
        work_dir: folder that Triton's model repository and backend are laid out in; made if absent.
        host: address to listen on; loopback unless told otherwise.
        http_port, grpc_port, metrics_port: three different ports, 1 to 65535.
        models: names of the models to load at start; the others of the repository can be loaded later.
        repository: folder of model folders, copied into the work directory.
        environment: folder of the virtual environment that Triton and the models run in; None for the running one.
            It needs numpy below 2, which the rest of the platform does not.
        threads: cores each model may use; 0 for all that the process may run on.
        exit_timeout: seconds that requests in flight may take after SIGTERM.

    Raises:
        SettingInvalid: a value cannot work.
    """

    work_dir: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    models: tuple[str, ...] = ("smollm2", "minilm")
    repository: Path = MODELS
    environment: Path | None = None
    threads: int = 0
    exit_timeout: int = 3

    def __post_init__(self) -> None:
        ports = self.ports
        for name, port in ports.items():
            if not 1 <= port <= 65535:
                raise SettingInvalid(f"{name}_port", port, "a port is a number from 1 to 65535")
        if len(set(ports.values())) < len(ports):
            raise SettingInvalid("ports", tuple(ports.values()), "HTTP, gRPC and metrics need a port each")
        if self.threads < 0:
            raise SettingInvalid("threads", self.threads, "a number of cores, or 0 for all")
        if self.exit_timeout < 0:
            raise SettingInvalid("exit_timeout", self.exit_timeout, "seconds, 0 or more")

    @property
    def ports(self) -> dict[str, int]:
        """The ports by what they are for."""
        return {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}
