from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.settings import PREFIX, Settings, SettingsError, read_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


def _line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_an_empty_environment_means_services_of_our_own_and_the_users_cache() -> None:
    settings = read_settings()
    assert settings.kafka is None
    assert settings.redis is None
    assert settings.records is None
    assert settings.health_port is None
    assert settings.cache == Path.home() / ".cache" / "vigil"


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pem = tmp_path / "some.pem"
    pem.write_text("")
    values = {
        "KAFKA": "a:9092, b:9093",
        "KAFKA_SECURITY": "sasl_ssl",
        "KAFKA_USER": "worker",
        "KAFKA_PASSWORD": "secret",
        "CA": str(pem),
        "CERT": str(pem),
        "CERT_KEY": str(pem),
        "KEY": str(pem),
        "REDIS": "rediss://:secret@h:6380/1",
        "RECORDS": str(tmp_path),
        "CACHE": str(tmp_path / "new"),
        "HEALTH_HOST": "0.0.0.0",
        "HEALTH_PORT": "8086",
        "LOG": "json",
    }
    assert {name.lower() for name in values} == set(Settings.model_fields) - {"kafka_password_file"}
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    settings = read_settings()
    assert settings.kafka == "a:9092,b:9093"
    assert (settings.kafka_security, settings.kafka_user) == ("sasl_ssl", "worker")
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == "secret"
    assert settings.ca == settings.cert == settings.cert_key == settings.key == pem
    assert settings.redis == "rediss://:secret@h:6380/1"
    assert (settings.records, settings.cache) == (tmp_path, tmp_path / "new")
    assert (settings.health_host, settings.health_port, settings.log) == ("0.0.0.0", 8086, "json")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_KAFKA", "")
    monkeypatch.setenv("VIGIL_HEALTH_PORT", "")
    assert read_settings() == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().kafka = "h:1"  # pyright: ignore[reportAttributeAccessIssue]


def test_an_unknown_variable_is_refused_and_its_neighbour_named(monkeypatch: pytest.MonkeyPatch) -> None:
    line = _line(monkeypatch, "VIGIL_KAFFKA", "h:1")
    assert line == "VIGIL_KAFFKA is not a setting of Vigil: did you mean VIGIL_KAFKA?"


def test_an_unknown_variable_like_no_other_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "known are VIGIL_KAFKA, VIGIL_KAFKA_SECURITY, " in _line(monkeypatch, "VIGIL_ZZZZ", "1")


@pytest.mark.parametrize("value", ["host", "host:", ":9092", "host:0", "host:65536", "host:9092,", "host:port"])
def test_a_kafka_address_needs_host_and_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert _line(monkeypatch, "VIGIL_KAFKA", value) == (
        f"VIGIL_KAFKA: must be host:port, or several of them with commas between, got {value!r}"
    )


@pytest.mark.parametrize(
    "value", ["host:6379", "http://h:1", "redis://", "redis://:secret@h:99999/0", "redis://[:secret"]
)
def test_a_bad_redis_url_is_refused_and_its_password_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    line = _line(monkeypatch, "VIGIL_REDIS", value)
    assert line.startswith("VIGIL_REDIS: must be a URL")
    assert "secret" not in line


def test_the_password_of_redis_is_not_shown_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_REDIS", "redis://:secret@h:6379/0")
    assert "secret" not in repr(read_settings())


def test_a_password_of_kafka_is_neither_shown_nor_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"": "h:1", "_SECURITY": "sasl_ssl", "_USER": "worker", "_PASSWORD": "secret"}.items():
        monkeypatch.setenv(f"VIGIL_KAFKA{name}", value)
    settings = read_settings()
    assert "secret" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert "secret" not in _line(monkeypatch, "VIGIL_KAFKA_SECURITY", "ssl")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"KAFKA_SECURITY": "ssl"}, "VIGIL_KAFKA_SECURITY: needs VIGIL_KAFKA, the address of the brokers"),
        ({"KAFKA": "h:1", "KAFKA_SECURITY": "sasl_ssl"}, "VIGIL_KAFKA_SECURITY: sasl_ssl needs VIGIL_KAFKA_USER, and"),
        (
            {"KAFKA": "h:1", "KAFKA_SECURITY": "sasl_ssl", "KAFKA_USER": "worker"},
            "VIGIL_KAFKA_SECURITY: sasl_ssl needs VIGIL_KAFKA_USER, and one of VIGIL_KAFKA_PASSWORD",
        ),
        ({"KAFKA": "h:1", "KAFKA_USER": "worker"}, "VIGIL_KAFKA_USER: user and password need VIGIL_KAFKA_SECURITY="),
        ({"KAFKA_PASSWORD": "x"}, "VIGIL_KAFKA_USER: user and password need VIGIL_KAFKA_SECURITY=sasl_ssl"),
        ({"CERT": __file__}, "VIGIL_CERT: a certificate and its VIGIL_CERT_KEY go together"),
        ({"KAFKA_SECURITY": "tls"}, "VIGIL_KAFKA_SECURITY: input should be 'plaintext', 'ssl' or 'sasl_ssl', got"),
        ({"CA": "/no/such.pem"}, "VIGIL_CA: must name a file that exists, got"),
        ({"KEY": "/"}, "VIGIL_KEY: must name a file that exists, got"),
    ],
)
def test_credentials_that_would_be_left_unused_or_are_lacking_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], line: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("value", ["-1", "65536", "x", "8086.5"])
def test_a_health_port_must_be_a_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    line = _line(monkeypatch, "VIGIL_HEALTH_PORT", value)
    assert line.startswith("VIGIL_HEALTH_PORT: input should be ")
    assert line.endswith(f", got {value!r}")


def test_a_folder_of_records_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    line = _line(monkeypatch, "VIGIL_RECORDS", str(tmp_path / "none"))
    assert line.startswith("VIGIL_RECORDS: must name a folder that exists, got ")


def test_a_relative_folder_is_made_absolute_and_a_tilde_is_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIGIL_CACHE", "here")
    assert read_settings().cache == tmp_path / "here"
    monkeypatch.setenv("VIGIL_CACHE", "~/there")
    assert read_settings().cache == Path.home() / "there"
