"""Every variable that cannot work is refused by its name, with the form it should have, and no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.environment import Environment
from app.errors import SettingsError
from app.settings import load

BAD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("DASHBOARD_PORT", "WORKER_PORT", "STORE_PORT", "BROKER_PORT", "BROKER_CONTROLLER_PORT"),
            *("SIDECAR_HTTP_PORT", "SIDECAR_GRPC_PORT", "SIDECAR_ADMIN_PORT"),
            *("TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT"),
        ),
        ("0", "65536", "http", "-1", "80.5", "1" * 30, "٣"),
    ),
    **dict.fromkeys(
        ("TRITON_HTTP", "TRITON_GRPC", "EMBEDDER"), ("host", ":80", "host:", "http://host:80", "a:1,b:2", "h:0")
    ),
    **dict.fromkeys(
        ("DASHBOARD_URL", "CLICKHOUSE_URL"),
        ("host:80", "ftp://host", "http://", "http://[::1", "http://h:99999", "http://h:0", "http://user:geheim@h"),
    ),
    "KAFKA_BOOTSTRAP_SERVERS": ("host", "a:1,b", "a:1,", "a:1, b:2", "kafka://a:1"),
    "KAFKA_SECURITY_PROTOCOL": ("ssl", "TLS"),
    "KAFKA_PARTITIONS": ("0", "many", "1e3"),
    "KAFKA_REPLICATION": ("0", "11"),
    "KAFKA_EMBEDDED": ("yes", "2"),
    "BATCH_RECORDS": ("0", "x"),
    **dict.fromkeys(
        ("BATCH_SECONDS", "KAFKA_SESSION_SECONDS", "CLICKHOUSE_QUERY_SECONDS"), ("0", "-1", "nan", "inf", "1e-3")
    ),
    "POISON_LIMIT": ("1.1", "50%", "-0.1", "nan"),
    "PRICE_BOOK": ("/no/such/file", "/", "~nobody-of-this-name/x"),
    "ALERT_RULES": ("/no/such/file",),
    "DRIFT_REFERENCE_EVENTS": ("19", "x"),
    "DRIFT_WINDOWS": ("120,30", "30,30", "4", "30,", "a", "30 120", "30,300"),
    "DRIFT_RUN_LENGTH": ("99", "200"),
    "RETRAINING_ROWS": ("0",),
    "STORE_MEMORY_MB": ("255", "all"),
    "BROKER_HEAP_MB": ("127",),
    "TRITON_THREADS": ("-1",),
    **dict.fromkeys(("DATA_DIR", "CACHE_DIR", "STORE_PATH", "RETRAINING_DIR"), ("~nobody-of-this-name/x",)),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: str) -> None:
    variable = f"INFERWATCH_{name}"
    with pytest.raises(SettingsError) as caught:
        load({variable: value})
    assert caught.value.variable == variable
    assert str(caught.value).startswith(f"{variable} is ")
    assert caught.value.expected
    assert caught.value.expected in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_the_slack_webhook_is_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"SLACK_WEBHOOK_URL": "hooks.slack.com/services/T0/B0/geheim"})
    assert caught.value.variable == "SLACK_WEBHOOK_URL"
    assert "geheim" not in str(caught.value)
    assert "a value that is not shown; expected a URL" in str(caught.value)


@pytest.mark.parametrize("variable", ["X_PASSWORD", "X_SECRET", "SLACK_WEBHOOK_URL", "X_TOKEN"])
def test_a_secret_is_not_shown(variable: str) -> None:
    assert str(SettingsError(variable, "geheim", "b")) == f"{variable} is a value that is not shown; expected b"
    assert str(SettingsError("X", "a", "b")) == "X is 'a'; expected b"


def test_settings_do_not_show_their_secrets() -> None:
    loaded = load(
        {
            "INFERWATCH_KAFKA_SASL_PASSWORD": "geheim-kafka",
            "INFERWATCH_USER_HASH_SECRET": "geheim-hash",
            "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/geheim-slack",
        }
    )
    assert loaded.kafka.security["sasl.password"] == "geheim-kafka"
    assert loaded.processors.enrich.user_hash_secret == "geheim-hash"
    assert loaded.processors.alert.slack_webhook_url == "https://hooks.slack.com/services/geheim-slack"
    assert "geheim" not in repr(loaded)
    assert "geheim" not in repr(load({"INFERWATCH_CLICKHOUSE_PASSWORD": "geheim"}).store)


def test_without_any_variable_everything_is_on_this_machine() -> None:
    loaded = load({})
    assert load({"INFERWATCH_KAFKA_PARTITIONS": "  ", "SLACK_WEBHOOK_URL": ""}) == loaded
    assert (loaded.kafka.bootstrap_servers, loaded.store.url) == ("127.0.0.1:9092", "http://127.0.0.1:8123")
    assert loaded.sidecar.host == loaded.embedded_store.host == loaded.broker.host == loaded.triton.host == "127.0.0.1"
    assert loaded.processors.enrich.embedder_url is None
    assert loaded.processors.alert.slack_webhook_url is None
    assert loaded.processors.web_port is None


def test_values_reach_their_services(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("")
    loaded = load(
        {
            "INFERWATCH_KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
            "INFERWATCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "INFERWATCH_KAFKA_SASL_USERNAME": "me",
            "INFERWATCH_PRICE_BOOK": str(prices),
            "INFERWATCH_DRIFT_WINDOWS": "25,50",
            "INFERWATCH_DRIFT_REFERENCE_EVENTS": "100",
            "INFERWATCH_WORKER_PORT": "8080",
            "INFERWATCH_KAFKA_EMBEDDED": "TRUE",
            "INFERWATCH_DATA_DIR": str(tmp_path),
            "INFERWATCH_TEAM": "retail",
        }
    )
    assert loaded.kafka.security == {"security.protocol": "SASL_SSL", "sasl.username": "me"}
    assert loaded.sidecar.mirror.kafka == loaded.kafka.security
    assert (loaded.sidecar.mirror.bootstrap_servers, loaded.sidecar.mirror.team) == ("a:1,b:2", "retail")
    assert loaded.processors.enrich.price_book == prices
    assert (loaded.processors.detect.windows, loaded.processors.detect.reference_events) == ((25, 50), 100)
    assert (loaded.processors.web_port, loaded.kafka.embedded) == (8080, True)
    assert loaded.processors.retrain.folder == tmp_path / "retraining"


TYPED = ["port", "seconds", "share", "flag", "url", "address", "addresses", "path", "existing_file", "integers"]


@given(st.text(max_size=20).filter(lambda text: "\0" not in text and text.strip()), st.sampled_from(TYPED))
def test_any_text_is_a_value_or_a_settings_error(text: str, kind: str) -> None:
    env = Environment({"P_X": text}, prefix="P_")
    default = {
        "port": (1,),
        "seconds": (1.0,),
        "share": (0.5,),
        "flag": (True,),
        "url": ("http://h",),
        "address": ("h:1",),
        "addresses": ("h:1",),
        "path": (Path("x"),),
        "integers": ((1,), 0, 10),
    }.get(kind, ())
    try:
        outcome = getattr(env, kind)("X", *default)
    except SettingsError as error:
        outcome = error.variable
    assert outcome == "P_X" or isinstance(outcome, int | float | str | Path | tuple)


def test_optional_values_may_be_absent() -> None:
    env = Environment({"P_A": " x "}, prefix="P_")
    assert (env.optional("A"), env.optional("B")) == ("x", None)
    assert (env.optional_port("B"), env.optional_address("B"), env.existing_file("B")) == (None, None, None)
    assert env.optional_url("P_B") is None
