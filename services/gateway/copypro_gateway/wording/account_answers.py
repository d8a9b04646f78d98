"""What calls answer about accounts, by the original's names."""

from __future__ import annotations

from typing import Literal, TypedDict

from copypro.messages import Rights
from copypro.protection import Breach
from copypro.statistics.answers import TradeSummary
from copypro.values import Platform

Status = Literal["connected", "connecting", "disconnected", "imported", "refused", "stale"]


class Problem(TypedDict):
    code: str
    message: str


class SymbolChoice(TypedDict):
    enableAllSymbols: bool
    on: list[str]
    off: list[str]


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


class Trip(TypedDict):
    """The limit that was reached, and the equity that reached it."""

    breach: Breach
    rule: str
    level: float
    equity: float
    timeUTC: str


class EquityProtector(TypedDict):
    """As it was set (a limit of 0 is off), what it counts from now, and what it acted on."""

    enabled: bool
    dailyReset: bool
    alert: bool
    disableCopier: bool
    closeCopiedTrades: bool
    closeAllTrades: bool
    stopLossPercent: float
    stopLossValue: float
    stopLossAbsolute: float
    takeProfitPercent: float
    takeProfitValue: float
    takeProfitAbsolute: float
    startBalance: float | None
    brokerDay: str | None
    callbackUrl: str | None
    flattening: bool
    triggered: Trip | None


class Account(TypedDict):
    """AccountResult. `id`, `accountId` and `apiId` are the same. Connected as of the last proof of life;
    the reason in `connectError` otherwise. What is read at the broker is null until it has been.
    """

    id: str
    accountId: str
    apiId: str
    name: str
    type: Platform
    user: int
    password: Literal["***"]
    server: str
    enabled: bool
    considerAccountBalance: bool
    symbolEnableSettings: SymbolChoice
    kind: Literal["live", "imported"]
    rights: Rights
    status: Status
    connected: bool
    connectError: Problem | None
    seenAliveAt: str | None
    seenAliveAgeSeconds: float | None
    accountSummary: AccountSummary | None
    equityProtector: EquityProtector | None


class AccountDetails(TypedDict):
    serverName: str
    company: str | None
    currency: str | None
    leverage: int | None
    method: str | None


class DetailedAccount(Account):
    """`accountDetails` is null of an account that may not be read."""

    accountDetails: AccountDetails | None


class TradedAccount(DetailedAccount):
    """`tradeSummary` is null of an account that may not be read."""

    tradeSummary: TradeSummary | None


class ManagedAccount(Account):
    userId: str


class Imported(TypedDict):
    """`same`: was there already. `contradictions` were left out; `problems` are the report's own."""

    accountId: str
    account: Account
    platform: Platform
    kind: Literal["history", "tester"]
    added: int
    same: int
    contradictions: list[str]
    problems: list[str]
