"""Lays Triton out in a folder and says how to start it; starting is the caller's (`os.execve`).

The Python backend that comes with nvidia-pytriton wants the stub for the running Python beside its library, and the
stub wants to find Python's shared library, the standard library and the installed packages.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.errors import ModelUnknown, PortTaken
from serving.packages import TritonFiles, require_packages, triton_files
from serving.packages import environment as python_environment
from serving.settings import TritonSettings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the Python backend keeps its regions; there is no other place


@dataclass(frozen=True)
class Launch:
    """How to start Triton: `argv[0]` is the program's path; `env` is the whole environment, not an addition."""

    argv: tuple[str, ...]
    env: dict[str, str]


def prepare(settings: TritonSettings) -> Launch:
    """Builds the work directory, replacing what an earlier start left there.

    Raises:
        ModelUnknown: a model to load is not in the repository.
        PackageMissing, PackageUnfit, FileMissing: something is not installed; the error says which command helps.
        PortTaken: a port is in use.
    """
    known = known_models(settings.repository)
    for model in settings.models:
        if model not in known:
            raise ModelUnknown(model, known)
    python = python_environment(settings.environment)
    files = triton_files(python)
    require_packages(python, settings.models)
    # Before touching the folder: a Triton that still runs from it also holds its ports.
    for purpose, port in settings.ports.items():
        require_free(settings.host, port, purpose)
    lay_out(settings, files)
    clear_shared_memory(settings)
    return Launch(argv=arguments(settings, files), env=environment(settings, files))


def known_models(repository: Path) -> tuple[str, ...]:
    """The models of a repository: its folders with a config.pbtxt, sorted."""
    return tuple(sorted(path.parent.name for path in repository.glob("*/config.pbtxt")))


def require_free(host: str, port: int, purpose: str) -> None:
    """Checks that Triton could listen on the port.

    Raises:
        PortTaken: it could not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that lingers after its server ended is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port, purpose) from error


def lay_out(settings: TritonSettings, files: TritonFiles) -> None:
    """Writes the model repository and the backend directory."""
    models, backend = repository_folder(settings), backend_folder(settings) / "python"
    for folder in (models, backend):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(settings.repository, models, ignore=shutil.ignore_patterns("__pycache__"))
    backend.mkdir(parents=True)
    for source in (*files.backend.iterdir(), files.stub):
        if source.is_file():
            (backend / source.name).symlink_to(source)
    if settings.threads:
        for config in models.glob("*/config.pbtxt"):
            changed = with_parameters(config.read_text("utf-8"), {"threads": str(settings.threads)})
            config.write_text(changed, "utf-8")


def clear_shared_memory(settings: TritonSettings, folder: Path = SHARED_MEMORY) -> None:
    """Removes what a Triton that was killed from this work directory left in shared memory, 1 MiB or more a model."""
    for region in folder.glob(f"{shared_memory_prefix(settings)}*"):
        region.unlink(missing_ok=True)


def shared_memory_prefix(settings: TritonSettings) -> str:
    """The start of the names of the shared memory regions of a Triton in this work directory."""
    return f"inferwatch-{hashlib.sha256(str(settings.work_dir.absolute()).encode()).hexdigest()[:12]}-"


def with_parameters(config: str, values: Mapping[str, str]) -> str:
    """Model configuration text with parameters set that it already declares; others are left out.

    Only declarations on one line, `parameters { key: "name" value { string_value: "text" } }`, are recognised.
    """
    for key, value in values.items():
        declared = rf'^(parameters\s*{{\s*key:\s*"{re.escape(key)}"\s*value\s*{{\s*string_value:\s*)"[^"]*"'
        config = re.sub(declared, rf'\g<1>"{value}"', config, flags=re.MULTILINE)
    return config


def repository_folder(settings: TritonSettings) -> Path:
    """The model repository that the running Triton reads; a new version of a model is put here and loaded."""
    return settings.work_dir.absolute() / "models"


def backend_folder(settings: TritonSettings) -> Path:
    """The backend directory of the running Triton."""
    return settings.work_dir.absolute() / "backends"


def arguments(settings: TritonSettings, files: TritonFiles) -> tuple[str, ...]:
    """The command line of tritonserver."""
    return (
        str(files.server),
        f"--model-repository={repository_folder(settings)}",
        f"--backend-directory={backend_folder(settings)}",
        "--model-control-mode=explicit",
        # Completing would start each model's process a second time, and where that fails, Triton 2.45 may never answer.
        "--disable-auto-complete-config",
        *(f"--load-model={model}" for model in settings.models),
        f"--http-address={settings.host}",
        f"--http-port={settings.http_port}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={settings.grpc_port}",
        f"--metrics-address={settings.host}",
        f"--metrics-port={settings.metrics_port}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(settings)}",
        f"--exit-timeout-secs={settings.exit_timeout}",
        "--log-verbose=0",
        "--allow-gpu-metrics=false",
    )


def environment(settings: TritonSettings, files: TritonFiles) -> dict[str, str]:
    """The environment of tritonserver and of the stubs it starts: this and nothing inherited."""
    threads = str(settings.threads or len(os.sched_getaffinity(0)))
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, files.libraries)),
        # The stub ignores PYTHONHOME and PYTHONPATH; it takes the `python3` that PATH finds first as its own, and with
        # it that one's standard library and site-packages.
        "PATH": os.pathsep.join((str(files.interpreter), "/usr/local/bin", "/usr/bin", "/bin")),
        "LANG": "C.UTF-8",
        # Threads that spin while they wait make generation several times slower when something else wants the cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "true",
    }
