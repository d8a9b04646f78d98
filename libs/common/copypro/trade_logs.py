"""The original's TradeLog, as it is listed and as it is posted. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

Doc = dict[str, Any]


class Sides(Struct, frozen=True):
    """The registrations of both sides, as documents; empty where there is none."""

    master: Doc = {}
    slave: Doc = {}


NO_SIDES = Sides()


def trade_log(row: Doc, sides: Sides = NO_SIDES) -> Doc:
    """TradeLog: one row per decision or call; a refused one has its code and numbers."""
    numbers = {**(row.get("numbers_sent") or {}), **(row.get("numbers") or {})}
    level = "Information" if row.get("success") else "Warning"
    messages = [
        {"timeUTC": row.get("time"), "level": level, "message": f"{name} = {value}"}
        for name, value in numbers.items()
    ]
    for name in ("remedy", "evidence", "text"):
        if row.get(name):
            messages.append({"timeUTC": row.get("time"), "level": level, "message": row[name]})
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
        **_side("master", sides.master),
        "masterOrder": {
            "ticket": row.get("root"),
            "symbol": row.get("master_symbol"),
            "type": row.get("master_side"),
            "lots": number(row.get("master_lots")),
            "openPrice": number(row.get("master_price")),
        }
        if row.get("master_symbol")
        else None,
        **_side("slave", sides.slave),
        "slaveSymbol": row.get("slave_symbol"),
        "slaveLots": number(row.get("slave_lots")),
        "slaveOrderType": row.get("slave_side"),
        "slaveTicket": None if row.get("slave_ticket") is None else str(row["slave_ticket"]),
        "slavePrice": number(row.get("slave_price")),
        "slippage": number(row.get("slippage")),
        "exceptionCode": row.get("code"),
        "exceptionMessage": row.get("remedy") or row.get("text"),
        "exceptionStackTrace": None,
        "messages": messages,
        "times": {
            name.removesuffix("_at"): row.get(name)
            for name in ("seen_at", "planned_at", "sent_at", "filled_at", "recorded_at")
        },
    }


def _side(role: str, registration: Doc) -> Doc:
    """As its user registered it; never its password, nor a bridge's token for ApiId."""
    return {
        f"{role}User": registration.get("login"),
        f"{role}Server": registration.get("server"),
        f"{role}Name": registration.get("name"),
        f"{role}ApiType": registration.get("platform"),
        f"{role}ApiId": registration.get("id"),
    }


def trade_reason(row: Doc) -> str:
    """The original's word for what made the trade happen, or kept it from happening."""
    why = (row.get("numbers_sent") or {}).get("why") or row.get("reason") or row.get("code")
    return trade_reason_of(str(why))


def trade_reason_of(why: str) -> str:
    """Of the reason, or the code, that our own events have."""
    return _TRADE_REASONS.get(why, NEW_SIGNAL)


NEW_SIGNAL = "NewSignal"
_TRADE_REASONS = {
    "EQUITY_PROTECTION": "EquityProtector",
    "COPIER_STOPPED": "CopierRemove",
    "ACCOUNT_REMOVED": "CopierRemove",
}


def number(value: Any) -> float | None:
    """The original writes numbers; ours are exact decimals as text until here."""
    return None if value is None else float(value)
