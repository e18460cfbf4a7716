"""Settings of the collector: what cannot work is refused by its variable, and strangers are kept out."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.main import cli
from app.errors import SettingsError
from app.settings import load
from ingest.api_keys import load as load_keys
from ingest.collector.settings import CollectorSettings
from ingest.errors import SettingError
from ingest.tls import ServerTls


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COLLECTOR_PORT", "0"),
        ("COLLECTOR_GRPC_PORT", "65536"),
        ("COLLECTOR_OPEN", "yes"),
        ("COLLECTOR_MAX_BODY_BYTES", "1"),
        ("COLLECTOR_IN_FLIGHT_BYTES", "1024"),
        ("COLLECTOR_REQUESTS_PER_SECOND", "-1"),
        ("COLLECTOR_BYTES_PER_SECOND", "many"),
        ("COLLECTOR_ACK_SECONDS", "0"),
        ("CLOUDEVENTS_JOIN_SECONDS", "soon"),
        ("COLLECTOR_TLS_CERT", "/no/such/file"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({f"INFERWATCH_{name}": value})
    assert caught.value.variable == f"INFERWATCH_{name}"


def test_a_certificate_needs_its_key_and_the_other_way_round(tmp_path: Path) -> None:
    for name in ("CERT", "KEY"):
        (tmp_path / name).touch()
    given = {f"INFERWATCH_COLLECTOR_TLS_{name}": str(tmp_path / name) for name in ("CERT", "KEY")}
    assert load(given).collector.tls == ServerTls(tmp_path / "CERT", tmp_path / "KEY")
    for name in given:
        with pytest.raises(SettingsError) as caught:
            load({other: path for other, path in given.items() if other != name})
        assert caught.value.variable == name


def test_more_may_be_in_flight_where_bodies_may_be_larger() -> None:
    loaded = load({"INFERWATCH_COLLECTOR_MAX_BODY_BYTES": str(256 << 20)}).collector
    assert loaded.in_flight_bytes == 512 << 20


@pytest.mark.parametrize(
    ("settings", "guarded"),
    [
        (CollectorSettings(), True),
        (CollectorSettings(host="::1"), True),
        (CollectorSettings(host="localhost"), True),
        (CollectorSettings(host="0.0.0.0"), False),
        (CollectorSettings(host="collector.example"), False),
        (CollectorSettings(host="0.0.0.0", open=True), True),
        (CollectorSettings(host="0.0.0.0", api_keys=Path("keys.json")), True),
    ],
)
def test_strangers_are_kept_out(settings: CollectorSettings, guarded: bool) -> None:
    assert settings.guarded is guarded


@pytest.mark.parametrize(
    "changes",
    [{"http_port": -1}, {"max_body_bytes": 0}, {"ack_seconds": 0}, {"bytes_per_second": -1}, {"in_flight_bytes": 1}],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(changes: dict[str, int]) -> None:
    with pytest.raises(SettingError) as caught:
        CollectorSettings(**changes)  # type: ignore[arg-type]
    assert caught.value.name in changes


def test_keys_are_made_listed_and_revoked_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.json"
    monkeypatch.setenv("INFERWATCH_API_KEYS", str(file))
    runner = CliRunner()
    made = runner.invoke(cli, ["api-keys", "create", "--team", "alpha", "--expires-in-days", "1"])
    (key,) = load_keys(file)
    assert made.stdout.startswith(f"iw_{key.id}_")
    assert key.expires_at == pytest.approx(key.created_at + 86_400)
    listed = runner.invoke(cli, ["api-keys", "list"]).stdout
    assert key.id in listed
    assert "alpha" in listed
    assert "valid" in listed
    assert made.stdout.strip() not in listed
    assert runner.invoke(cli, ["api-keys", "revoke", key.id]).exit_code == 0
    assert "revoked" in runner.invoke(cli, ["api-keys", "list"]).stdout


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--expires-in-days", days) for days in ("0", "-1", "36501", "1e9", "inf", "nan")),
        *((name, "x" * 257) for name in ("--team", "--environment")),
    ],
)
def test_no_key_is_made_that_would_not_do_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    file = tmp_path / "keys.json"
    monkeypatch.setenv("INFERWATCH_API_KEYS", str(file))
    refused = CliRunner().invoke(cli, ["api-keys", "create", option, value])
    assert refused.exit_code == 2
    assert option in refused.stderr
    assert not file.exists()


def test_the_longest_time_and_names_of_a_key_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERWATCH_API_KEYS", str(tmp_path / "keys.json"))
    runner = CliRunner()
    longest = ["--expires-in-days", "36500", "--team", "x" * 256, "--environment", "y" * 256]
    assert runner.invoke(cli, ["api-keys", "create", *longest]).exit_code == 0
    listed = runner.invoke(cli, ["api-keys", "list"])
    assert listed.exit_code == 0
    assert "x" * 256 in listed.stdout


def test_without_the_variable_the_commands_say_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERWATCH_API_KEYS", raising=False)
    result = CliRunner().invoke(cli, ["api-keys", "list"])
    assert isinstance(result.exception, SettingsError)
    assert result.exception.variable == "INFERWATCH_API_KEYS"
