"""One example of every message: a EURUSD trade of an MT4 master, copied to an MT5 slave.

Values follow from a field's name, so that the same thing is the same in all of them. A field that
has no value here stops the generator: a new one is given its example with it.
"""

from __future__ import annotations

import base64
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from copypro.codes import CODES
from copypro.options import CopierOptions, PendingMode, SymbolMapping
from copypro.trading import CloseRequest, DeleteRequest, ModifyRequest, OpenOrder, OpenRequest
from copypro.values import (
    OrderKind,
    Platform,
    RootId,
    account_id,
    copy_id,
    digest,
    leg_tag,
    magic_of,
)
from msgspec import NODEFAULT, Struct

UTC_TIME = datetime(2026, 3, 2, 9, 15, 0, 250_000, UTC)
BROKER_TIME = UTC_TIME.replace(hour=11, tzinfo=None)
"""Two hours ahead, without a zone, as brokers write it."""
MASTER = account_id(Platform.MT4, "Amber-Live", 1001)
SLAVE = account_id(Platform.MT5, "Cobalt-Demo", 2002)
ROOT = RootId("501")
COPY = copy_id(MASTER, SLAVE, ROOT)
COPIER = digest("example", "copier")
USER = digest("example", "user")
MASTERS, SLAVES = digest("example", "master"), digest("example", "slave")

_BY_NAME: dict[str, Any] = {
    "market": {"EURUSD": "1.10005"},
    "account": MASTER,
    "account_type": "Hedge",
    "amount": "500.00",
    "ask": "1.08423",
    "attempt": digest("attempt", COPY, 0, "open", 1),
    "balance": "10000.00",
    "address": "192.0.2.10",
    "bid": "1.08420",
    "call": "UpdateCopier",
    "command": digest("example", "command"),
    "key_id": "9f86d081884c7d65",
    "key_name": "my robot",
    "operator": False,
    "parameters": {"id": COPIER, "riskValue": "0.5"},
    "status": 200,
    "by": USER,
    "calculation": "Forex",
    "cause": f"close/{COPY}",
    "clock_offset_minutes": 120,
    "close_trades": True,
    "closed_lots": "0.02",
    "code": "NO_CONNECTION",
    "comment": "morning",
    "commission": "-0.35",
    "company": "Amber Markets",
    "consider_balance": True,
    "contract_size": "100000",
    "copier": COPIER,
    "copy": COPY,
    "credit": "100.00",
    "day": "2026-03-02",
    "currency": "EUR",
    "digits": 5,
    "enabled": False,
    "equity": "10012.40",
    "equity_high": "10020.10",
    "equity_low": "9991.75",
    "ever_lots": "0.15",
    "evidence": "two positions could be it: 7001, 7002",
    "fee": "-0.05",
    "entry_cost": "-3.50",
    "fill_policies": ["FillOrKill", "ImmediateOrCancel"],
    "filter_comment_value": "copy",
    "fixed_master_balance": "5000",
    "forget": False,
    "fraction": "0.5",
    "free_margin": "9904.00",
    "freeze_level_points": 3,
    "generation": 1,
    "headers": {"type": "PositionOpened", "version": "1"},
    "identifier": 501,
    "inferred": True,
    "investor": False,
    "key": MASTER,
    "last": True,
    "left_open": [7001],
    "level": "9500.00",
    "leg": 1,
    "leverage": 100,
    "login": 1001,
    "longest_call_s": 65.0,
    "lot_max": "50",
    "lot_min": "0.01",
    "lot_step": "0.01",
    "lots": "0.10",
    "magic": 77,
    "margin": "108.42",
    "margin_calculation": "CfdLeverage",
    "margin_currency": "EUR",
    "margin_divider": "1",
    "market_price": "1.08420",
    "master": MASTER,
    "master_price": "1.08423",
    "master_registration": MASTERS,
    "master_symbol": "EURUSD",
    "message": "the bridge does not answer",
    "name": "Main",
    "names": ["EURUSD", "XAUUSD"],
    "numbers": {"raw_lots": "0.005", "lot_min": "0.01"},
    "offset": 118,
    "only_from": "EquityProtection",
    "open_lots": "0.05",
    "open_price": "1.08423",
    "order_offset": 42,
    "partition": 3,
    "pause_reason": "ByUser",
    "piece": 1,
    "pieces": 4,
    "point": "0.00001",
    "price": "1.08423",
    "profit": "12.40",
    "profit_currency": "USD",
    "profit_high": {"501": "20.10"},
    "profit_low": {"501": "-8.25"},
    "reason": "no answer within 65 s",
    "registration": MASTERS,
    "remedy": CODES["BELOW_MIN_LOT"][1],
    "risk_value": "0.5",
    "root": ROOT,
    "rule": "stopLossPercent",
    "sealed": "bm90IGEgcmVhbCBvbmU=",
    "sealed_password": "bm90IGEgcmVhbCBvbmU=",
    "sequence": 1,
    "serial": 3,
    "server": "Amber-Live",
    "shown": "https://example.com/***",
    "slave": SLAVE,
    "slave_lots": "0.02",
    "slave_registration": SLAVES,
    "slave_symbol": "EURUSD.m",
    "slippage": "0.00002",
    "slippage_points": 20,
    "start_balance": "10000.00",
    "stop_limit_price": "1.08300",
    "stop_loss": "1.07900",
    "stop_loss_absolute": "9500.00",
    "stop_loss_percent": "5",
    "stop_loss_value": "500.00",
    "stops_level_points": 10,
    "swap": "-0.12",
    "symbol": "EURUSD",
    "tag": leg_tag(COPY, 0),
    "take_profit": "1.09400",
    "take_profit_absolute": "11000.00",
    "take_profit_percent": "10",
    "take_profit_value": "1000.00",
    "text": "a close is not done after 60 s",
    "tick_size": "0.00001",
    "tick_value": "0.92",
    "ticket": 501,
    "topic": "order-events",
    "tries": 1,
    "user": USER,
    "value_base64": base64.b64encode(b'{"type":"PositionOpened"').decode(),
    "volume_limit": "20",
    "what": "attempt " + digest("attempt", COPY, 0, "open", 1),
}
_OF_KIND: dict[str, dict[str, Any]] = {
    "HistoryImported": {
        "written_at": "2026.01.31 17:00",
        "added": 41,
        "same": 3,
        "contradictions": ["ticket 7001: profit 4.10 in the report, 4.00 known"],
    },
    "ImportHistory": {
        "written_at": "2026.01.31 17:00",
        "rows": [
            {
                "number": 1,
                "ticket": 7001,
                "symbol": "EURUSD",
                "side": "Buy",
                "lots": "0.10",
                "close_price": "1.08500",
                "closed_at_broker": "2026-01-30T10:15:00",
                "profit": "7.70",
            }
        ],
        "operations": [
            {
                "number": 2,
                "kind": "Balance",
                "amount": "500.00",
                "time_broker": "2026-01-02T09:00:00",
            }
        ],
    },
    "StatementOperation": {"kind": "Balance", "number": 1},
    "StatementRow": {"number": 1},
    "AccountUpdated": {"refused": "INVALID_ACCOUNT", "leaving": False},
    "SymbolChoice": {"all": False, "on": ["EURUSD"], "off": ["XAUUSD"]},
    "BalanceChanged": {"kind": "Balance", "ticket": 9001, "comment": "deposit"},
    "BalanceOperation": {"kind": "Balance"},
    "CloseCopy": {"reason": "MASTER_Client"},
    "CommandDenied": {"code": "PAIR_IN_USE", "message": "another user's copier links the two"},
    "CopyClosed": {"reason": "MASTER_Client"},
    "CopyDenied": {"code": "BELOW_MIN_LOT", "pending": False},
    "CopyDetached": {"reason": "OWNER_CLOSED"},
    "CopyPendingRemoved": {"reason": "MASTER_GONE"},
    "CopyRejected": {"code": "MARKET_CLOSED", "message": "10018 market is closed"},
    "CopySkipped": {"code": "BELOW_MIN_LOT"},
    "Deal": {"ticket": 8801},
    "DetachCopy": {"reason": "ACCOUNT_REMOVED"},
    "OpenRequest": {"comment": leg_tag(COPY, 0), "magic": magic_of(MASTER, SLAVE)},
    "OpenCopy": {"magic": magic_of(MASTER, SLAVE), "leg": 0, "fraction": "1"},
    "OpenOrder": {"deal": 8801},
    "PauseCopier": {"reason": "ByUser"},
    "PendingRemoved": {"reason": "deleted"},
    "PlacePendingCopy": {"magic": magic_of(MASTER, SLAVE)},
    "RemovePendingCopy": {"reason": "COPIER_STOPPED"},
    "Settled": {"what": "attempt " + digest("attempt", COPY, 0, "open", 1)},
    "SymbolSpec": {"name": "EURUSD"},
}
_OF_SLAVES = ("Copy", "Attempt", "Done", "OpenRequest", "CloseRequest", "ModifyRequest")
_OPTIONS = CopierOptions(
    risk_value=Decimal("0.5"), pending_mode=PendingMode.MIRROR, copy_existing_trades=True
)
_MAPPING = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.m")
_FIXED: dict[type[Struct], Struct] = {CopierOptions: _OPTIONS, SymbolMapping: _MAPPING}


def example(kind: type[Struct]) -> Any:
    """Every field set. Errors: KeyError that names a field without a value."""
    return _struct(kind, whole=True, fixed=_FIXED)


def whole(kind: type[Struct]) -> Any:
    """Every field set, the copier's options too, each to another value than its default."""
    return _struct(kind, whole=True, fixed={})


def bare(kind: type[Struct]) -> Any:
    """Only what must be there."""
    return _struct(kind, whole=False, fixed={})


def _struct(kind: type[Struct], *, whole: bool, fixed: Mapping[type[Struct], Struct]) -> Any:
    if kind in fixed:
        return fixed[kind]
    given: dict[str, Any] = {}
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        if required or whole:
            given[field.name] = _value(
                hints[field.name], field.name, field.default, kind, whole, fixed
            )
    return kind(**given)


def _value(
    hint: Any,
    name: str,
    default: Any,
    owner: type[Struct],
    whole: bool,
    fixed: Mapping[type[Struct], Struct],
) -> Any:
    inner = [each for each in typing.get_args(hint) if each is not type(None)]
    is_optional = type(None) in typing.get_args(hint)
    if is_optional and not whole and default is NODEFAULT:
        return None
    kind = inner[0] if is_optional else hint
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct(kind, whole=whole, fixed=fixed)
    if typing.get_origin(kind) is tuple and inner[0] in (SymbolMapping, OpenOrder):
        return (_struct(inner[0], whole=whole, fixed=fixed),)
    if {OpenRequest, CloseRequest, ModifyRequest, DeleteRequest} & set(inner):
        return _struct(OpenRequest, whole=whole, fixed=fixed)
    if kind is datetime:
        return BROKER_TIME if name.endswith("_broker") else UTC_TIME
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _other_than(default, list(kind), name)
    return msgspec.convert(_plain(kind, name, default, owner), kind, strict=True)


def _other_than(default: Any, values: list[Any], name: str) -> Any:
    if name == "kind":
        return OrderKind.BUY_LIMIT
    return next(value for value in values if value is not default)


def _plain(kind: Any, name: str, default: Any, owner: type[Struct]) -> Any:
    special = _OF_KIND.get(owner.__name__, {})
    if name in special:
        return special[name]
    if name == "ticket" and owner.__name__.startswith(_OF_SLAVES):
        return 7001
    if name in _BY_NAME:
        return _BY_NAME[name]
    if kind is bool:
        return default is not True
    if owner is CopierOptions and kind in (int, float, Decimal):
        return 7 if kind is int else 7.5 if kind is float else "7.5"
    raise KeyError(f"{owner.__name__}.{name} has no example: give it one in docs/generating")
