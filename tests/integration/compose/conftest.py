from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.compose.project import Project, running_project
from tests.support.needs import need_kafka, need_programs


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The services; those that need no other start at once, side by side."""
    need_kafka()
    need_programs("curl", "wget")
    with running_project(tmp_path_factory.mktemp("compose")) as started:
        for name, service in started.services.items():
            if not service.needs:
                started.start(name)
        yield started
