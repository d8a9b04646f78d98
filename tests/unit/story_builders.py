"""Facts as they would lie on the log, one after the other, for tests of stories and tallies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro import messages as m
from copypro.envelope import fact
from copypro.trading import OpenRequest
from copypro.values import (
    AttemptId,
    CopierId,
    OrderKind,
    Platform,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
    account_id,
    copy_id,
)
from copypro_standalone.story import Fact

T0 = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MASTER = account_id(Platform.MT4, "Amber", 71)
SLAVE = account_id(Platform.MT5, "Cobalt", 83)
OTHER = account_id(Platform.MT4, "Basalt", 72)
ROOT = RootId("501")
COPY = copy_id(MASTER, SLAVE, ROOT)
COPIER = CopierId("c" * 32)
D = Decimal


def at(ms: float) -> datetime:
    return T0 + timedelta(milliseconds=ms)


def recorded(message: m.Message, ms: float) -> Fact:
    return Fact(fact(message, at(ms), ms), at(ms))


def registered(account: Any, platform: Platform, server: str, login: int, name: str) -> Fact:
    message = m.AccountRegistered(
        account=account,
        registration=RegistrationId(name * 4),
        user=UserId("u"),
        platform=platform,
        server=server,
        login=login,
        name=name,
        generation=1,
    )
    return recorded(message, 0)


ACCOUNTS = [
    registered(MASTER, Platform.MT4, "Amber", 71, "master"),
    registered(SLAVE, Platform.MT5, "Cobalt", 83, "slave"),
]


def opened(ms: float = 1, root: RootId = ROOT, ticket: int = 501, **more: Any) -> Fact:
    values: dict[str, Any] = {
        "account": MASTER,
        "root": root,
        "ticket": Ticket(ticket),
        "symbol": "EURUSD",
        "side": Side.BUY,
        "lots": D("0.10"),
        "open_price": D("1.10000"),
        "opened_at_broker": datetime(2026, 5, 4, 14, 0),
        "opened_at_utc": at(0),
        "seen": m.Seen.LIVE,
        "seen_at_utc": at(0),
        "deal": deal(0),
    }
    return recorded(m.PositionOpened(**(values | more)), ms)


def deal(sequence: int) -> m.Deal:
    return m.Deal(ticket=900 + sequence, sequence=sequence, lots=D("0.10"), price=D("1.10000"))


def closed(ms: float, root: RootId = ROOT) -> Fact:
    message = m.PositionClosed(
        account=MASTER,
        root=root,
        ticket=Ticket(501),
        symbol="EURUSD",
        side=Side.BUY,
        seen=m.Seen.LIVE,
        seen_at_utc=at(ms),
        deal=deal(1),
    )
    return recorded(message, ms)


def who(slave: Any = SLAVE, root: RootId = ROOT, leg: int = 0) -> dict[str, Any]:
    return {
        "copy": copy_id(MASTER, slave, root),
        "copier": COPIER,
        "master": MASTER,
        "slave": slave,
        "root": root,
        "leg": leg,
    }


def traded() -> dict[str, Any]:
    """The trade as the master made it."""
    return {
        "symbol": "EURUSD",
        "side": Side.BUY,
        "lots": D("0.10"),
        "price": D("1.10000"),
        "seen_at_utc": at(0),
    }


def planned(ms: float = 2, **more: Any) -> Fact:
    return recorded(m.CopyPlanned(**who(**more), **traded()), ms)


def skipped(code: str, ms: float = 2, slave: Any = OTHER, **numbers: str) -> Fact:
    message = m.CopySkipped(
        **who(slave), **traded(), code=code, numbers=numbers, remedy="something else"
    )
    return recorded(message, ms)


def denied(code: str, ms: float = 3, slave: Any = SLAVE, **numbers: str) -> Fact:
    message = m.CopyDenied(**who(slave), code=code, numbers=numbers, remedy="something else")
    return recorded(message, ms)


def attempt(ms: float = 3) -> Fact:
    request = OpenRequest(
        symbol="EURUSDm",
        kind=OrderKind.BUY,
        lots=D("0.20"),
        comment="T",
        magic=1,
        price=D("1.10002"),
    )
    message = m.AttemptStarted(
        **who(),
        attempt=AttemptId("a1"),
        request=request,
        tag="T",
        longest_call_s=65.0,
        tries=0,
        bid=D("1.10000"),
        ask=D("1.10002"),
        numbers={"factor": "2"},
        seen_at_utc=at(0),
    )
    return recorded(message, ms)


def _outcome(sent: float, answered: float) -> dict[str, Any]:
    return {
        "attempt": AttemptId("a1"),
        "sent_at_utc": at(sent),
        "answered_at_utc": at(answered),
    }


def copied(ms: float = 12, ticket: int = 7001, slave: Any = SLAVE, root: RootId = ROOT) -> Fact:
    message = m.CopyOpened(
        **who(slave, root),
        **_outcome(4, 10),
        ticket=Ticket(ticket),
        symbol="EURUSDm",
        side=Side.BUY,
        lots=D("0.20"),
        price=D("1.10003"),
        slippage=D("0.00003"),
    )
    return recorded(message, ms)


def copy_closed(ms: float, ticket: int = 7001) -> Fact:
    message = m.CopyClosed(
        **who(),
        **_outcome(ms - 2, ms - 1),
        ticket=Ticket(ticket),
        closed_lots=D("0.20"),
        price=D("1.10100"),
        profit=D("19.40"),
        reason="MASTER_CLOSED",
    )
    return recorded(message, ms)


def unresolved(ms: float) -> Fact:
    message = m.CopyUnresolved(**who(), **_outcome(4, 64), reason="no answer within 65 s")
    return recorded(message, ms)


def reconciled(ms: float, ticket: int | None) -> Fact:
    from copypro.trading import Done

    found = (
        Done(ticket=Ticket(ticket), lots=D("0.20"), price=D("1.10003"))
        if ticket is not None
        else None
    )
    message = m.CopyReconciled(
        **who(), **_outcome(4, 64), found=found, evidence="by its tag in the open orders"
    )
    return recorded(message, ms)
