"""Settings: names, defaults, and an error that names the variable and the remedy, never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from copypro import settings
from copypro.errors import SettingsError
from copypro.values import Platform

NAMES = [str(field.validation_alias) for field in settings.Settings.model_fields.values()]


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of ours."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_any_variable_no_platform_is_on(env: pytest.MonkeyPatch) -> None:
    found = settings.load()

    assert found.bridges() == {}
    assert (found.host, found.gateway_port) == ("127.0.0.1", 5020)
    assert found.data == Path("~/.copypro").expanduser()
    assert not found.require_key


def test_bridges_keep_their_original_names(env: pytest.MonkeyPatch) -> None:
    env.setenv("ApiMT4", "http://127.0.0.1:5004/")
    env.setenv("ApiMT5", "")

    assert settings.load().bridges() == {Platform.MT4: "http://127.0.0.1:5004"}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ApiMT5", "127.0.0.1:5005", "ApiMT5: is not an address: write http://host:port"),
        ("COPYPRO_GATEWAY_PORT", "seventy", "COPYPRO_GATEWAY_PORT: "),
        ("COPYPRO_GATEWAY_PORT", "70000", "COPYPRO_GATEWAY_PORT: "),
        ("COPYPRO_BRIDGE_READS_PER_S", "0", "COPYPRO_BRIDGE_READS_PER_S: "),
        ("COPYPRO_SECRET_KEYS", "hunter2", "COPYPRO_SECRET_KEYS: each key must be"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092", "KAFKA_BOOTSTRAP_SERVERS: is not supported yet"),
    ],
)
def test_a_wrong_value_is_named_and_never_shown(
    env: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    env.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        settings.load()

    assert str(caught.value).startswith(says)
    assert "hunter2" not in str(caught.value)


def test_an_address_with_a_password_shows_nowhere(env: pytest.MonkeyPatch) -> None:
    env.setenv("ApiMT4", "http://user:hunter2@bridge.example.org/token123")

    found = settings.load()

    assert "hunter2" not in repr(found)
    assert "token123" not in str(found)


@pytest.mark.parametrize(
    ("url", "reads"),
    [
        ("http://127.0.0.1:5004", 200.0),
        ("http://192.168.7.3", 200.0),
        ("http://mt4rest", 200.0),
        ("https://mt4.example.org", 3.0),
        ("http://8.8.8.8", 3.0),
    ],
)
def test_a_public_bridge_is_read_gently(env: pytest.MonkeyPatch, url: str, reads: float) -> None:
    assert settings.load().reads_per_s(url) == reads


def test_a_set_read_budget_wins(env: pytest.MonkeyPatch) -> None:
    env.setenv("COPYPRO_BRIDGE_READS_PER_S", "12.5")

    assert settings.load().reads_per_s("https://mt4.example.org") == 12.5
