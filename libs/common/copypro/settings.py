"""The settings: environment variables only, read once, in mains.

Names are the original's where it had them. Errors: SettingsError, one line per wrong variable with
what to set instead, and never the value of a secret one.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from copypro.errors import SettingsError
from copypro.values import Platform

PUBLIC_READS_PER_S = 3.0
"""What a public bridge bore in production (bridge notes §11)."""
PRIVATE_READS_PER_S = 200.0
"""A bridge of one's own, on this machine or network."""

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """Each field's description is what `.env.example` says of it; a test holds them together."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    api_mt4: SecretStr | None = Field(
        None,
        validation_alias="ApiMT4",
        description="Address of the MT4 REST bridge, such as http://127.0.0.1:5004; unset: MT4 is off.",
    )
    api_mt5: SecretStr | None = Field(
        None,
        validation_alias="ApiMT5",
        description="Address of the MT5 REST bridge, such as http://127.0.0.1:5005; unset: MT5 is off.",
    )
    data: Path = Field(
        Path("~/.copypro"),
        validation_alias="COPYPRO_DATA",
        description="Folder of all data; one process at a time.",
    )
    host: str = Field(
        "127.0.0.1",
        validation_alias="COPYPRO_HOST",
        description="Address to listen on; containers set 0.0.0.0.",
    )
    gateway_port: Port = Field(
        5020, validation_alias="COPYPRO_GATEWAY_PORT", description="Port of the REST gateway."
    )
    simulated_mt4_port: Port = Field(
        5004,
        validation_alias="COPYPRO_SIMULATED_MT4_PORT",
        description="Port of the simulated MT4 bridge (demo and mt-simulator only).",
    )
    simulated_mt5_port: Port = Field(
        5005,
        validation_alias="COPYPRO_SIMULATED_MT5_PORT",
        description="Port of the simulated MT5 bridge (demo and mt-simulator only).",
    )
    alert_url: SecretStr | None = Field(
        None,
        validation_alias="COPYPRO_ALERT_URL",
        description="Where alerts are posted as JSON; unset: they are only shown.",
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        validation_alias="COPYPRO_SECRET_KEYS",
        description="Keys that seal passwords, newest first, comma between; unset: made once in the data folder.",
    )
    manager_key: SecretStr | None = Field(
        None,
        validation_alias="COPYPRO_MANAGER_KEY",
        description="The operator's key; unset: Manager calls are off.",
    )
    require_key: bool = Field(
        False,
        validation_alias="COPYPRO_REQUIRE_KEY",
        description="1: also the calls that the original answers by id alone need a user's key.",
    )
    sign_up: Literal["", "open", "closed"] = Field(
        "",
        validation_alias="COPYPRO_SIGN_UP",
        description="open or closed; unset: open only where COPYPRO_HOST is this machine alone.",
    )
    bridge_reads_per_s: Annotated[float, Field(gt=0)] | None = Field(
        None,
        validation_alias="COPYPRO_BRIDGE_READS_PER_S",
        description="Most reads a second at one bridge; unset: 3 at a public address, 200 at a private one.",
    )
    log_format: Literal["auto", "human", "json"] = Field(
        "auto",
        validation_alias="COPYPRO_LOG_FORMAT",
        description="human, json, or auto: human on a terminal, else json.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="COPYPRO_LOG_LEVEL", description="debug, info, warning or error."
    )
    mongodb: SecretStr | None = Field(
        None,
        validation_alias="MongoDB",
        description="Not yet supported: leave it unset, read models are kept in SQLite.",
    )
    kafka: str | None = Field(
        None,
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="Not yet supported: leave it unset, the log is kept in SQLite.",
    )

    @field_validator("api_mt4", "api_mt5", "alert_url", mode="before")
    @classmethod
    def _address(cls, value: object) -> object:
        """An empty variable is an unset one, as compose files and shells write it."""
        if value is None or not str(value).strip():
            return None
        parts = urlsplit(str(value).strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is not an address: write http://host:port")
        return str(value).strip().rstrip("/")

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        keys = tuple(key.strip() for key in value.split(",") if key.strip())
        for key in keys:
            try:
                Fernet(key)
            except ValueError:
                raise ValueError("each key must be 32 random bytes in url-safe base64") from None
        return keys

    @field_validator("manager_key", "bridge_reads_per_s", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("mongodb", "kafka", mode="before")
    @classmethod
    def _not_yet(cls, value: object) -> object:
        if value is None or not str(value).strip():
            return None
        raise ValueError("is not supported yet: unset it, and the data is kept in SQLite")

    @field_validator("data")
    @classmethod
    def _folder(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    def bridges(self) -> dict[Platform, str]:
        """The platforms that are on, and their bridges' addresses, which may carry secrets."""
        both = {Platform.MT4: self.api_mt4, Platform.MT5: self.api_mt5}
        return {platform: url.get_secret_value() for platform, url in both.items() if url}

    @property
    def sign_up_open(self) -> bool:
        if self.sign_up:
            return self.sign_up == "open"
        return self.host in ("127.0.0.1", "::1", "localhost")

    def reads_per_s(self, url: str) -> float:
        if self.bridge_reads_per_s is not None:
            return self.bridge_reads_per_s
        return PRIVATE_READS_PER_S if is_private(url) else PUBLIC_READS_PER_S


BRIDGE_VARIABLES = {Platform.MT4: "ApiMT4", Platform.MT5: "ApiMT5"}


def is_private(url: str) -> bool:
    """This machine or its network, as far as the address alone tells; a bare name is private."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))


def load(overrides: Mapping[str, object] | None = None) -> Settings:
    """From the environment; `overrides` by field name win. Errors: SettingsError."""
    try:
        return Settings(**dict(overrides or {}))  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("\n".join(_lines(error))) from None


def _lines(error: ValidationError) -> list[str]:
    names = {name: str(field.validation_alias) for name, field in Settings.model_fields.items()}
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        where = str(problem["loc"][0]) if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{names.get(where, where)}: {message}")
    return lines
