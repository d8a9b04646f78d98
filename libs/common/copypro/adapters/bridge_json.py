"""What the JSON of both bridges has in common: numbers, times, errors, the account's figures. Pure.

Numbers become Decimals from their own digits, prices with all of their symbol's, 0 as a level means
"none", a year before 1980 means "never", and enumerations come as names or as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from html import escape
from operator import attrgetter
from typing import Annotated, TypeVar
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from copypro.ports import Credentials
from copypro.trading import AccountInfo, CloseRequest, Figures, OpenRequest, SymbolSpec
from copypro.values import LARGEST, Lots, Mode, Platform, Price

ZERO = Decimal(0)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a broker's clock has no zone
_UNSET_YEAR = 1980
_NEVER_YEAR = 9999
"""The last one that a date can have: bridges write its end for "never", and no clock goes beyond."""
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_MS = 253_370_764_800_000
"""When that year begins."""
_LAST_MOMENT = "9999-12-31T23:59:59.9999999"
_LOTS_PLACES = 8
_LEAST = Decimal("4e-324")
"""Above zero no double is smaller."""
MOST_DIGITS = 16
"""Behind the point; no double has more."""
_ZEROS = [Decimal(0).scaleb(-digits) for digits in range(MOST_DIGITS + 1)]
"""By digits behind the point."""
ROWS_KEPT = 2048
"""Rows of open orders as they came, with what they say: of all accounts of a platform together."""
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""As bridges count: a longer number is none of theirs, and no database takes it."""
Digits = Annotated[int, Meta(ge=0, le=MOST_DIGITS)]
Points = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Text = Annotated[str, Meta(max_length=1000)]
"""MetaTrader's own are of 128 letters at most. A record of the log must have room for it."""
Name = Text | int | None
"""An enumeration's value as a bridge writes it."""
Params = Mapping[str, object]
"""A call's parameters by name, without the session."""
Answer = TypeVar("Answer")
Choice = TypeVar("Choice")


class Unreadable(ValueError):
    """An answer or frame that is not what the bridge documents; the text quotes none of it."""


_READING = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)


def decoded(decoder: msgspec.json.Decoder[Answer], body: bytes) -> Answer:
    """Brokers write comments in any encoding: what is not UTF-8 is replaced, never refused. And .NET
    writes its last moment with one digit more than there is room for.

    Errors: Unreadable.
    """
    failure = ""
    try:
        return decoder.decode(body)
    except _READING as error:
        failure = type(error).__name__
    mended = body.decode("utf-8", "replace").replace(_LAST_MOMENT, _LAST_MOMENT[:-1]).encode()
    if mended != body:
        try:
            return decoder.decode(mended)
        except _READING as error:
            failure = type(error).__name__
    raise Unreadable(failure)


def by_name_or_number(names: Mapping[str, tuple[int, Choice]]) -> dict[Name, Choice]:
    """An enumeration under its names, its numbers, and its numbers as text."""
    table: dict[Name, Choice] = {}
    for name, (number, choice) in names.items():
        table[name] = table[number] = table[str(number)] = choice
    return table


def query_of(params: Params) -> str:
    """The query part of a call's URL; a list repeats its name."""
    names: list[str] = []
    texts: list[str] = []
    for name, value in params.items():
        for one in value if isinstance(value, list) else (value,):
            names.append(name)
            texts.append(str(one))
    if not _UNRESERVED("".join(texts)):  # most need no quoting, on the way of every trade call
        texts = [quote(text, safe="") for text in texts]
    return "&".join([f"{name}={text}" for name, text in zip(names, texts, strict=True)])


def scalar(body: bytes) -> str:
    """A text that comes bare or as a JSON string."""
    return body.decode("utf-8", "replace").strip().strip('"').strip()


def plain(number: Decimal) -> str:
    """A decimal with a dot, never in exponent form: the bridges read nothing else."""
    return f"{number:f}"


def level(price: Price | None) -> str:
    return "0" if price is None else plain(price)


def clock(moment: datetime) -> str:
    """A broker's time as the bridges read it: to the second, no zone."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def padded(price: Price, digits: int | None) -> Price:
    """A number of JSON comes without its last zeros: 1.08 of a symbol of five digits is 1.08000. Only
    the text changes, never the value: an average keeps what is behind its symbol's digits.
    """
    if digits is None or not 0 < digits < len(_ZEROS):
        return price
    return price + _ZEROS[digits]  # a sum has the digits of its longer part


def digits_or_none(told: int | None) -> int | None:
    """Of a row: a number that no symbol has says nothing of its prices."""
    return told if told is not None and 0 <= told <= MOST_DIGITS else None


def point_of(told: Decimal, digits: int) -> Decimal:
    """Ten to minus its digits is what a symbol's point is, also where a bridge tells it as 0."""
    return told if told > 0 else Decimal(1).scaleb(-digits)


def price_or_none(value: Decimal) -> Price | None:
    return value or None


def tidy_lots(value: Decimal) -> Lots:
    """0.30000000000000004 is 0.3: a bridge's sum of doubles, never more than eight places."""
    _, digits, exponent = value.as_tuple()
    most = _LOTS_PLACES + 4
    if len(digits) > most or (isinstance(exponent, int) and exponent < -most):
        return round(value, _LOTS_PLACES).normalize()
    return value


def moment_or_none(value: datetime | None) -> datetime | None:
    """The broker's clock, without zone."""
    if value is None or not _UNSET_YEAR <= value.year < _NEVER_YEAR:
        return None
    return value.replace(tzinfo=None) if value.tzinfo is not None else value


def utc_or_none(milliseconds: int | None) -> datetime | None:
    if milliseconds is None or not 0 < milliseconds < _NEVER_MS:
        return None
    moment = _UTC_EPOCH + timedelta(milliseconds=milliseconds)
    return moment if moment.year >= _UNSET_YEAR else None


# --- shapes -----------------------------------------------------------------------------------


@cache
def _numbers_of(shape: type[Struct]) -> attrgetter[tuple[Decimal, ...]]:
    names = [field.name for field in msgspec.structs.fields(shape) if field.type is Decimal]
    return attrgetter(*names, names[0])  # twice, so that one alone is a tuple too


class Shape(Struct):
    """What holds numbers. A bridge writes a double that is none as a text, "NaN" or "Infinity": read
    as a number it would break whoever computes with it, as would one that no double can be. So what
    holds one is unreadable as a whole.
    """

    def __post_init__(self) -> None:
        for number in _numbers_of(type(self))(self):
            # Most are zero, and there are many rows; comparing NaN is an ArithmeticError.
            if number and not _LEAST <= abs(number) < LARGEST:
                raise ValueError("what should be a number is none")


def is_number(value: Decimal) -> bool:
    return value.is_finite() and (not value or _LEAST <= abs(value) < LARGEST)


_FAULT_LENGTH = 10_000
"""Looked through for secrets: megabytes of it would hold up everything else for seconds."""


class Fault(Struct):
    code: str | int | UnsetType | None = UNSET
    message: str | UnsetType | None = UNSET


class Envelope(Struct):
    """Of a WebSocket frame; further fields are ignored."""

    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Tick(Shape, rename="camel"):
    symbol: Text
    bid: Decimal
    ask: Decimal
    time: datetime | None = None


class Money(Shape, rename="camel"):
    """The account's, as AccountSummary and each OrderUpdate say it."""

    balance: Decimal
    equity: Decimal
    credit: Decimal = ZERO
    profit: Decimal = ZERO
    margin: Decimal = ZERO
    free_margin: Decimal = ZERO


class Summary(Money, rename="camel"):
    """AccountSummary. What one platform lacks has a default; `synced` missing counts as true."""

    currency: Text | None = ""
    leverage: Decimal = ZERO
    method: Name = ""
    type: Name = ""
    is_investor: bool = False
    synced: bool = True

    @property
    def blank(self) -> bool:
        """All zero: an empty account, or one whose data are not loaded yet."""
        return not (self.balance or self.equity or self.credit)


class Details(Shape, rename="camel"):
    """AccountDetails. The reply holds the password too: it is skipped, never decoded."""

    user: int
    server_name: Text | None = ""
    company: Text | None = ""
    currency: Text | None = ""
    account_name: Text | None = ""
    account_type: Name = ""
    account_leverage: Decimal = ZERO
    is_investor: bool = False


def info_of(
    platform: Platform, mode: Mode, summary: Summary, details: Details, who: Credentials
) -> AccountInfo:
    """What both calls say of an account, each for what the other leaves out."""
    return AccountInfo(
        platform=platform,
        server=details.server_name or who.server,
        login=who.login,
        currency=summary.currency or details.currency or "",
        mode=mode,
        investor=summary.is_investor or details.is_investor,
        company=details.company or "",
        name=details.account_name or "",
        account_type=str(summary.type or details.account_type or "").capitalize(),
        leverage=int(summary.leverage or details.account_leverage),
    )


class Status(Struct, rename="camel"):
    is_connected: bool
    id: str | None = None


class Pages(Struct, rename="camel"):
    pages_count: int = 1


fault = msgspec.json.Decoder(Fault)
envelope = msgspec.json.Decoder(Envelope)
tick = msgspec.json.Decoder(Tick, strict=False)
summary = msgspec.json.Decoder(Summary, strict=False)
details = msgspec.json.Decoder(Details, strict=False)
status = msgspec.json.Decoder(Status, strict=False)
pages = msgspec.json.Decoder(Pages, strict=False)
names = msgspec.json.Decoder(list[Text])
number = msgspec.json.Decoder(Decimal, strict=False)


def fault_in(body: bytes) -> tuple[str, str] | None:
    """An object with both `code` and `message` is an error on every call, whatever the status."""
    if body.lstrip()[:1] != b"{":
        return None
    try:
        found = decoded(fault, body)
    except Unreadable:
        return None
    if found.code is UNSET or found.code is None or found.message is UNSET:
        return None
    return str(found.code)[:_FAULT_LENGTH], (found.message or "")[:_FAULT_LENGTH]


def figures_of(money: Money) -> Figures:
    return Figures(
        balance=money.balance,
        equity=money.equity,
        credit=money.credit,
        margin=money.margin,
        free_margin=money.free_margin,
        profit=money.profit,
    )


def check_symbol(symbol: str | None, request: OpenRequest) -> None:
    """Errors: Unreadable for the answer to another call."""
    if symbol and symbol.casefold() != request.symbol.casefold():
        raise Unreadable("an order of another symbol")


def check_terms(spec: SymbolSpec) -> SymbolSpec:
    """Errors: Unreadable for levels so far away that there is no price to compute."""
    farthest = max(abs(spec.stops_level_points), abs(spec.freeze_level_points)) * spec.point
    if farthest >= LARGEST:
        raise Unreadable("levels that are no price")
    return spec


def close_params(request: CloseRequest) -> Params:
    """`lots` is the bridges' only word for a part: any other is ignored and all is closed."""
    params: dict[str, object] = {"ticket": request.ticket}
    if request.lots is not None:
        params["lots"] = plain(request.lots)
    if request.price is not None:
        params["price"] = plain(request.price)
    params["slippage"] = request.slippage_points
    return params


_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_URL = re.compile(r"\b\w+://\S+")
_SECRET = re.compile(
    r"""(?i)\b(password|otp|id|token)\b["']?\s*[=:]\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|\S+)"""
)
_MESSAGE_LENGTH = 200


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def safe_text(message: str, secrets: tuple[str, ...]) -> str:
    """A bridge's message for people, without what it quotes of our request."""
    for secret in secrets:
        if secret:
            forms = {secret, quote(secret, safe=""), quote_plus(secret), escape(secret)}
            quoted = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
            message = re.sub(quoted, "***", message, flags=re.IGNORECASE)
    message = _SECRET.sub(r"\1=***", _URL.sub("***", _UUID.sub("***", message)))
    return message[:_MESSAGE_LENGTH]
