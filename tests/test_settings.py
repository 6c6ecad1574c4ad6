"""Tests of the environment settings: what is read, refused, and never shown."""

import os
import traceback

import pytest

from recloop.config import ConfigError
from recloop.settings import Settings, is_secret, read_settings, variables_of


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("RECLOOP_", "OTEL_")):
            monkeypatch.delenv(name)


def test_every_setting_has_a_default(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_settings()
    assert settings.home.root == tmp_path / ".recloop"
    assert settings.home.database == f"sqlite:///{tmp_path}/.recloop/events.db"
    assert (settings.workers, settings.auth, settings.rate_limit) == (1, "off", None)


def test_an_empty_variable_means_the_default(monkeypatch) -> None:
    for name in ("RECLOOP_HOME", "RECLOOP_WORKERS", "RECLOOP_LOG_JSON", "RECLOOP_RATE_LIMIT"):
        monkeypatch.setenv(name, "")
    settings = read_settings()
    assert (settings.home.root.name, settings.workers) == (".recloop", 1)
    assert (settings.log_json, settings.rate_limit) == (False, None)


def test_values_are_read_with_their_types(monkeypatch) -> None:
    monkeypatch.setenv("RECLOOP_LOG", "DEBUG")
    monkeypatch.setenv("RECLOOP_LOG_JSON", "1")
    monkeypatch.setenv("RECLOOP_CORS_ORIGINS", "https://a.example, http://localhost:8080")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    settings = read_settings()
    assert (settings.log, settings.log_json) == ("debug", True)
    assert settings.cors_origins == ("https://a.example", "http://localhost:8080")
    assert settings.otlp_endpoint == "http://collector:4318"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RECLOOP_WORKERS", "two", "RECLOOP_WORKERS is 'two': .*valid integer"),
        ("RECLOOP_WORKERS", "0", "RECLOOP_WORKERS is '0': .*greater than 0"),
        ("RECLOOP_AUTH", "key", "RECLOOP_AUTH is 'key': .*'off' or 'keys'"),
        ("RECLOOP_LOG", "loud", "RECLOOP_LOG is 'loud': .*'debug', 'info'"),
        ("RECLOOP_SERVICE_PORT", "http", "RECLOOP_SERVICE_PORT is 'http'"),
        ("RECLOOP_SERVICE_PORT", "65536", "RECLOOP_SERVICE_PORT is '65536': .*65535"),
        ("RECLOOP_POLL_SECONDS", "inf", "RECLOOP_POLL_SECONDS is 'inf': .*finite"),
        ("RECLOOP_CORS_ORIGINS", "https://a.example *", "RECLOOP_CORS_ORIGINS is '\\*': "),
        ("RECLOOP_DATABASE_URL", "mysql://shop", "RECLOOP_DATABASE_URL: must begin with sqlite"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_variable(
    monkeypatch, name, value, message
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        read_settings()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("RECLOOP_WORKRES", "RECLOOP_WORKERS"),
        ("RECLOOP_AHTU", "RECLOOP_AUTH"),
        ("RECLOOP_AUTHS", "RECLOOP_AUTH"),
        ("RECLOOP_LGO", "RECLOOP_LOG"),
        ("RECLOOP_HOEM", "RECLOOP_HOME"),
        ("RECLOOP_RATELIMIT", "RECLOOP_RATE_LIMIT"),
        ("RECLOOP_PSEUDONYM_KEYFILE", "RECLOOP_PSEUDONYM_KEY_FILE"),
    ],
)
def test_a_misspelt_name_is_an_error_that_names_the_right_one(monkeypatch, wrong, right) -> None:
    monkeypatch.setenv(wrong, "1")
    with pytest.raises(ConfigError, match=rf"{wrong} is not a setting. Did you mean {right}\?"):
        read_settings()


@pytest.mark.parametrize(
    "name",
    [
        "RECLOOP_COLOUR",
        # Kubernetes sets these in every pod beside a service named recloop.
        "RECLOOP_SERVICE_HOST",
        "RECLOOP_SERVICE_PORT_HTTP",
        "RECLOOP_PORT",
        "RECLOOP_PORT_3000_TCP_PORT",
    ],
)
def test_another_unknown_name_is_a_warning(monkeypatch, name) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.warns(UserWarning, match=f"{name} is not a setting of recloop"):
        read_settings()


def test_a_secret_is_in_no_representation(monkeypatch) -> None:
    monkeypatch.setenv("RECLOOP_DATABASE_URL", "postgresql://shop:open-sesame@db/recloop")
    monkeypatch.setenv("RECLOOP_PSEUDONYM_KEY", "open-sesame" * 3)
    monkeypatch.setenv("RECLOOP_API_KEY", "open-sesame")
    settings = read_settings()
    assert settings.home.database == "postgresql://shop:open-sesame@db/recloop"
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.home!r}"
    assert "sesame" not in shown


def test_a_secret_is_in_no_error(monkeypatch) -> None:
    monkeypatch.setenv("RECLOOP_DATABASE_URL", "mysql://shop:open-sesame@db/recloop")
    with pytest.raises(ConfigError, match="RECLOOP_DATABASE_URL") as refused:
        read_settings()
    assert "sesame" not in "".join(traceback.format_exception(refused.value))


def test_secrets_are_those_that_hold_keys_or_passwords() -> None:
    secrets = {name for name in Settings.model_fields if is_secret(name)}
    assert secrets == {"database_url", "pseudonym_key", "api_key"}


def test_the_traces_endpoint_is_stronger_than_the_general_one(monkeypatch) -> None:
    general, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    assert variables_of("otlp_endpoint") == [traces, general]
    monkeypatch.setenv(general, "http://general")
    monkeypatch.setenv(traces, "http://traces")
    assert read_settings().otlp_endpoint == "http://traces"
