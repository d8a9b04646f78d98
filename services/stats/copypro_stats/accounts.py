"""The account itself, as its broker and its owner tell it: connection, figures, symbols, alerts. Pure."""

from __future__ import annotations

from datetime import datetime

from copypro import collections as c
from copypro import messages as m

from copypro_stats.patch import Fields, Patch, iso, plain


def connected(event: m.AccountConnected) -> Patch:
    info = event.info
    fields = {
        "status": "connected",
        "code": None,
        "message": None,
        "currency": info.currency,
        "mode": info.mode.value,
        "company": info.company,
        "leverage": info.leverage,
        "clock_offset_minutes": event.clock_offset_minutes,
    }
    return Patch(c.ACCOUNTS, event.account, fields)


def disconnected(event: m.AccountDisconnected) -> Patch:
    fields = {"status": "disconnected", "code": event.code, "message": event.message}
    return Patch(c.ACCOUNTS, event.account, fields)


def alive(event: m.AccountSnapshot) -> Patch:
    fields = {
        "seen_alive_at": iso(event.seen_alive_at_utc),
        "figures": plain(event.figures),
        "open_trades": sum(not order.kind.is_pending for order in event.orders),
    }
    return Patch(c.ACCOUNTS, event.account, fields)


def symbols(event: m.AccountSymbols) -> Patch:
    piece = {
        "account": event.account,
        "piece": event.piece,
        "pieces": event.pieces,
        "names": list(event.names),
    }
    return Patch(c.SYMBOLS, f"{event.account}/{event.piece}", piece)


def terms(event: m.SymbolLearned) -> Patch:
    spec = event.spec
    fields = {
        "account": event.account,
        "symbol": spec.name,
        "lot_min": str(spec.lot_min),
        "lot_max": str(spec.lot_max),
        "trade_mode": spec.trade_mode.value,
    }
    return Patch(c.TERMS, f"{event.account}/{spec.name}", fields)


def alert(event: m.AlertRaised | m.AlertCleared, at: datetime) -> Patch:
    if isinstance(event, m.AlertCleared):
        fields: Fields = {"open": False, "cleared_at": iso(at)}
    else:
        fields = {
            "account": event.account,
            "code": event.code,
            "text": event.text,
            "numbers": event.numbers,
            "open": True,
            "time": iso(at),
        }
    return Patch(c.ALERTS, f"{event.account}/{event.cause}", fields)
