"""Documents into the original's JSON: its names, its numbers, its spellings. No secret is among them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from copypro.account_history import listed_ticket_of, open_price_of
from copypro.ports import KeyScope, UserKey
from copypro.trade_logs import number as number

from copypro_gateway.entry.auth import key_id
from copypro_gateway.rights import may_read
from copypro_gateway.wording.account_answers import (
    Account,
    AccountSummary,
    EquityProtector,
    Problem,
    Status,
    SymbolChoice,
    Trip,
)
from copypro_gateway.wording.answers import Key, Order
from copypro_gateway.wording.copier_answers import Copier

Doc = dict[str, Any]
STALE_S = 90.0
NEVER = "0001-01-01T00:00:00"
_PAUSE_REASONS = {"": "None", "ByUser": "ByUser"}
_SCOPES: dict[KeyScope, Literal["read", "trade", "admin"]] = {
    KeyScope.READ: "read",
    KeyScope.TRADE: "trade",
    KeyScope.ADMIN: "admin",
}


def account(registration: Doc, state: Doc | None, now: datetime) -> Account:
    """AccountResult. Connected as of the last proof of life; the reason in connectError otherwise.

    Of an account that somebody else watches, a registration without rights learns nothing.
    """
    state = state or {}
    if not may_read(registration):
        state = {"status": "refused" if registration.get("proof") == "refused" else "connecting"}
    alive = state.get("seen_alive_at")
    age = None
    if alive:
        age = (now - datetime.fromisoformat(str(alive))).total_seconds()
    fresh = age is not None and age < STALE_S
    connected = state.get("status") == "connected" and fresh
    error: Problem | None = registration.get("connect_error")
    if error is None and not connected and state.get("code"):
        error = {"code": state["code"], "message": state.get("message") or ""}
    if error is None and state.get("status") == "connected" and not fresh:
        error = {"code": "STALE", "message": "no proof of life for 90 s"}
    return {
        "id": registration["id"],
        "accountId": registration["id"],
        "apiId": registration["id"],
        "name": registration["name"],
        "type": registration["platform"],
        "user": registration["login"],
        "password": "***",
        "server": registration["server"],
        "enabled": registration.get("enabled", True),
        "considerAccountBalance": registration.get("consider_balance", False),
        "symbolEnableSettings": symbol_choice(registration),
        "kind": registration.get("kind", "live"),
        "rights": registration["rights"],
        "status": "connected" if connected else _status(state),
        "connected": connected,
        "connectError": error,
        "seenAliveAt": alive,
        "seenAliveAgeSeconds": None if age is None else round(age, 1),
        "accountSummary": summary(state),
        "equityProtector": protector(registration),
    }


def symbol_choice(registration: Doc) -> SymbolChoice:
    chosen = registration.get("symbols") or {}
    return {
        "enableAllSymbols": chosen.get("all", True),
        "on": chosen.get("on", []),
        "off": chosen.get("off", []),
    }


def _status(state: Doc) -> Status:
    status: Status = state.get("status") or "connecting"
    return "stale" if status == "connected" else status


def summary(state: Doc) -> AccountSummary | None:
    figures = state.get("figures")
    if not figures:
        return None
    return {
        "balance": number(figures.get("balance")),
        "credit": number(figures.get("credit", "0")),
        "profit": number(figures.get("profit", "0")),
        "equity": number(figures.get("equity")),
        "margin": number(figures.get("margin", "0")),
        "freeMargin": number(figures.get("free_margin", "0")),
        "leverage": state.get("leverage"),
        "currency": state.get("currency"),
        "method": state.get("mode"),
    }


def open_order(order: Doc) -> Order:
    return {
        "ticket": order["ticket"],
        "openTime": order["open_time"],
        "closeTime": NEVER,
        "expiration": order.get("expiration") or NEVER,
        "type": order["type"],
        "lots": number(order["lots"]),
        "symbol": order["symbol"],
        "openPrice": number(order["open_price"]),
        "stopLoss": number(order.get("stop_loss")) or 0.0,
        "takeProfit": number(order.get("take_profit")) or 0.0,
        "closePrice": number(order.get("close_price")),
        "magicNumber": order.get("magic", 0),
        "swap": number(order.get("swap")),
        "commission": number(order.get("commission")),
        "comment": order.get("comment", ""),
        "profit": number(order.get("profit")),
        "digits": order.get("digits", 0),
    }


def closed_order(order: Doc, platform: str) -> Order:
    return {
        "ticket": listed_ticket_of(order, platform),
        "openTime": order.get("open_time") or NEVER,
        "closeTime": order["closed_at"],
        "expiration": NEVER,
        "type": order.get("type"),
        "lots": number(order["lots"]),
        "symbol": order.get("symbol"),
        "openPrice": number(open_price_of(order)),
        "stopLoss": number(order.get("stop_loss")) or 0.0,
        "takeProfit": number(order.get("take_profit")) or 0.0,
        "closePrice": number(order["close_price"]),
        "magicNumber": order.get("magic", 0),
        "swap": number(order.get("swap")),
        "commission": _with_entry(order),
        "comment": order.get("comment", ""),
        "profit": number(order["profit"]),
        "digits": _places(order["close_price"]),
    }


def _places(price: str) -> int:
    """A symbol's digits: a closing price has all of them, an opening one may be an average with more."""
    exponent = Decimal(price).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _with_entry(order: Doc) -> float | None:
    """An order's commission is its position's, whenever the broker charged it."""
    parts = [order.get(name) for name in ("commission", "entry_cost")]
    known = [Decimal(str(part)) for part in parts if part is not None]
    return float(sum(known)) if known else None


def copier(doc: Doc, registrations: dict[str, Doc]) -> Copier:
    """`registrations`: of both accounts, as far as they are still there."""
    options = doc.get("options", {})
    reason: str = doc.get("pause_reason", "")
    master = registrations.get(str(doc.get("master_registration")), {})
    slave = registrations.get(str(doc.get("slave_registration")), {})
    shown: Copier = {
        "id": doc["id"],
        "copierId": doc["id"],
        "uniqueCopierId": f"{doc.get('master')}-{doc.get('slave')}",
        "masterAccountId": doc["master_registration"],
        "slaveAccountId": doc["slave_registration"],
        "paused": doc.get("paused", False),
        "pauseReason": _PAUSE_REASONS.get(reason, reason),
        "loaded": True,
        "tradeLogCallbackUrl": doc.get("callback_shown"),
        "startedAt": doc.get("started_at"),
        "mappedSymbols": {m["master_symbol"]: m["slave_symbol"] for m in doc.get("mappings", [])},
        "riskType": options.get("risk_type"),
        "riskValue": number(options.get("risk_value")),
        "riskMultiply": number(options.get("risk_multiply")),
        "fixedMasterBalance": number(options.get("fixed_master_balance")),
        "lotRefiner": number(options.get("lot_refiner")),
        "stopLossRefinementPips": options.get("sl_refinement_pips"),
        "takeProfitRefinementPips": options.get("tp_refinement_pips"),
        "copyPendingOrders": options.get("pending_mode") == "Mirror",
        "filterMagicOption": options.get("filter_magic"),
        "filterCommentOption": options.get("filter_comment"),
        "filterLotEnabled": options.get("filter_lots"),
        "filterLotMin": number(options.get("filter_lots_min")),
        "filterLotMax": number(options.get("filter_lots_max")),
        "maxSlippage": number(options.get("max_slippage")),
        "maxAgeS": number(options.get("max_age_s")),
        "marginReserve": number(options.get("margin_reserve")),
        "minMarginLevel": number(options.get("min_margin_level")),
        "contractAlignment": options.get("contract_alignment"),
        "forceMinLot": options.get("force_min_lot"),
        "forceMaxLot": options.get("force_max_lot"),
        "slMode": options.get("sl_mode"),
        "fixedSlPips": options.get("fixed_sl_pips"),
        "fixedTpPips": options.get("fixed_tp_pips"),
        "copyExpiryTime": options.get("copy_expiry_time"),
        "copyExistingTrades": options.get("copy_existing_trades"),
        "reverseCopy": options.get("reverse_copy"),
        "strictClose": options.get("strict_close"),
        "tradeDelayMs": options.get("trade_delay_ms"),
        "copyMagicNumber": options.get("copy_magic_number"),
        "magicNumber": options.get("magic_number"),
        "filterMagicValue": options.get("filter_magic_value"),
        "filterCommentValue": options.get("filter_comment_value"),
        "filterSide": options.get("filter_side"),
        "pendingMode": options.get("pending_mode"),
        "copySL": options.get("copy_sl"),
        "copyTP": options.get("copy_tp"),
        "masterType": master.get("platform"),
        "masterUser": master.get("login"),
        "masterPassword": "***",
        "masterServer": master.get("server"),
        "masterName": master.get("name"),
        "masterApiId": master.get("id"),
        "slaveType": slave.get("platform"),
        "slaveUser": slave.get("login"),
        "slavePassword": "***",
        "slaveServer": slave.get("server"),
        "slaveName": slave.get("name"),
        "slaveApiId": slave.get("id"),
    }
    if not shown["paused"] and not slave.get("enabled", True):
        shown["paused"], shown["pauseReason"] = True, "SlaveAccountDisable"
    return shown


def protector(registration: Doc) -> EquityProtector | None:
    doc: Doc | None = registration.get("protector")
    if doc is None:
        return None
    settings = doc["settings"]
    return {
        "enabled": settings.get("enabled", False),
        "dailyReset": settings.get("daily_reset", False),
        "alert": settings.get("alert", False),
        "disableCopier": settings.get("disable_copier", False),
        "closeCopiedTrades": settings.get("close_copied_trades", False),
        "closeAllTrades": settings.get("close_all_trades", False),
        "stopLossPercent": number(settings.get("stop_loss_percent")) or 0,
        "stopLossValue": number(settings.get("stop_loss_value")) or 0,
        "stopLossAbsolute": number(settings.get("stop_loss_absolute")) or 0,
        "takeProfitPercent": number(settings.get("take_profit_percent")) or 0,
        "takeProfitValue": number(settings.get("take_profit_value")) or 0,
        "takeProfitAbsolute": number(settings.get("take_profit_absolute")) or 0,
        "startBalance": number(doc.get("start_balance")),
        "brokerDay": doc.get("day") or None,
        "callbackUrl": registration.get("callback_shown"),
        "flattening": doc.get("flattening", False),
        "triggered": _trip(doc.get("tripped")),
    }


def _trip(trip: Doc | None) -> Trip | None:
    if trip is None:
        return None
    return {
        "breach": trip["breach"],
        "rule": trip["rule"],
        "level": number(trip["level"]),
        "equity": number(trip["equity"]),
        "timeUTC": trip["at_utc"],
    }


def user_key(key: UserKey) -> Key:
    """What may be shown of a key: never the key itself."""
    return {
        "id": key_id(key),
        "name": key.name,
        "scope": _SCOPES[key.scope],
        "createdAt": key.created_at.isoformat(),
        "expiresAt": None if key.expires_at is None else key.expires_at.isoformat(),
    }
