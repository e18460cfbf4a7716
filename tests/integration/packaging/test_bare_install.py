"""The SDK goes into other people's applications: alone, light, and without anything of the platform."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.bench.install import import_seconds, install, installed


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds nothing but the SDK."""
    return install(tmp_path_factory.mktemp("bare"))


def test_the_sdk_brings_msgspec_and_confluent_kafka_and_nothing_else(python: Path) -> None:
    assert installed(python) == ["confluent-kafka", "inferwatch", "msgspec"]


def test_it_can_be_imported_without_loading_kafka(python: Path) -> None:
    assert import_seconds(python) > 0
    check = "import inferwatch, sys; sys.exit('confluent_kafka' in sys.modules)"
    subprocess.run([python, "-c", check], check=True)


def test_every_module_of_it_can_be_imported(python: Path) -> None:
    check = (
        "import importlib, inferwatch, pkgutil\n"
        "names = [module.name for module in pkgutil.iter_modules(inferwatch.__path__, 'inferwatch.')]\n"
        "assert len(names) > 5\n"
        "for name in names: importlib.import_module(name)"
    )
    subprocess.run([python, "-c", check], check=True)
