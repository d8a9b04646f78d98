"""What calls answer, by the original's names. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

OK: Ok = {"result": "OK"}


class Ok(TypedDict):
    result: Literal["OK"]


class UserKeyGiven(TypedDict):
    userKey: str


class Problem(TypedDict):
    code: str
    message: str


class AccountSummary(TypedDict):
    balance: float | None
    credit: float | None
    profit: float | None
    equity: float | None
    margin: float | None
    freeMargin: float | None
    leverage: int | None
    currency: str | None
    method: str | None


class TradeSummary(TypedDict):
    """Profits of what closed, by the broker's days; weeks begin on Monday."""

    openTrades: int | None
    openProfit: float | None
    dayProfit: float | None
    weekProfit: float | None
    monthProfit: float | None
    totalProfit: float | None


class SymbolChoice(TypedDict):
    enableAllSymbols: bool
    on: list[str]
    off: list[str]


class Removed(TypedDict):
    """`leftOpen`: tickets of copies that stand and are managed no more."""

    result: Literal["OK"]
    leftOpen: list[int]


class Order(TypedDict):
    """Times are the broker's; `type` as MT5 names it."""

    ticket: int
    openTime: str
    closeTime: str
    expiration: str
    type: str | None
    lots: float | None
    symbol: str | None
    openPrice: float | None
    stopLoss: float | None
    takeProfit: float | None
    closePrice: float | None
    magicNumber: int
    swap: float | None
    commission: float | None
    comment: str
    profit: float | None
    digits: int


class AccountOrders(TypedDict):
    """`nextTo`: older ones are left out; ClosedOrders goes on with it as `to`."""

    name: str
    user: int
    id: str
    apiId: str
    orders: list[Order]
    nextTo: str | None


class Started(TypedDict):
    copierId: str
    id: str
    masterAccountId: str
    slaveAccountId: str
    srcId: str
    dstId: str


class MappedSymbol(TypedDict):
    masterSymbol: str
    slaveSymbol: str
    slaveLots: float


class MappedSymbols(TypedDict):
    mappedSymbols: list[MappedSymbol]
    masterSymbols: list[str]
    slaveSymbols: list[str]


class SymbolTerms(TypedDict):
    """Null while nobody has needed them: they are read with the symbol's first trade."""

    symbol: str
    lotMin: float | None
    lotMax: float | None
    tradeMode: str | None


class FailedCall(TypedDict):
    id: str
    timeUTC: str
    call: str
    userId: str
    keyName: str
    address: str
    status: int
    code: str
    parameters: dict[str, str]


class UserShown(TypedDict):
    """Never a hash: it is a secret here."""

    id: str
    email: str
    passwordHash: Literal["***"]
    createdAt: str


Doc = dict[str, Any]


class CallbackSet(TypedDict):
    """`callbackUrl`: scheme and host; null: there is none any more. `secret` signs the posts, and is
    answered this once.
    """

    result: Literal["OK"]
    callbackUrl: str | None
    secret: str | None
