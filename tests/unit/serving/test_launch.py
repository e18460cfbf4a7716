"""Command line, environment and model configuration of Triton, without starting it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving import ModelUnknown, SettingInvalid, TritonSettings
from serving.launch import arguments, environment, known_models, prepare, shared_memory_prefix, with_parameters
from serving.packages import TritonFiles
from serving.settings import MODELS

FILES = TritonFiles(
    server=Path("/t/bin/tritonserver"),
    backend=Path("/t/backends/python"),
    stub=Path("/t/stubs/3.11/stub"),
    libraries=(Path("/t/libs"), Path("/python/lib")),
    interpreter=Path("/venv/bin"),
)
SETTINGS = TritonSettings(work_dir=Path("/w"), http_port=1, grpc_port=2, metrics_port=3, models=("minilm",), threads=5)


def test_triton_listens_on_loopback_only_and_loads_what_it_is_told() -> None:
    argv = arguments(SETTINGS, FILES)
    assert argv[0] == "/t/bin/tritonserver"
    for way in ("http", "grpc", "metrics"):
        assert f"--{way}-address=127.0.0.1" in argv
    assert {"--http-port=1", "--grpc-port=2", "--metrics-port=3"} < set(argv)
    assert [one for one in argv if one.startswith("--load-model")] == ["--load-model=minilm"]
    assert {"--model-repository=/w/models", "--backend-directory=/w/backends"} < set(argv)
    assert "--model-control-mode=explicit" in argv


def test_the_environment_holds_what_the_stub_needs_and_nothing_else() -> None:
    env = environment(SETTINGS, FILES)
    assert env["LD_LIBRARY_PATH"] == "/t/libs:/python/lib"
    assert env["PATH"].split(":")[0] == "/venv/bin"
    assert env["OPENBLAS_NUM_THREADS"] == "5"
    assert "HOME" not in env


def test_parameters_are_set_where_they_are_declared() -> None:
    config = (MODELS / "smollm2" / "config.pbtxt").read_text("utf-8")
    changed = with_parameters(config, {"threads": "3", "absent": "x"})
    assert 'parameters { key: "threads" value { string_value: "3" } }' in changed
    assert changed.replace('string_value: "3"', 'string_value: "0"') == config


def test_parameters_of_a_model_that_declares_none_are_left_out() -> None:
    config = (MODELS / "minilm" / "config.pbtxt").read_text("utf-8")
    assert with_parameters(config, {"threads": "3"}) == config


def test_shared_memory_belongs_to_one_work_directory() -> None:
    other = replace(SETTINGS, work_dir=Path("/other"))
    assert shared_memory_prefix(SETTINGS) == shared_memory_prefix(replace(SETTINGS, http_port=9))
    assert shared_memory_prefix(SETTINGS) != shared_memory_prefix(other)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    assert known_models(MODELS) == ("minilm", "smollm2")
    with pytest.raises(ModelUnknown, match="minilm, smollm2"):
        prepare(replace(SETTINGS, models=("gpt",)))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"http_port": 0}, "http_port"),
        ({"grpc_port": 65536}, "grpc_port"),
        ({"metrics_port": 1}, "ports"),
        ({"threads": -1}, "threads"),
        ({"exit_timeout": -1}, "exit_timeout"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        replace(SETTINGS, **changes)
    assert caught.value.name == name
