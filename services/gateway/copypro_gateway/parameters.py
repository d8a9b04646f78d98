"""What several calls take, by the original's names; both of an id's spellings are accepted everywhere."""

from __future__ import annotations

from datetime import datetime
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
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise bad(field, f"{value} is not a time like 2026-01-31T13:30:00") from None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
