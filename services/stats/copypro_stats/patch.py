"""One change of a document, and how values are written in it. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from copypro import collections as c
from copypro import messages as m
from copypro.callbacks import Callback
from msgspec import Struct
from msgspec.structs import asdict

Fields = dict[str, Any]
Event = m.OrderEvent | m.AccountSnapshot | m.SymbolEvent | m.CopierEvent | m.ExecutionEvent
"""Of the topics that stats reads."""


class Patch(Struct, frozen=True):
    """`fields` None removes the source's part; `builds_on` names one that the patch is laid over."""

    collection: str
    id: str
    fields: Fields | None
    builds_on: tuple[str, str] | None = None
    """(collection, id) whose fields of the same source are laid under these."""
    anew: bool = False
    """What it is laid over has ended: of that, the names alone are left, without values."""


def callback_of(whose: str, callback: Callback | None) -> Patch:
    """Of a copier or a registration. Sealed as it came: whoever posts opens it."""
    return Patch(c.CALLBACKS, whose, None if callback is None else asdict(callback))


def where_told(callback: Callback | None) -> str | None:
    return None if callback is None else callback.shown


# --- values ----------------------------------------------------------------------------------------


def iso(moment: datetime) -> str:
    """UTC in fixed width, so that it sorts as text."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def broker_time(moment: datetime) -> str:
    """The broker's clock, no zone, fixed width."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def number(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def plain(value: Struct) -> Fields:
    """All its fields: decimals and enums as text, times by the broker's clock."""
    return {name: _plain(each) for name, each in asdict(value).items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return str(value)
        case datetime():
            return broker_time(value)
    return getattr(value, "value", value)
