"""The environment, read by mains only; every name as users of the original know it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from copypro.errors import SettingsError


class Settings(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, env_ignore_empty=True)

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
    sign_up: str = Field("", alias="COPYPRO_SIGN_UP", description="open or closed")
    reads_per_s: float | None = Field(None, alias="COPYPRO_BRIDGE_READS_PER_S", gt=0)
    log_json: bool = Field(False, alias="COPYPRO_LOG_JSON")
    simulated: bool = Field(False, alias="COPYPRO_SIMULATED")

    kafka: str = Field("", alias="KAFKA_BOOTSTRAP_SERVERS", description="host:port,host:port")
    topic_prefix: str = Field("", alias="COPYPRO_TOPIC_PREFIX", pattern=r"^[A-Za-z0-9._-]{0,60}$")
    partitions: int = Field(16, alias="COPYPRO_PARTITIONS", ge=1, le=1000)
    replication: int = Field(1, alias="COPYPRO_REPLICATION", ge=1, le=9)
    session_timeout_s: float = Field(6.0, alias="COPYPRO_SESSION_TIMEOUT_S", ge=1)
    kafka_security: str = Field("PLAINTEXT", alias="KAFKA_SECURITY_PROTOCOL")
    kafka_sasl_mechanism: str = Field("", alias="KAFKA_SASL_MECHANISM")
    kafka_username: str = Field("", alias="KAFKA_SASL_USERNAME")
    kafka_password: str = Field("", alias="KAFKA_SASL_PASSWORD", repr=False)
    kafka_ca_file: str = Field("", alias="KAFKA_SSL_CA_FILE")
    kafka_cert_file: str = Field("", alias="KAFKA_SSL_CERT_FILE")
    kafka_key_file: str = Field("", alias="KAFKA_SSL_KEY_FILE")
    mongo: str = Field("", alias="MongoDB", repr=False, description="mongodb://host:port/database")
    service_port: int = Field(5021, alias="COPYPRO_SERVICE_PORT", ge=0, le=65535)

    @field_validator("api_mt4", "api_mt5", "alert_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must be an address like http://127.0.0.1:5005")
        return value

    @field_validator("sign_up")
    @classmethod
    def _is_sign_up(cls, value: str) -> str:
        if value not in ("", "open", "closed"):
            raise ValueError("must be open or closed")
        return value

    @property
    def sign_up_open(self) -> bool:
        """Unset: open only where nobody else can reach it."""
        if self.sign_up:
            return self.sign_up == "open"
        return self.host in ("127.0.0.1", "::1", "localhost")

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
        name = str(first["loc"][0])
        raise SettingsError(f"{name}: {first['msg']}") from None


def _is_private(host: str) -> bool:
    if host == "localhost" or "." not in host or host.startswith(("127.", "10.", "192.168.")):
        return True
    parts = host.split(".")
    return host.startswith("172.") and parts[1].isdigit() and 16 <= int(parts[1]) <= 31
