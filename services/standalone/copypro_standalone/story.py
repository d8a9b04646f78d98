"""The whole story of one trade, from the events: what was seen, decided, sent, answered. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
from copypro import messages as m
from copypro.envelope import Envelope
from copypro.ports import Record
from copypro.protection import CODE as EQUITY_PROTECTION
from copypro.trade_logs import NEW_SIGNAL, trade_reason_of
from msgspec import Struct


class Line(Struct, kw_only=True):
    at: datetime
    what: str
    text: str
    numbers: dict[str, str] = {}
    event: str
    account: str = ""
    """On which it happened; of a decision: the slave's."""
    copier: str = ""
    copy: str = ""
    """With its leg, as in `legs_ms`."""
    recorded_at: datetime | None = None


class Story(Struct, kw_only=True):
    master: str
    root: str
    names: dict[str, str]
    """login@server of each account that takes part, by its id."""
    lines: list[Line]
    legs_ms: dict[str, dict[str, float]]
    """By copy: the time of each leg from seen to recorded."""


Read = tuple[Record, Envelope]
_BY_ITSELF = ("imported:{ticket}", "late:{ticket}")
"""How the roots begin under which the watcher tells what history alone showed of a ticket; then comes
the end or a colon.
"""


def tickets_of(orders: Iterable[Read], master: str, root: str) -> set[int]:
    """All that a master's trade had."""
    return {
        envelope.message.ticket
        for _, envelope in orders
        if _is_of(envelope.message, master, root) and hasattr(envelope.message, "ticket")
    }


def by_itself(tickets: Iterable[int]) -> tuple[str, ...]:
    """How the roots begin that tell parts of these tickets by themselves."""
    return tuple(each.format(ticket=ticket) for ticket in tickets for each in _BY_ITSELF)


def find_root(
    orders: Iterable[Read], executions: Iterable[Read], account: str, ticket: int
) -> tuple[str, str] | None:
    """(master account, root) of a ticket of this account, master or slave; the latest where it was used
    twice, but none that tells a part of a trade by itself where the trade is known.
    """
    parts = by_itself([ticket])
    found: tuple[str, str] | None = None
    own: tuple[str, str] | None = None
    copies: dict[str, tuple[str, str]] = {}
    for _, envelope in executions:
        event = envelope.message
        copies[event.copy] = (event.master, event.root)
        if event.slave == account and getattr(event, "ticket", None) == ticket:
            found = (event.master, event.root)
    for _, envelope in orders:
        event = envelope.message
        if getattr(event, "ticket", None) == ticket and getattr(event, "account", "") == account:
            root = getattr(event, "root", None)
            if root is not None and (own is None or not _begins(root, parts)):
                own = (event.account, root)
            copy = getattr(event, "copy", None)
            if copy in copies:
                found = copies[copy]
    return found or own


def copies_of(orders: Iterable[Read], account: str, root: str) -> set[str]:
    """What this position of a slave is, or is also, the copy of."""
    return {
        envelope.message.copy
        for _, envelope in orders
        if _is_of(envelope.message, account, root) and getattr(envelope.message, "copy", None)
    }


def origin_of(executions: Iterable[Read], copies: Set[str]) -> tuple[str, str] | None:
    """(master account, root) of the latest of these copies."""
    origin: tuple[str, str] | None = None
    for _, envelope in executions:
        event = envelope.message
        if event.copy in copies:
            origin = (event.master, event.root)
    return origin


def tell(
    orders: Iterable[Read],
    copiers: Iterable[Read],
    executions: Iterable[Read],
    master: str,
    root: str,
) -> Story:
    lines: list[Line] = []
    times: dict[str, dict[str, datetime]] = {}
    acted: set[tuple[str, str]] = set()
    orders = list(orders)
    parts = by_itself(tickets_of(orders, master, root))
    for record, envelope in orders:
        event = envelope.message
        if _is_of(event, master, root) or _is_part(event, master, parts):
            lines.append(_of_master(event, envelope, record))
    for record, envelope in copiers:
        event = envelope.message
        if isinstance(event, m.Decided) and event.master == master and event.root == root:
            lines.append(_decision(event, envelope, record))
            legs = times.setdefault(f"{event.copy}.{event.leg}", {})
            # The pair's next copier refuses what was copied, hours later.
            if isinstance(event, m.CopyPlanned) or not legs:
                legs["seen"], legs["planned"] = event.seen_at_utc, envelope.time
    for record, envelope in executions:
        event = envelope.message
        if event.master == master and event.root == root:
            lines.append(_execution(event, envelope, record))
            if _why(event) == EQUITY_PROTECTION:
                acted.add((event.slave, getattr(event, "numbers", {}).get("at", "")))
            if isinstance(event, m.CopyOpened) and event.sent_at_utc and event.answered_at_utc:
                legs = times.setdefault(f"{event.copy}.{event.leg}", {})
                legs["sent"], legs["filled"] = event.sent_at_utc, event.answered_at_utc
                if record.recorded_at:
                    legs["recorded"] = datetime.fromtimestamp(record.recorded_at, UTC)
    for record, envelope in orders:
        event = envelope.message
        is_trip = isinstance(event, m.EquityProtectorTriggered)
        if is_trip and (event.account, event.protector.numbers["at"]) in acted:
            lines.append(_protector(event, envelope, record))
    lines.sort(key=lambda line: line.at)
    return Story(
        master=master,
        root=root,
        names=_names(orders, {master, *(line.account for line in lines)}),
        lines=lines,
        legs_ms={copy: between(legs) for copy, legs in times.items()},
    )


def _is_of(event: Any, master: str, root: str) -> bool:
    return getattr(event, "account", None) == master and getattr(event, "root", None) == root


def _is_part(event: Any, master: str, parts: tuple[str, ...]) -> bool:
    """How it opened is told with the trade."""
    is_closing = isinstance(event, m.PositionReduced | m.PositionClosed)
    return is_closing and event.account == master and _begins(event.root, parts)


def _begins(root: str, parts: tuple[str, ...]) -> bool:
    return root.startswith(tuple(f"{part}:" for part in parts)) or root in parts


def _names(orders: Iterable[Read], accounts: set[str]) -> dict[str, str]:
    known = m.AccountRegistered | m.HistoryImported
    return {
        event.account: f"{event.login}@{event.server}"
        for _, envelope in orders
        if isinstance(event := envelope.message, known) and event.account in accounts
    }


_SIGNED_ZERO = re.compile(r"^-(0(?:\.0*)?)$")
STEPS = ("seen", "planned", "sent", "filled", "recorded")


def between(legs: dict[str, datetime]) -> dict[str, float]:
    """Milliseconds of each leg whose both ends are known."""
    spans: dict[str, float] = {}
    known = [name for name in STEPS if name in legs]
    for one, two in pairwise(known):
        spans[f"{one} → {two}"] = round((legs[two] - legs[one]).total_seconds() * 1000, 3)
    return spans


def _of_master(event: Any, envelope: Envelope, record: Record) -> Line:
    words = ("side", "kind", "symbol")
    parts = [str(getattr(event, name)) for name in words if hasattr(event, name)]
    for name in ("lots", "open_lots", "open_price", "price", "stop_loss", "take_profit", "reason"):
        parts += _part(event, name)
    match event:
        case m.PositionIncreased():
            parts.append(f"price={event.deal.price}")
        case m.PositionReduced() | m.PositionClosed():
            deal = event.deal
            parts.append(f"closed_lots={deal.lots} price={deal.price}")
            parts += _part(deal, "profit")
    seen = getattr(event, "seen", None)
    how = f" (seen {seen})" if seen else ""
    return Line(
        at=getattr(event, "seen_at_utc", envelope.time),
        what="master",
        text=f"ticket {event.ticket} {_words(event)}: {' '.join(parts)}{how}",
        event=type(event).__name__,
        account=event.account,
        recorded_at=_recorded(record),
    )


def _part(event: Any, name: str) -> list[str]:
    """Of a value that is not there nothing, but that a change of levels took one away is said."""
    value = getattr(event, name, "")
    changes = isinstance(event, m.PositionModified | m.PendingModified | m.CopyModified)
    if value is None and changes and name in ("stop_loss", "take_profit"):
        value = "none"
    return [] if value in (None, "") else [f"{name}={_unsigned(str(value))}"]


def _unsigned(text: str) -> str:
    """Without the sign of a zero, which says nothing."""
    return _SIGNED_ZERO.sub(r"\1", text)


def _decision(event: Any, envelope: Envelope, record: Record) -> Line:
    skipped = isinstance(event, m.CopySkipped)
    text = "planned a copy" if not skipped else f"not copied: {event.code}. To pass: {event.remedy}"
    return Line(
        at=envelope.time,
        what="decision",
        text=f"{text} (leg {event.leg})",
        numbers=_numbers(event.numbers) if skipped else {},
        event=type(event).__name__,
        account=event.slave,
        copier=event.copier,
        copy=f"{event.copy}.{event.leg}",
        recorded_at=_recorded(record),
    )


def _execution(event: Any, envelope: Envelope, record: Record) -> Line:
    numbers = _numbers(getattr(event, "numbers", None) or {})
    parts: list[str] = []
    if isinstance(event, m.AttemptStarted):
        request = msgspec.to_builtins(event.request)
        parts = [f"{name}={value}" for name, value in request.items() if value is not None]
    else:
        for name in (
            "ticket", "symbol", "side", "lots", "price", "slippage", "closed_lots", "open_lots",
            "stop_loss", "take_profit", "profit", "code", "message", "reason", "evidence", "remedy",
        ):  # fmt: skip
            parts += _part(event, name)
    match event:
        case m.CopyRejected():
            parts.append("given up" if event.final else "to be tried again")
        case m.CopyReconciled():
            parts += _found(event)
    if (reason := trade_reason_of(_why(event))) != NEW_SIGNAL:
        parts.append(f"tradeReason={reason}")
    at = getattr(event, "answered_at_utc", None) or envelope.time
    return Line(
        at=at,
        what="slave",
        text=f"{_words(event)} (leg {event.leg}): {' '.join(parts)}",
        numbers=numbers,
        event=type(event).__name__,
        account=event.slave,
        copier=event.copier,
        copy=f"{event.copy}.{event.leg}",
        recorded_at=_recorded(record),
    )


def _found(event: m.CopyReconciled) -> list[str]:
    if event.found is None:
        return ["found=nothing"]
    found = event.found
    how = ["inferred: without its tag"] if event.inferred else []
    return [f"found={found.ticket} lots={found.lots} price={found.price}", *how]


def _numbers(told: Mapping[str, str]) -> dict[str, str]:
    return {name: _unsigned(value) for name, value in told.items()}


def _why(event: Any) -> str:
    """The reason or code that an event of a copy has; empty: none."""
    numbers = getattr(event, "numbers", None) or {}
    why = numbers.get("why") or getattr(event, "reason", "") or getattr(event, "code", "")
    return str(why)


def _protector(event: m.EquityProtectorTriggered, envelope: Envelope, record: Record) -> Line:
    numbers, trip = event.protector.numbers, event.protector.tripped
    text = f"equity {numbers['equity']} reached {numbers['rule']}, which is {numbers['limit']}"
    return Line(
        at=envelope.time if trip is None else trip.at_utc,
        what="slave",
        text=f"equity protector: {text}",
        numbers=numbers,
        event=type(event).__name__,
        account=event.account,
        recorded_at=_recorded(record),
    )


def _recorded(record: Record) -> datetime | None:
    return datetime.fromtimestamp(record.recorded_at, UTC) if record.recorded_at else None


def _words(event: object) -> str:
    """CopyNeedsPerson: "needs person"; PendingPlaced: "pending placed"."""
    name = type(event).__name__.removeprefix("Position").removeprefix("Copy")
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
