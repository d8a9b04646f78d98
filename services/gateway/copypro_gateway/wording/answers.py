"""What calls answer, by the original's names. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

OK: Ok = {"result": "OK"}


class Ok(TypedDict):
    result: Literal["OK"]


class UserKeyGiven(TypedDict):
    userKey: str


class Removed(TypedDict):
    """`leftOpen`: tickets of copies that stand and are managed no more."""

    result: Literal["OK"]
    leftOpen: list[int]


class Order(TypedDict):
    """Times are the broker's; `type` as MT5 names it. A level of 0 is none."""

    ticket: int
    openTime: str
    closeTime: str
    expiration: str
    type: str | None
    lots: float | None
    symbol: str | None
    openPrice: float | None
    stopLoss: float
    takeProfit: float
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


class Key(TypedDict):
    """Never the key itself."""

    id: str
    name: str
    scope: Literal["read", "trade", "admin"]
    createdAt: str
    expiresAt: str | None


class KeyListed(Key):
    """`current`: the one that asks."""

    current: bool


class KeyAdded(Key):
    userKey: str


class ConcernedAccount(TypedDict):
    """The user's own registration of it; `accountId` is what Settle and all other calls take."""

    accountId: str
    name: str
    user: int
    server: str


class Alert(ConcernedAccount):
    """`account`: as the log and the topics name it. `numbers`: what it was raised for, by name.
    `cleared_at`: when it was last over before.
    """

    id: str
    account: str
    code: str
    text: str
    numbers: dict[str, str]
    open: bool
    time: str
    cleared_at: NotRequired[str]


class UnresolvedAttempt(ConcernedAccount):
    """An order of which nobody knows whether it stands. `id`: the attempt, as Settle takes it."""

    id: str
    account: str
    copier: str
    copy: str
    leg: int
    open: bool
    since: str
    evidence: str
    needs_person: NotRequired[bool]
    settled_at: NotRequired[str]


class Resumed(TypedDict):
    result: Literal["OK"]
    resumed: int
    stayed: int


class CommandStatus(TypedDict):
    """`done` false: nothing is known of it yet. Once it is done, `event` and `at` say how and when it
    ended; `code` and `message` are there if it was refused, the rest where the call has such a
    result: the copier, tickets of copies left open, or what of a report was added.
    """

    id: str
    done: bool
    event: NotRequired[str]
    at: NotRequired[str]
    code: NotRequired[str]
    message: NotRequired[str]
    copier: NotRequired[str]
    left_open: NotRequired[list[int]]
    added: NotRequired[int]
    same: NotRequired[int]
    contradictions: NotRequired[list[str]]
