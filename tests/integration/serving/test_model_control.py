"""Loading and unloading on a real Triton, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator

import pytest

from serving.control import TritonControl
from serving.errors import ControlFailed, PortTaken, TritonUnreachable
from serving.launch import prepare, repository_folder
from tests.integration.serving.chat_client import generate_stream
from tests.support.triton import ENDLESS, RunningTriton, free_ports, gone, running_triton


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    with running_triton(tmp_path_factory, models=("minilm",)) as running:
        yield running


async def test_models_load_and_unload(small: RunningTriton) -> None:
    control = TritonControl(small.grpc_url)
    assert await control.ready("minilm")
    assert not await control.ready("smollm2")
    assert {state.model: state.state for state in await control.index()} == {
        "minilm": "READY",
        "smollm2": "UNAVAILABLE",
    }
    for _ in range(2):
        await control.unload("minilm")
        assert not await control.ready("minilm")
    for _ in range(2):
        assert [(state.version, state.ready) for state in await control.load("minilm")] == [("1", True)]
    await control.close()


async def test_a_new_version_takes_over_and_a_broken_one_leaves_the_old_one_serving(small: RunningTriton) -> None:
    control = TritonControl(small.grpc_url)
    model = repository_folder(small.settings) / "minilm"
    shutil.copytree(model / "1", model / "2")
    assert [state.version for state in await control.load("minilm") if state.ready] == ["2"]
    (model / "3").mkdir()
    (model / "3" / "model.py").write_text("this is not Python", "utf-8")
    with pytest.raises(ControlFailed, match="load model 'minilm'"):
        await control.load("minilm")
    assert [state.version for state in await control.index() if state.ready] == ["2"]
    await control.close()


async def test_an_unknown_model_fails_by_name(small: RunningTriton) -> None:
    control = TritonControl(small.grpc_url)
    assert not await control.ready("absent")
    with pytest.raises(ControlFailed, match="absent"):
        await control.load("absent")
    await control.close()


async def test_no_server_is_unreachable() -> None:
    control = TritonControl(f"127.0.0.1:{free_ports(1)[0]}", timeout=2)
    with pytest.raises(TritonUnreachable):
        await control.index()
    await control.close()


def test_a_second_triton_on_the_same_ports_is_refused(small: RunningTriton) -> None:
    with pytest.raises(PortTaken) as caught:
        prepare(small.settings)
    assert caught.value.port == small.settings.http_port


def test_models_follow_a_triton_that_is_killed_while_they_generate(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_triton(tmp_path_factory, models=("smollm2",)) as running:
        stubs = running.stubs()
        begun = threading.Semaphore(0)

        def read() -> None:
            asked = generate_stream(running.http_url, **ENDLESS)
            try:
                for _ in asked:
                    begun.release()
            except (OSError, ValueError):
                return

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for _ in range(30):
            assert begun.acquire(timeout=30)
        os.kill(running.pid, signal.SIGKILL)
        for reader in readers:
            reader.join(30)
        assert stubs
        assert gone(stubs, within=15)
