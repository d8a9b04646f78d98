"""The original's TradeLog, as it is listed and as it is posted. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypedDict, overload

from msgspec import Struct

from copypro.values import Platform

Doc = dict[str, Any]
TradeReason = Literal["NewSignal", "EquityProtector", "CopierRemove"]


class Sides(Struct, frozen=True):
    """The registrations of both sides, as documents; empty where there is none."""

    master: Doc = {}
    slave: Doc = {}


NO_SIDES = Sides()


class MasterOrder(TypedDict):
    ticket: str
    symbol: str
    type: str
    lots: float
    openPrice: float


class TradeLogMessage(TypedDict):
    timeUTC: str | None
    level: Literal["Information", "Warning"]
    message: str


class TradeLogTimes(TypedDict):
    """UTC; null: it did not come to that, or was not recorded."""

    seen: str | None
    planned: str | None
    sent: str | None
    filled: str | None
    recorded: str | None


class TradeLog(TypedDict):
    """One row per decision or call, the original's names with `outcome`, `slavePrice`, `slippage` and
    `times` added. Times are UTC. `masterOrder` is null where the row is about a call that only the
    slave had, such as a close; a refused one has its code, and its numbers in `messages`.
    """

    id: str
    copierId: str | None
    uniqueTradeId: str | None
    timeUTC: str | None
    timeDoneUTC: str | None
    updateType: str | None
    tradeReason: TradeReason
    success: bool
    outcome: str
    masterUser: int | None
    masterServer: str | None
    masterName: str | None
    masterApiType: Platform | None
    masterApiId: str | None
    masterOrder: MasterOrder | None
    slaveUser: int | None
    slaveServer: str | None
    slaveName: str | None
    slaveApiType: Platform | None
    slaveApiId: str | None
    slaveSymbol: str | None
    slaveLots: float | None
    slaveOrderType: str | None
    slaveTicket: str | None
    slavePrice: float | None
    slippage: float | None
    exceptionCode: str | None
    exceptionMessage: str | None
    exceptionStackTrace: None
    messages: list[TradeLogMessage]
    times: TradeLogTimes


def trade_log(row: Doc, sides: Sides = NO_SIDES) -> TradeLog:
    """A side is as its user registered it; never its password, nor a bridge's token for ApiId."""
    master, slave = sides.master, sides.slave
    return {
        "id": row["id"],
        "copierId": row.get("copier"),
        "uniqueTradeId": row.get("copy"),
        "timeUTC": row.get("time"),
        "timeDoneUTC": row.get("recorded_at"),
        "updateType": row.get("update"),
        "tradeReason": trade_reason(row),
        "success": bool(row.get("success")),
        "outcome": row.get("outcome", "planned"),
        "masterUser": master.get("login"),
        "masterServer": master.get("server"),
        "masterName": master.get("name"),
        "masterApiType": master.get("platform"),
        "masterApiId": master.get("id"),
        "masterOrder": _master_order(row) if row.get("master_symbol") else None,
        "slaveUser": slave.get("login"),
        "slaveServer": slave.get("server"),
        "slaveName": slave.get("name"),
        "slaveApiType": slave.get("platform"),
        "slaveApiId": slave.get("id"),
        "slaveSymbol": row.get("slave_symbol"),
        "slaveLots": number(row.get("slave_lots")),
        "slaveOrderType": row.get("slave_side"),
        "slaveTicket": None if row.get("slave_ticket") is None else str(row["slave_ticket"]),
        "slavePrice": number(row.get("slave_price")),
        "slippage": number(row.get("slippage")),
        "exceptionCode": row.get("code"),
        "exceptionMessage": row.get("remedy") or row.get("text"),
        "exceptionStackTrace": None,
        "messages": _messages(row),
        "times": {
            "seen": row.get("seen_at"),
            "planned": row.get("planned_at"),
            "sent": row.get("sent_at"),
            "filled": row.get("filled_at"),
            "recorded": row.get("recorded_at"),
        },
    }


def _master_order(row: Doc) -> MasterOrder:
    return {
        "ticket": row["root"],
        "symbol": row["master_symbol"],
        "type": row["master_side"],
        "lots": number(row["master_lots"]),
        "openPrice": number(row["master_price"]),
    }


def _messages(row: Doc) -> list[TradeLogMessage]:
    numbers = {**(row.get("numbers_sent") or {}), **(row.get("numbers") or {})}
    texts = [f"{name} = {value}" for name, value in numbers.items()]
    texts += _filled_in_part(row)
    texts += [row[name] for name in ("remedy", "evidence", "text") if row.get(name)]
    level: Literal["Information", "Warning"] = "Information" if row.get("success") else "Warning"
    return [{"timeUTC": row.get("time"), "level": level, "message": text} for text in texts]


def _filled_in_part(row: Doc) -> list[str]:
    """The copy is what was filled: nothing is added to it later, and its parts are closed of that."""
    asked, filled = (row.get("request") or {}).get("lots"), row.get("slave_lots")
    if row.get("outcome") != "opened" or asked is None or filled is None:
        return []
    return [f"filled {filled} of {asked} lots"] if Decimal(filled) < Decimal(asked) else []


def trade_reason(row: Doc) -> TradeReason:
    """The original's word for what made the trade happen, or kept it from happening."""
    why = (row.get("numbers_sent") or {}).get("why") or row.get("reason") or row.get("code")
    return trade_reason_of(str(why))


def trade_reason_of(why: str) -> TradeReason:
    """Of the reason, or the code, that our own events have."""
    return _TRADE_REASONS.get(why, NEW_SIGNAL)


NEW_SIGNAL: TradeReason = "NewSignal"
_TRADE_REASONS: dict[str, TradeReason] = {
    "EQUITY_PROTECTION": "EquityProtector",
    "COPIER_STOPPED": "CopierRemove",
    "ACCOUNT_REMOVED": "CopierRemove",
}


@overload
def number(value: str | float | Decimal) -> float: ...
@overload
def number(value: None) -> None: ...
def number(value: Any) -> float | None:
    """The original writes numbers; ours are exact decimals as text until here."""
    return None if value is None else float(value)
