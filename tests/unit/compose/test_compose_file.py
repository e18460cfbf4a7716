from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app import settings
from app.local import kafka
from app.local.stack import _PORTS
from processors.app import ROLES
from processors.settings import EnrichSettings
from tests.support import compose

SERVICES = compose.services()
LONG_RUNNING = [service for service in SERVICES.values() if not service.one_shot]
OURS = [service for service in SERVICES.values() if service.command[:1] == ("inferwatch",)]
BY_NAME = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


class Recorder(Mapping[str, str]):
    """Variables that remember which of them were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def test_the_services_are_those_of_inferwatch_up() -> None:
    assert set(SERVICES) == {
        "kafka",
        "clickhouse",
        "triton",
        "migrate",
        *(f"worker-{role}" for role in ROLES),
        "sidecar",
        "scraper",
        "collector",
        "dashboard",
    }


@BY_NAME
def test_every_service_has_an_image_a_memory_limit_and_bounded_logs(service: compose.ComposeService) -> None:
    assert service.spec["image"]
    assert re.fullmatch(r"\d+[mg]", service.spec["deploy"]["resources"]["limits"]["memory"])
    assert service.spec["logging"]["options"]["max-size"]


@pytest.mark.parametrize("service", LONG_RUNNING, ids=lambda service: service.name)
def test_every_long_running_service_restarts_tells_its_health_and_has_time_to_stop(
    service: compose.ComposeService,
) -> None:
    assert service.spec["restart"] == "unless-stopped"
    assert service.health_check
    check = service.spec["healthcheck"]
    assert compose.seconds(check["timeout"]) <= compose.seconds(check["interval"])
    assert compose.seconds(check["start_period"]) >= compose.seconds(check["interval"])
    assert service.stop_seconds >= 10


@BY_NAME
def test_ports_are_published_on_loopback_only_and_are_those_of_inferwatch_up(service: compose.ComposeService) -> None:
    for host, outside, inside in service.published:
        assert host == "127.0.0.1"
        assert outside == inside
        assert inside in _PORTS.values()


def test_a_published_port_moves_with_the_variable_that_moves_it_in_inferwatch_up() -> None:
    moved = {f"INFERWATCH_{name}": str(number + 10_000) for name, number in _PORTS.items()}
    for service in compose.services({**compose.SECRETS, **moved}).values():
        for _, outside, inside in service.published:
            assert outside == inside + 10_000
    kafka_service = compose.services({**compose.SECRETS, **moved})["kafka"]
    assert "HOST://127.0.0.1:19092" in kafka_service.environment["KAFKA_ADVERTISED_LISTENERS"].split(",")


@BY_NAME
def test_what_is_waited_for_can_come_true(service: compose.ComposeService) -> None:
    for name, condition in service.needs.items():
        expected = "service_completed_successfully" if SERVICES[name].one_shot else "service_healthy"
        assert condition == expected


@pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)
def test_every_variable_is_one_the_settings_know(service: compose.ComposeService) -> None:
    recorder = Recorder(service.environment)
    settings.load(recorder)
    assert set(service.environment) <= recorder.asked


@pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)
def test_containers_find_each_other_by_name(service: compose.ComposeService) -> None:
    listening = {name: ports for name, ports in _listening().items() if ports}
    for value in service.environment.values():
        for host, port in re.findall(r"([a-z]+[a-z-]*):(\d+)", value.replace("://", " ")):
            assert int(port) in listening[host], value


@pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)
def test_kafka_sends_containers_to_the_name_they_came_with(service: compose.ComposeService) -> None:
    bootstrap = service.environment.get("INFERWATCH_KAFKA_BOOTSTRAP_SERVERS")
    advertised = SERVICES["kafka"].environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert bootstrap is None or f"INTERNAL://{bootstrap}" in advertised


def test_what_others_connect_to_listens_on_all_interfaces_of_its_container() -> None:
    listeners = SERVICES["kafka"].environment["KAFKA_LISTENERS"].split(",")
    assert {each.split(":")[0] for each in listeners if "://:" in each} == {"INTERNAL", "HOST"}
    addresses = [word for word in SERVICES["triton"].command if "-address=" in word]
    assert len(addresses) == 3
    assert all(word.endswith("=0.0.0.0") for word in addresses)
    for service in OURS:
        if service.published:
            assert settings.load(service.environment).sidecar.host == "0.0.0.0"


@pytest.mark.parametrize("name", compose.SECRETS)
def test_a_missing_secret_stops_everything_and_says_what_to_do(name: str) -> None:
    with pytest.raises(compose.VariableMissing) as caught:
        compose.load({**compose.SECRETS, name: ""})
    assert caught.value.name == name
    assert "put it into .env" in caught.value.message


def test_nothing_but_the_secrets_must_be_set() -> None:
    text = (compose.ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{(\w+):?\?", text)) == set(compose.SECRETS)
    assert not re.findall(r"\$\{\w+\}|\$\w+", "\n".join(line for line in text.splitlines() if not line.startswith("#")))


def test_the_workers_hash_with_the_secret_and_agree_on_it() -> None:
    loaded = [settings.load(SERVICES[f"worker-{role}"].environment).processors for role in ROLES]
    assert {each.enrich.user_hash_secret for each in loaded} == {compose.SECRETS["INFERWATCH_USER_HASH_SECRET"]}
    assert EnrichSettings().user_hash_secret not in compose.SECRETS.values()


def test_slack_is_passed_on_where_it_is_set() -> None:
    url = "https://hooks.slack.com/services/T/B/x"
    alert = compose.services({**compose.SECRETS, "SLACK_WEBHOOK_URL": url})["worker-alert"]
    assert settings.load(alert.environment).processors.alert.slack_webhook_url == url
    assert settings.load(SERVICES["worker-alert"].environment).processors.alert.slack_webhook_url is None


def test_kafka_is_the_version_that_runs_without_docker_with_the_same_settings() -> None:
    assert SERVICES["kafka"].spec["image"] == f"apache/kafka:{kafka.KAFKA_VERSION}"
    local = kafka._properties(kafka.KafkaSettings(Path("data"), Path("cache")), Path("log"))
    stated = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in SERVICES["kafka"].environment.items()
    }
    addresses = {"listeners", "advertised.listeners", "listener.security.protocol.map", "inter.broker.listener.name"}
    different = addresses | {"controller.quorum.voters", "log.dirs"}
    same = stated.keys() & local.keys() - different
    assert len(same) >= 10
    assert {name: stated[name] for name in same} == {name: str(local[name]) for name in same}


def test_clickhouse_accepts_who_the_services_say_they_are() -> None:
    server = SERVICES["clickhouse"].environment
    for service in OURS:
        if "INFERWATCH_CLICKHOUSE_URL" in service.environment:
            store = settings.load(service.environment).store
            assert (store.user, store.password) == (server["CLICKHOUSE_USER"], server["CLICKHOUSE_PASSWORD"])


def test_clickhouse_keeps_no_tables_about_itself() -> None:
    config = ElementTree.fromstring(_configs()["clickhouse"]["content"])
    removed = {element.tag for element in config if element.get("remove")}
    assert removed >= {"query_log", "trace_log", "text_log", "metric_log", "asynchronous_metric_log", "part_log"}
    assert not [element.tag for element in config if element.tag.endswith("_log") and element.tag not in removed]
    (mounted,) = SERVICES["clickhouse"].spec["configs"]
    assert mounted == {"source": "clickhouse", "target": "/etc/clickhouse-server/config.d/inferwatch.xml"}


def test_what_must_outlive_a_container_is_in_a_declared_volume() -> None:
    declared = set(compose.load(compose.SECRETS)["volumes"])
    assert {volume for service in SERVICES.values() for volume in service.volumes.values()} == declared
    assert SERVICES["kafka"].environment["KAFKA_LOG_DIRS"] in SERVICES["kafka"].volumes
    folder = settings.load(SERVICES["worker-alert"].environment).processors.retrain.folder
    assert str(folder) in SERVICES["worker-alert"].volumes


def test_one_service_builds_the_image_that_the_others_only_use() -> None:
    builders = [service.name for service in OURS if "build" in service.spec]
    assert builders == ["migrate"]
    assert {service.spec["image"] for service in OURS} == {"inferwatch"}
    assert {service.spec["pull_policy"] for service in OURS if service.name != "migrate"} == {"never"}


def _configs() -> dict[str, Any]:
    configs: dict[str, Any] = compose.load(compose.SECRETS)["configs"]
    return configs


def _listening() -> dict[str, set[int]]:
    """The ports each service says it listens on inside the network."""
    internal = {int(port) for port in re.findall(r":(\d+)", SERVICES["kafka"].environment["KAFKA_LISTENERS"])}
    return {
        **{name: {inside for _, _, inside in service.published} for name, service in SERVICES.items()},
        "kafka": internal,
    }
