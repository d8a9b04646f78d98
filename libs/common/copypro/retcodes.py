"""What each result code of a bridge or broker means for a trade call: one table, both platforms.

Numbers and names: MetaTrader 4's error codes and MetaTrader 5's trade return codes as MetaQuotes
documents them; the bridges' own names as their readme lists them. The classes are ours: whether
something certainly did not happen, and what to do then, decides whether a retry may ever be sent.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from copypro.values import Platform


class CallKind(Enum):
    OPEN = "open"
    MODIFY = "modify"
    CLOSE = "close"
    DELETE = "delete"
    READ = "read"


class Class(Enum):
    OK = "done, or nothing to do"
    NOW = "not executed: fresh quote, again at once"
    LATER = "not executed: back off, again"
    FIX = "not executed: correct the named field, once"
    STOP = "not executed: give up this order"
    STOP_ACCOUNT = "not executed: give up, and open nothing more on this account"
    UNKNOWN = "it may or may not stand: reconcile"


class Verdict(Struct, frozen=True):
    class_: Class
    listed: bool = True
    wait_s: float = 0.0
    """At least this long before another try."""
    about_stops: bool = False
    about_expiry: bool = False
    """The broker takes no expiry, or not this one."""
    is_gone: bool = False
    """There may be no such ticket: it ended, or has another number by now."""
    note: str = ""
    """What to do besides, for the person or the code that corrects it."""


class _Row(Struct, frozen=True):
    """A code's class for opens; `change` for modifies, `less` for closes and deletes, if different. What
    is given up of those is tried again later of these: no row says so.
    """

    class_: Class
    wait_s: float = 0.0
    change: Class | None = None
    less: Class | None = None
    about_stops: bool = False
    about_expiry: bool = False
    is_gone: bool = False
    note: str = ""


_OK, _NOW, _LATER, _FIX = Class.OK, Class.NOW, Class.LATER, Class.FIX
_STOP, _STOPA, _UNK = Class.STOP, Class.STOP_ACCOUNT, Class.UNKNOWN

_GONE = _Row(
    _STOP, change=_LATER, less=_OK, is_gone=True, note="look again: it ended, or has another ticket"
)
_NO_EXPIRY = _Row(
    _FIX, about_expiry=True, note="send without expiry; the master's own removes the copy"
)

_MT4: dict[int, tuple[_Row, tuple[str, ...]]] = {
    1: (_Row(_UNK, change=_OK), ("NO_RESULT",)),
    2: (_Row(_UNK), ("COMMON_ERROR",)),
    3: (
        _Row(
            _STOP,
            change=_FIX,
            is_gone=True,
            note="look again: the ticket may be gone",
        ),
        ("INVALID_PARAM", "INVALID_TRADE_PARAMETERS"),
    ),
    4: (_Row(_LATER, 60.0), ("SERVER_BUSY",)),
    5: (_Row(_STOPA), ("OLD_VERSION",)),
    6: (_Row(_UNK), ("NO_CONNECT",)),
    7: (_Row(_STOPA), ("NOT_ENOUGH_RIGHTS",)),
    8: (_Row(_LATER, 5.0), ("TOO_FREQUENT_REQUEST",)),
    12: (_Row(_LATER, 5.0), ("TOO_FREQUENT_REQUESTS",)),
    9: (_Row(_STOPA), ("MALFUNCTIONAL_TRADE",)),
    64: (_Row(_STOPA), ("ACCOUNT_DISABLED",)),
    65: (_Row(_STOPA), ("INVALID_ACCOUNT",)),
    128: (_Row(_UNK), ("TRADE_TIMEOUT",)),
    129: (_Row(_NOW, note="round to the tick again"), ("INVALID_PRICES",)),
    130: (
        _Row(
            _FIX,
            change=_LATER,
            about_stops=True,
            note="recompute the levels, else open without and modify",
        ),
        ("INVALID_SL_TP",),
    ),
    131: (
        _Row(_FIX, note="read the terms again and floor again; on a close read the open lots"),
        ("INVALID_VOLUME", "INVALID_TRADE_VOLUME"),
    ),
    132: (_Row(_LATER, 5.0), ("MARKET_CLOSED",)),
    133: (_Row(_STOP), ("TRADE_DISABLED",)),
    134: (_Row(_STOP), ("NOT_MONEY", "NOT_ENOUGH_MONEY")),
    135: (_Row(_NOW), ("PRICE_CHANGED",)),
    136: (_Row(_LATER, 5.0), ("OFF_QUOTES",)),
    137: (_Row(_LATER, 5.0), ("BROKER_BUSY",)),
    138: (_Row(_NOW), ("REQUOTE",)),
    139: (
        _Row(_LATER, 5.0, note="look again: something else works on that ticket"),
        ("ORDER_LOCKED",),
    ),
    140: (_Row(_STOP), ("LONG_POS_ALLOWED", "LONG_POSITIONS_ONLY_ALLOWED")),
    141: (_Row(_LATER, 5.0), ("TOO_MANY_REQUESTS",)),
    142: (_Row(_UNK), ("ORDER_ACCEPTED",)),
    143: (_Row(_UNK), ("ORDER_IN_PROCESS",)),
    144: (_Row(_STOP), ("REQUEST_CANCELLED",)),
    145: (
        _Row(_LATER, 15.0, note="look again: it may execute meanwhile"),
        ("MODIFICATIONS_DENIED", "TRADE_MODIFY_DENIED"),
    ),
    146: (_Row(_NOW), ("TRADE_CONTEXT_BUSY",)),
    147: (
        _NO_EXPIRY,
        ("EXPIRATION_DISABLED", "TRADE_EXPIRATION_DENIED"),
    ),
    148: (_Row(_STOP), ("TOO_MANY_ORDERS", "TRADE_TOO_MANY_ORDERS")),
    149: (_Row(_STOP), ("HEDGE_PROHIBITED", "TRADE_HEDGE_PROHIBITED")),
    150: (
        _Row(_STOP, note="close the older position first"),
        ("RPROHIBITED_FIFO", "PROHIBITED_BY_FIFO"),
    ),
    4106: (_Row(_STOP), ("UNKNOWN_SYMBOL",)),
    4107: (_Row(_STOP), ("INVALID_PRICE_PARAM",)),
    4108: (_GONE, ()),
    4109: (_Row(_STOP), ("TRADE_NOT_ALLOWED",)),
    4110: (_Row(_STOP), ("LONGS_NOT_ALLOWED",)),
    4111: (_Row(_STOP), ("SHORTS_NOT_ALLOWED",)),
}
_MT5: dict[int, tuple[_Row, tuple[str, ...]]] = {
    10004: (_Row(_NOW), ("REQUOTE",)),
    10006: (_Row(_STOP), ("REJECT",)),
    10007: (_Row(_STOP), ("CANCEL",)),
    10008: (_Row(_UNK), ("PLACED",)),
    10009: (_Row(_UNK), ("DONE",)),
    10010: (_Row(_UNK), ("DONE_PARTIAL",)),
    10011: (_Row(_UNK), ("ERROR",)),
    10012: (_Row(_UNK), ("TIMEOUT",)),
    10013: (_Row(_STOP), ("INVALID", "INVALID_REQUEST")),
    10014: (
        _Row(_FIX, note="read the terms again and floor again; on a close read the open lots"),
        ("INVALID_VOLUME",),
    ),
    10015: (_Row(_NOW, note="round to the tick again"), ("INVALID_PRICE",)),
    10016: (
        _Row(
            _FIX,
            change=_LATER,
            about_stops=True,
            note="recompute the levels, else open without and modify",
        ),
        ("INVALID_STOPS",),
    ),
    10017: (_Row(_STOP), ("TRADE_DISABLED",)),
    10018: (_Row(_LATER, 5.0), ("MARKET_CLOSED",)),
    10019: (_Row(_STOP), ("NO_MONEY",)),
    10020: (_Row(_NOW), ("PRICE_CHANGED",)),
    10021: (_Row(_LATER, 5.0), ("PRICE_OFF",)),
    10022: (
        _NO_EXPIRY,
        ("INVALID_EXPIRATION",),
    ),
    10023: (_Row(_LATER, note="look again and plan again"), ("ORDER_CHANGED",)),
    10024: (_Row(_LATER, 5.0), ("TOO_MANY_REQUESTS",)),
    10025: (_Row(_UNK, change=_OK), ("NO_CHANGES",)),
    10026: (_Row(_STOPA), ("SERVER_DISABLES_AT",)),
    10027: (_Row(_STOPA), ("CLIENT_DISABLES_AT",)),
    10028: (_Row(_LATER, 5.0, note="look again: something else works on that ticket"), ("LOCKED",)),
    10029: (_Row(_LATER, 5.0, note="look again: it may execute meanwhile"), ("FROZEN",)),
    10030: (_Row(_FIX, note="the next allowed filling mode, once"), ("INVALID_FILL",)),
    10031: (_Row(_UNK), ("CONNECTION",)),
    10032: (_Row(_STOPA), ("ONLY_REAL",)),
    10033: (_Row(_STOP), ("LIMIT_ORDERS",)),
    10034: (_Row(_STOP), ("LIMIT_VOLUME",)),
    10035: (_Row(_STOP), ("INVALID_ORDER",)),
    10036: (
        _GONE,
        ("POSITION_CLOSED",),
    ),
    10038: (_Row(_FIX, note="close what is left"), ("INVALID_CLOSE_VOLUME",)),
    10039: (
        _Row(_UNK, note="probably an earlier attempt of ours: never another"),
        ("CLOSE_ORDER_EXIST",),
    ),
    10040: (_Row(_STOP), ("LIMIT_POSITIONS",)),
    10041: (_Row(_LATER, note="look again and plan again"), ("REJECT_CANCEL",)),
    10042: (_Row(_STOP), ("LONG_ONLY",)),
    10043: (_Row(_STOP), ("SHORT_ONLY",)),
    10044: (_Row(_STOP), ("CLOSE_ONLY",)),
    10045: (_Row(_STOP, note="close the older position first"), ("FIFO_CLOSE",)),
    10046: (_Row(_STOP), ("HEDGE_PROHIBITED",)),
    4753: (
        _GONE,
        ("TRADE_POSITION_NOT_FOUND",),
    ),
    4754: (
        _GONE,
        ("TRADE_ORDER_NOT_FOUND",),
    ),
}
_BRIDGE: dict[str, tuple[_Row, tuple[int, ...]]] = {
    # With the numbers that the bridges give their own names; where they differ, both.
    "INTERNAL_ERROR": (_Row(_UNK), (0,)),
    "NO_CONNECTION": (_Row(_UNK), (10,)),
    "SERVICE_NOT_AVAILABLE": (_Row(_UNK), (11,)),
    "SECRET_KEY_REQUIRED": (_Row(_STOPA), (13,)),
    "INVALID_ONETIME_PASSWORD": (_Row(_STOPA), (14,)),
    "PUBLIC_KEY_NOT_FOUND": (_Row(_STOPA), (66,)),
    "INVALID_TOKEN": (_Row(_LATER, note="connect and synchronise first"), (256,)),
    "INVALID_SYMBOL": (_Row(_STOP), (257,)),
    "INVALID_TICKET": (
        _GONE,
        (258,),
    ),
    "SAME_PARAMS": (_Row(_STOP, change=_OK), (259,)),
    "CONNECT_ERROR": (_Row(_UNK), (260,)),
    "TIMEOUT": (_Row(_UNK), (261,)),
    "MAX_SESSIONS_REACHED": (_Row(_STOPA), (65558,)),
    "NULL_ARGUMENT": (_Row(_STOP), ()),
    # Ours, for what is no error body: trouble on the way is never settled as quickly as an error
    # body with an unlisted name.
    "NO_ANSWER": (_Row(_UNK), ()),
    "UNREADABLE": (_Row(_UNK), ()),
    "HTTP": (_Row(_UNK), ()),
    "NO_SUCH_CALL": (_Row(_STOP, note="this bridge lacks the call: another one serves"), ()),
}


def _table(
    own: dict[int, tuple[_Row, tuple[str, ...]]], other: dict[int, tuple[_Row, tuple[str, ...]]]
) -> dict[str, _Row]:
    """By every spelling; where the platforms share a name, the platform's own meaning wins."""
    rows: dict[str, _Row] = {}
    for codes in (other, own):
        for number, (row, names) in codes.items():
            rows[str(number)] = row
            rows.update(dict.fromkeys(names, row))
    for name, (row, numbers) in _BRIDGE.items():
        rows |= {name: row, **dict.fromkeys(map(str, numbers), row)}
    return rows


_MT5_GENERAL = {str(number): _Row(_UNK) for number in range(18)}
"""MT5's own numbers for trouble of its server and on the way to it; of MT4's they say other things."""
_TABLES = {
    Platform.MT4: _table(_MT4, _MT5),
    Platform.MT5: _table(_MT5, _MT4) | _MT5_GENERAL,
}
_PREFIXES = ("TRADE_RETCODE_", "ERR_")


def _spelled(code: str) -> str:
    name = code.strip().upper()
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return "HTTP" if name.startswith("HTTP_") else name


def classify(platform: Platform, code: str, call: CallKind) -> Verdict:
    """A code's verdict. Whatever is in no table is UNKNOWN and not `listed`: one more read costs less
    than one order sent twice. A read leaves nothing in doubt, so UNKNOWN is LATER for it.
    """
    row = _TABLES[platform].get(_spelled(code))
    if row is None:
        class_ = Class.LATER if call is CallKind.READ else Class.UNKNOWN
        return Verdict(class_, listed=False)
    class_ = row.class_
    match call:
        case CallKind.MODIFY:
            class_ = row.change or class_
        case CallKind.CLOSE | CallKind.DELETE:
            # A close is never given up.
            class_ = row.less or (_LATER if class_ in (_STOP, _STOPA) else class_)
        case CallKind.READ:
            class_ = _LATER if class_ is _UNK else class_
        case CallKind.OPEN:
            pass
    return Verdict(
        class_,
        wait_s=row.wait_s,
        about_stops=row.about_stops,
        about_expiry=row.about_expiry,
        is_gone=row.is_gone,
        note=row.note,
    )


def is_listed(code: str) -> bool:
    """Known on either platform, so that its meaning is certain."""
    name = _spelled(code)
    return any(name in table for table in _TABLES.values())


CREDENTIALS = frozenset(
    {"INVALID_ACCOUNT", "ACCOUNT_DISABLED", "INVALID_ONETIME_PASSWORD", "64", "65"}
)
"""At connect: the login is refused, and trying again may lock the account."""
