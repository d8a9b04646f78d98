"""What several calls take, by the original's names; both of an id's spellings are accepted everywhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from copypro_gateway.wording.errors import bad

_SPACED_ZONE = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
"""In an address, a plus sign that was not escaped arrives as a space."""
Text = Annotated[str, Field(max_length=512)]
SymbolName = Annotated[str, Field(min_length=1, max_length=64)]
DIGITS, PLACES = 40, 30
"""Numbers are kept digit by digit: one without end would be in every record of what it belongs to."""


def _written_short(given: Decimal) -> Decimal:
    _, digits, exponent = given.as_tuple()
    assert isinstance(exponent, int)  # what is no number was refused before
    if exponent < -PLACES or len(digits) + max(exponent, 0) > DIGITS:
        text = "has more than {digits} digits, or more than {places} after the point"
        raise PydanticCustomError("digits", text, {"digits": DIGITS, "places": PLACES})
    return given


SHORT = AfterValidator(_written_short)
"""After a number's own limits, which the document would not show otherwise."""
Number = Annotated[Decimal, SHORT]


class Parameters(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
    user_key: Text | None = Field(None, description="also as Authorization: Bearer (recommended)")
    manager_key: Text | None = Field(None, description="operators' calls; elsewhere ignored")


class ByAccount(Parameters):
    account_id: Text = Field(
        validation_alias=AliasChoices("accountId", "account_id", "apiId", "id"),
    )


class ByCopier(Parameters):
    copier_id: Text = Field(validation_alias=AliasChoices("id", "copierId", "copier_id"))


def moment_of(field: str, value: str | None, offset_minutes: int = 0) -> str | None:
    """As stored: the broker's clock in fixed width. Without a zone it is the broker's already; with
    one it is moved there by the broker's offset from UTC. Errors: 400 that names the field.
    """
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(_SPACED_ZONE.sub("+", value.strip()))
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC) + timedelta(minutes=offset_minutes)
    except (ValueError, OverflowError):
        raise bad(field, "is not a time like 2026-01-31T13:30:00") from None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def utc_of(field: str, value: str | None) -> str | None:
    """As the logs write it: UTC in fixed width. Errors: as above."""
    moment = moment_of(field, value)
    return None if moment is None else f"{moment}000Z"
