"""What several calls take, by the original's names; both of an id's spellings are accepted everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from copypro_gateway.errors import bad

Text = Annotated[str, Field(max_length=512)]


class Parameters(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
    user_key: Text | None = Field(None, description="also as Authorization: Bearer (recommended)")


class ByAccount(Parameters):
    account_id: Text = Field(
        validation_alias=AliasChoices("accountId", "account_id", "apiId", "id"),
    )


class ByCopier(Parameters):
    copier_id: Text = Field(validation_alias=AliasChoices("id", "copierId", "copier_id"))


def moment_of(field: str, value: str | None) -> str | None:
    """As stored: the broker's clock in fixed width. Errors: 400 that names the field."""
    if value is None:
        return None
    return _parsed(field, value).replace(tzinfo=None).isoformat(timespec="milliseconds")


def utc_of(field: str, value: str | None) -> str | None:
    """As the logs write it: UTC in fixed width, from any zone that is given. Errors: as above."""
    if value is None:
        return None
    moment = _parsed(field, value)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _parsed(field: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise bad(field, f"{value} is not a time like 2026-01-31T13:30:00") from None
