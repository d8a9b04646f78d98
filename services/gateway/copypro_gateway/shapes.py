"""Documents into the original's JSON: its names, its numbers, its spellings. No secret is among them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from copypro.ports import UserKey
from copypro.trade_logs import number as number

from copypro_gateway.answers import AccountSummary, Order, SymbolChoice
from copypro_gateway.auth import key_id
from copypro_gateway.rights import may_read

Doc = dict[str, Any]
STALE_S = 90.0
NEVER = "0001-01-01T00:00:00"
_PAUSE_REASONS = {"": "None", "ByUser": "ByUser"}


def account(registration: Doc, state: Doc | None, now: datetime) -> Doc:
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
    error = registration.get("connect_error")
    if error is None and not connected and state.get("code"):
        error = {"code": state.get("code"), "message": state.get("message")}
    if error is None and state.get("status") == "connected" and not fresh:
        error = {"code": "STALE", "message": "no proof of life for 90 s"}
    return {
        "id": registration["id"],
        "accountId": registration["id"],
        "apiId": registration["id"],
        "name": registration.get("name"),
        "type": registration.get("platform"),
        "user": registration.get("login"),
        "password": "***",
        "server": registration.get("server"),
        "enabled": registration.get("enabled", True),
        "considerAccountBalance": registration.get("consider_balance", False),
        "symbolEnableSettings": symbol_choice(registration),
        "kind": registration.get("kind", "live"),
        "rights": registration.get("rights"),
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


def _status(state: Doc) -> str:
    status = str(state.get("status") or "connecting")
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
        "stopLoss": number(order.get("stop_loss")),
        "takeProfit": number(order.get("take_profit")),
        "closePrice": number(order.get("close_price")),
        "magicNumber": order.get("magic", 0),
        "swap": number(order.get("swap")),
        "commission": number(order.get("commission")),
        "comment": order.get("comment", ""),
        "profit": number(order.get("profit")),
        "digits": order.get("digits", 0),
    }


def closed_order(order: Doc) -> Order:
    return {
        "ticket": order["ticket"],
        "openTime": order.get("open_time") or NEVER,
        "closeTime": order["closed_at"],
        "expiration": NEVER,
        "type": order.get("type"),
        "lots": number(order["lots"]),
        "symbol": order.get("symbol"),
        "openPrice": number(order.get("open_price")),
        "stopLoss": number(order.get("stop_loss")),
        "takeProfit": number(order.get("take_profit")),
        "closePrice": number(order["close_price"]),
        "magicNumber": order.get("magic", 0),
        "swap": number(order.get("swap")),
        "commission": _with_entry(order),
        "comment": order.get("comment", ""),
        "profit": number(order["profit"]),
        "digits": 0,
    }


def _with_entry(order: Doc) -> float | None:
    """An order's commission is its position's, whenever the broker charged it."""
    parts = [order.get(name) for name in ("commission", "entry_cost")]
    known = [Decimal(str(part)) for part in parts if part is not None]
    return float(sum(known)) if known else None


def copier(doc: Doc, registrations: dict[str, Doc]) -> Doc:
    """CopyService: all options by the original's names, both accounts without their passwords."""
    options = doc.get("options", {})
    shown: Doc = {
        "id": doc["id"],
        "copierId": doc["id"],
        "uniqueCopierId": f"{doc.get('master')}-{doc.get('slave')}",
        "masterAccountId": doc.get("master_registration"),
        "slaveAccountId": doc.get("slave_registration"),
        "paused": doc.get("paused", False),
        "pauseReason": _PAUSE_REASONS.get(doc.get("pause_reason", ""), doc.get("pause_reason")),
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
    }
    plain = (
        "contract_alignment", "force_min_lot", "force_max_lot", "sl_mode", "fixed_sl_pips",
        "fixed_tp_pips", "copy_expiry_time", "copy_existing_trades", "reverse_copy",
        "strict_close", "trade_delay_ms", "copy_magic_number", "magic_number",
        "filter_magic_value", "filter_comment_value", "filter_side", "pending_mode",
    )  # fmt: skip
    shown |= {_camel(name): options.get(name) for name in plain}
    shown |= {"copySL": options.get("copy_sl"), "copyTP": options.get("copy_tp")}
    for role in ("master", "slave"):
        registration = registrations.get(str(doc.get(f"{role}_registration")), {})
        if role == "slave" and not shown["paused"] and not registration.get("enabled", True):
            shown |= {"paused": True, "pauseReason": "SlaveAccountDisable"}
        shown |= {
            f"{role}Type": registration.get("platform"),
            f"{role}User": registration.get("login"),
            f"{role}Password": "***",
            f"{role}Server": registration.get("server"),
            f"{role}Name": registration.get("name"),
            f"{role}ApiId": registration.get("id"),
        }
    return shown


def protector(registration: Doc) -> Doc | None:
    """As it was set, what it counts from now, and what it acted on."""
    doc: Doc | None = registration.get("protector")
    if doc is None:
        return None
    settings, trip = doc["settings"], doc.get("tripped")
    flags = ("enabled", "daily_reset", "alert", "disable_copier", "close_copied_trades",
             "close_all_trades")  # fmt: skip
    limits = [f"{kind}_{unit}" for kind in ("stop_loss", "take_profit")
              for unit in ("percent", "value", "absolute")]  # fmt: skip
    shown: Doc = {_camel(name): settings.get(name, False) for name in flags}
    shown |= {_camel(name): number(settings.get(name)) or 0 for name in limits}
    shown["startBalance"] = number(doc.get("start_balance"))
    shown["brokerDay"] = doc.get("day") or None
    shown["callbackUrl"] = registration.get("callback_shown")
    shown["flattening"] = doc.get("flattening", False)
    shown["triggered"] = trip and {
        "breach": trip["breach"],
        "rule": trip["rule"],
        "level": number(trip["level"]),
        "equity": number(trip["equity"]),
        "timeUTC": trip["at_utc"],
    }
    return shown


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def user_key(key: UserKey) -> Doc:
    """What may be shown of a key: never the key itself."""
    return {
        "id": key_id(key),
        "name": key.name,
        "scope": key.scope.name.lower(),
        "createdAt": key.created_at.isoformat(),
        "expiresAt": None if key.expires_at is None else key.expires_at.isoformat(),
    }
