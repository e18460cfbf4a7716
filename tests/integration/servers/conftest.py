"""Servers that speak ClickHouse's protocol: the embedded one, and a real one where the environment names it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from tests.support.clickhouse import running_store
from tests.support.contract import Server

REAL_URL = os.environ.get("INFERWATCH_CLICKHOUSE_URL")


@pytest.fixture(scope="session", params=["embedded", "real"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server in turn."""
    if request.param == "embedded":
        with running_store(tmp_path_factory.mktemp("store") / "data") as store:
            yield Server(store.url)
        return
    if REAL_URL is None:
        pytest.skip("INFERWATCH_CLICKHOUSE_URL names no ClickHouse server that the contract could be held against")
    user = os.environ.get("INFERWATCH_CLICKHOUSE_USER", "default")
    yield Server(REAL_URL, user, os.environ.get("INFERWATCH_CLICKHOUSE_PASSWORD", ""))


@pytest.fixture
def new_database(server: Server) -> Iterator[str]:
    """A name that nobody uses; what a test makes of it is gone afterwards."""
    name = f"contract_{uuid.uuid4().hex[:12]}"
    yield name
    client = server.client()
    client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
    client.close()


@pytest.fixture
def database(server: Server, new_database: str) -> str:
    """A database of its own, without tables."""
    client = server.client()
    client.command(f"CREATE DATABASE {new_database}")
    client.close()
    return new_database


@pytest.fixture
def client(server: Server, database: str) -> Iterator[Client]:
    """A client whose statements are about that database."""
    client = server.client(database=database)
    yield client
    client.close()
