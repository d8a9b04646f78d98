"""What an operator may write into the environment: taken, or refused with the name and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from copypro.adapters.kafka_client import Clients, KafkaLimits
from copypro.errors import SettingsError
from copypro.settings import Settings, load, mistyped
from copypro.wiring import kafka_settings

SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "PLAIN"}


def refused(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


@pytest.mark.parametrize("name", ["ApiMT4", "ApiMT5", "COPYPRO_ALERT_URL", "COPYPRO_RESET_URL"])
@pytest.mark.parametrize(
    "value",
    [
        "localhost:5005", "http://", "https:///path", "http://127.0.0.1:99999", "http://a b:5005",
        "http://host:port", "http://[::1", "ftp://host",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    said = refused(monkeypatch, **{name: value})
    assert said == f"{name}: must be an address like http://127.0.0.1:5005"


@pytest.mark.parametrize("name", ["ApiMT4", "ApiMT5"])
@pytest.mark.parametrize("rest", ["?x=1", "/path?", "#part", "/path?x#y"])
def test_what_no_call_can_be_put_behind_is_no_bridge(
    monkeypatch: pytest.MonkeyPatch, name: str, rest: str
) -> None:
    """Every call would be answered 404, as by a bridge of another kind."""
    said = refused(monkeypatch, **{name: f"http://127.0.0.1:5005{rest}"})
    assert said == f"{name}: must have no ? and no #, as in http://127.0.0.1:5005"


@pytest.mark.parametrize("value", ["smtp://", "smtp://host:99999", "smtps://user@", "http://host"])
def test_what_is_no_mail_server_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    assert refused(monkeypatch, COPYPRO_MAIL=value).startswith("COPYPRO_MAIL: must be an address")


def test_blanks_around_a_value_are_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ApiMT5", " http://127.0.0.1:5005 ")
    monkeypatch.setenv("COPYPRO_HOST", "127.0.0.1\n")
    monkeypatch.setenv("COPYPRO_MANAGER_KEY", " ")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", " as it is ")
    settings = load()
    assert settings.api_mt5 == "http://127.0.0.1:5005"
    assert settings.host == "127.0.0.1"
    assert settings.manager_key == "", "a blank would be an operator's key that anybody guesses"
    assert settings.kafka_password == " as it is "


def test_a_key_without_its_certificate_is_no_plain_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "COPYPRO_TLS_CERT" in refused(monkeypatch, COPYPRO_TLS_KEY="/somewhere/key.pem")


@pytest.mark.parametrize(
    ("name", "value"),
    [("KAFKA_SECURITY_PROTOCOL", "ssl"), ("KAFKA_SASL_MECHANISM", "OAUTHBEARER")],
)
def test_what_kafkas_client_does_not_know_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert refused(monkeypatch, **{name: value}).startswith(f"{name}: Input should be ")


@pytest.mark.parametrize("left_out", ["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME"])
def test_sasl_without_what_it_needs_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    given = SASL | {"KAFKA_SASL_USERNAME": "copypro", "KAFKA_SASL_PASSWORD": "secret"}
    said = refused(monkeypatch, **(given | {left_out: ""}))
    assert left_out in said
    assert "secret" not in said


@pytest.mark.parametrize("name", ["KAFKA_SSL_CA_FILE", "KAFKA_SSL_CERT_FILE"])
def test_a_file_that_is_no_certificate_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (tmp_path / "none.pem", empty):
        monkeypatch.setenv(name, str(path))
        with pytest.raises(SettingsError, match=name):
            Clients(kafka_settings(load()), KafkaLimits())


def test_only_what_a_service_reads_can_be_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused(monkeypatch, COPYPRO_SET_ASIDE="audit/0/12")
    assert "slave-orders" in said


def test_a_name_that_is_nearly_a_settings_is_told_with_the_one_that_was_meant() -> None:
    """Nobody reads it: no alert would be posted, and the log would be in this folder, not on Kafka."""
    given = [
        "COPYPRO_ALERTS_URL",
        "KAFKA_BOOTSTRAP_SERVER",
        "COPYPRO_SIGNUP",
        "COPYPRO_REQUIRE_KEYS",
    ]
    assert mistyped(given) == {
        "COPYPRO_ALERTS_URL": "COPYPRO_ALERT_URL",
        "KAFKA_BOOTSTRAP_SERVER": "KAFKA_BOOTSTRAP_SERVERS",
        "COPYPRO_SIGNUP": "COPYPRO_SIGN_UP",
        "COPYPRO_REQUIRE_KEYS": "COPYPRO_REQUIRE_KEY",
    }


def test_what_is_read_and_what_others_set_is_no_slip() -> None:
    names = [str(field.alias) for field in Settings.model_fields.values()]
    clients = ["COPYPRO_URL", "COPYPRO_KEY"]
    others = [
        "PATH",
        "COPYPRO_TEST_LIMITS",
        "COPYPRO_VERSION",
        "KAFKA_PORT",
        "COPYPRO_SERVICE_HOST",
        "COPYPRO_PORT",
        "COPYPRO_HOME",
    ]
    others += ["COPYPRO_GATEWAY_SERVICE_HOST", "COPYPRO_GATEWAY_PORT_5020_TCP", "KAFKA_HEAP_OPTS"]
    assert mistyped([*names, *map(str.lower, names), *clients, *others]) == {}
