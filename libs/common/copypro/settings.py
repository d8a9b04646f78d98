"""The environment, read by mains only; every name as users of the original know it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from copypro import topics
from copypro.dead_letters import Place
from copypro.errors import SettingsError
from copypro.near import near

Security = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
_CLIENTS = ("COPYPRO_URL", "COPYPRO_KEY")
"""Of commands that call the gateway."""
_TWO_SLIPS_FROM = 20
"""Letters: Kubernetes' COPYPRO_SERVICE_HOST is no slip of COPYPRO_SERVICE_PORT, which has fewer."""
AsItIs = Annotated[str, StringConstraints(strip_whitespace=False)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        extra="ignore", populate_by_name=True, env_ignore_empty=True, str_strip_whitespace=True
    )

    api_mt4: str = Field("", alias="ApiMT4", description="address of the mt4rest bridge")
    api_mt5: str = Field("", alias="ApiMT5", description="address of the mt5rest bridge")
    data: Path = Field(Path(".copypro"), alias="COPYPRO_DATA")
    host: str = Field("127.0.0.1", alias="COPYPRO_HOST")
    gateway_port: int = Field(5020, alias="COPYPRO_GATEWAY_PORT", ge=0, le=65535)
    alert_url: str = Field("", alias="COPYPRO_ALERT_URL")
    callback_private: bool = Field(False, alias="COPYPRO_CALLBACK_PRIVATE")
    secret_keys: str = Field("", alias="COPYPRO_SECRET_KEYS", repr=False)
    manager_key: str = Field("", alias="COPYPRO_MANAGER_KEY", repr=False)
    require_key: bool = Field(False, alias="COPYPRO_REQUIRE_KEY")
    sign_up: str = Field("", alias="COPYPRO_SIGN_UP", description="open, invite or closed")
    requests_per_s: float = Field(100.0, alias="COPYPRO_REQUESTS_PER_S", ge=0)
    address_requests_per_s: float = Field(200.0, alias="COPYPRO_ADDRESS_REQUESTS_PER_S", ge=0)
    most_accounts: int = Field(1000, alias="COPYPRO_ACCOUNTS_PER_USER", ge=1, le=10_000)
    most_copiers: int = Field(1000, alias="COPYPRO_COPIERS_PER_USER", ge=1, le=100_000)
    cors_origins: str = Field("", alias="COPYPRO_CORS_ORIGINS")
    tls_cert: str = Field("", alias="COPYPRO_TLS_CERT", description="file")
    tls_key: str = Field("", alias="COPYPRO_TLS_KEY", description="file")
    trusted_proxies: str = Field("", alias="COPYPRO_TRUSTED_PROXIES")
    mail: str = Field("", alias="COPYPRO_MAIL", repr=False)
    mail_from: str = Field("copypro@localhost", alias="COPYPRO_MAIL_FROM")
    reset_url: str = Field("", alias="COPYPRO_RESET_URL")
    errors_as_201: Literal["", "object", "array"] = Field("", alias="COPYPRO_ERRORS_AS_201")
    visible_within_s: float = Field(5.0, alias="COPYPRO_VISIBLE_WITHIN_S", ge=0, le=60)
    reads_per_s: float | None = Field(None, alias="COPYPRO_BRIDGE_READS_PER_S", gt=0)
    log_json: bool = Field(False, alias="COPYPRO_LOG_JSON")
    simulated: bool = Field(False, alias="COPYPRO_SIMULATED")
    set_aside: str = Field("", alias="COPYPRO_SET_ASIDE", description="topic/partition/offset, …")

    kafka: str = Field("", alias="KAFKA_BOOTSTRAP_SERVERS", description="host:port,host:port")
    topic_prefix: str = Field("", alias="COPYPRO_TOPIC_PREFIX", pattern=r"^[A-Za-z0-9._-]{0,60}$")
    partitions: int = Field(16, alias="COPYPRO_PARTITIONS", ge=1, le=1000)
    replication: int = Field(1, alias="COPYPRO_REPLICATION", ge=1, le=9)
    session_timeout_s: float = Field(6.0, alias="COPYPRO_SESSION_TIMEOUT_S", ge=1)
    kafka_security: Security = Field("PLAINTEXT", alias="KAFKA_SECURITY_PROTOCOL")
    kafka_sasl_mechanism: Mechanism = Field("", alias="KAFKA_SASL_MECHANISM")
    kafka_username: str = Field("", alias="KAFKA_SASL_USERNAME")
    kafka_password: AsItIs = Field("", alias="KAFKA_SASL_PASSWORD", repr=False)
    kafka_ca_file: str = Field("", alias="KAFKA_SSL_CA_FILE")
    kafka_cert_file: str = Field("", alias="KAFKA_SSL_CERT_FILE")
    kafka_key_file: str = Field("", alias="KAFKA_SSL_KEY_FILE")
    mongo: str = Field("", alias="MongoDB", repr=False, description="mongodb://host:port/database")
    service_port: int = Field(5021, alias="COPYPRO_SERVICE_PORT", ge=0, le=65535)

    @field_validator("api_mt4", "api_mt5", "alert_url", "reset_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _names_host(value, "http", "https"):
            raise ValueError("must be an address like http://127.0.0.1:5005")
        return value

    @field_validator("api_mt4", "api_mt5")
    @classmethod
    def _takes_calls(cls, value: str) -> str:
        if "?" in value or "#" in value:
            raise ValueError("must have no ? and no #, as in http://127.0.0.1:5005")
        return value

    @field_validator("mail")
    @classmethod
    def _is_mail(cls, value: str) -> str:
        if value not in ("", "file") and not _names_host(value, "smtp", "smtps"):
            raise ValueError("must be an address like smtp://user:password@host:587, or file")
        return value

    @field_validator("sign_up")
    @classmethod
    def _is_sign_up(cls, value: str) -> str:
        if value not in ("", "open", "invite", "closed"):
            raise ValueError("must be open, invite or closed")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for each in _words(value):
            try:
                ip_network(each)
            except ValueError:
                raise ValueError(f"{each} is no address or network like 10.0.0.0/8") from None
        return value

    @field_validator("set_aside")
    @classmethod
    def _are_places(cls, value: str) -> str:
        for each in _words(value):
            topic, _, place = each.partition("/")
            partition, _, offset = place.partition("/")
            known = sorted({topic.name for role in topics.ROLES for topic in role.inputs})
            if topic not in known:
                raise ValueError(
                    f"{each}: no service reads a topic {topic}, but {', '.join(known)}"
                )
            if not (partition.isdecimal() and offset.isdecimal()):
                raise ValueError(f"{each} is no topic/partition/offset like slave-orders/0/123")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for each in _words(value):
            parts = urlsplit(each)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
                raise ValueError(f"{each} is no origin like https://app.example.com")
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.tls_key and not self.tls_cert:
            raise ValueError("COPYPRO_TLS_KEY is set and COPYPRO_TLS_CERT is not: set both or none")
        if self.kafka_security.startswith("SASL"):
            needed = {
                "KAFKA_SASL_MECHANISM": self.kafka_sasl_mechanism,
                "KAFKA_SASL_USERNAME": self.kafka_username,
                "KAFKA_SASL_PASSWORD": self.kafka_password,
            }
            for name, value in needed.items():
                if not value:
                    raise ValueError(f"{name} is needed by {self.kafka_security}: set it")
        return self

    @property
    def places_set_aside(self) -> frozenset[Place]:
        found = (each.split("/") for each in _words(self.set_aside))
        return frozenset((topic, int(partition), int(offset)) for topic, partition, offset in found)

    @property
    def sign_ups(self) -> str:
        """open, invite or closed. Unset: open only where nobody else can reach it."""
        is_ours_alone = self.host in ("127.0.0.1", "::1", "localhost")
        return self.sign_up or ("open" if is_ours_alone else "closed")

    @property
    def log_place(self) -> str:
        """Where the log is, for people."""
        return f"Kafka at {self.kafka}" if self.kafka else str(self.data)

    def reads_for(self, address: str) -> float:
        """Reads a second: few for somebody else's bridge, many for one of our own network."""
        if self.reads_per_s is not None:
            return self.reads_per_s
        return 200.0 if _is_private(urlsplit(address).hostname or "") else 3.0


def load(data: Path | None = None) -> Settings:
    """`data`: a folder that was named on the command line.

    Errors: SettingsError that names the variable and what it takes.
    """
    try:
        settings = Settings()  # type: ignore[call-arg]
        return settings if data is None else settings.model_copy(update={"data": data})
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        raise SettingsError(": ".join([*map(str, first["loc"]), told])) from None


def mistyped(names: Iterable[str]) -> dict[str, str]:
    """Of these variables' names those that nothing reads though they look like a setting's, and which."""
    known = [str(field.alias) for field in Settings.model_fields.values()]
    read = {name.upper(): name for name in (*known, *_CLIENTS)}
    meant = {
        name: near(name, read.values(), two_from=_TWO_SLIPS_FROM)
        for name in names
        if name.upper() not in read
    }
    return {name: found for name, found in meant.items() if found is not None}


def _names_host(address: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        return parts.scheme in schemes and host != "" and " " not in host and parts.port != 0
    except ValueError:  # a port that is none, or half an IPv6 address
        return False


def _words(value: str) -> list[str]:
    """With commas or blanks between."""
    return value.replace(",", " ").split()


def _is_private(host: str) -> bool:
    if host == "localhost" or "." not in host or host.startswith(("127.", "10.", "192.168.")):
        return True
    parts = host.split(".")
    return host.startswith("172.") and parts[1].isdigit() and 16 <= int(parts[1]) <= 31
