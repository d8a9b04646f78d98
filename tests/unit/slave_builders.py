"""A slave, a symbol and a master's order, as short as a test of the slave's rules can say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro import messages as m
from copypro.messages import Context, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import (
    AccountId,
    AttemptId,
    CopierId,
    CopyId,
    Lots,
    MessageId,
    Mode,
    OrderKind,
    Platform,
    RegistrationId,
    RootId,
    Side,
    Ticket,
    UserId,
)
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.planned.accepting import accept
from copypro_account_watcher.planned.live import Live
from copypro_account_watcher.planned.sizing import Slave
from copypro_account_watcher.state import Account, Attempt, Copy, LegStatus, Origin, Registration

D = Decimal
SEEN_AT = datetime(2026, 9, 14, 8, 0, 0, tzinfo=UTC)
ORIGIN = Origin(MessageId("e" * 32), MessageId("d" * 32))
LIMITS = WatcherLimits()
TICKET = Ticket(77)
TIMES: dict[str, datetime] = {"sent_at_utc": SEEN_AT, "answered_at_utc": SEEN_AT}


def spec(
    name: str = "EURUSD",
    *,
    digits: int = 5,
    contract: str = "100000",
    lot: tuple[str, str, str] = ("0.01", "100", "0.01"),
    tick: str | None = None,
    **more: Any,
) -> SymbolSpec:
    """`lot`: minimum, maximum, step."""
    point = D(1).scaleb(-digits)
    return SymbolSpec(
        name=name,
        digits=digits,
        point=point,
        tick_size=point if tick is None else D(tick),
        contract_size=D(contract),
        lot_min=D(lot[0]),
        lot_max=D(lot[1]),
        lot_step=D(lot[2]),
        **more,
    )


def quote(bid: str, ask: str | None = None, symbol: str = "EURUSD") -> Quote:
    """Without an ask: a spread of nothing."""
    return Quote(symbol=symbol, bid=D(bid), ask=D(ask or bid))


def figures(balance: str = "10000", equity: str | None = None, **more: str) -> Figures:
    values = {name: D(value) for name, value in more.items()}
    values.setdefault("free_margin", D(equity or balance))
    return Figures(balance=D(balance), equity=D(equity or balance), **values)


def context(
    balance: str = "10000",
    *,
    currency: str = "USD",
    symbol: SymbolSpec | None = None,
    at: Quote | None = None,
    equity: str | None = None,
) -> Context:
    return Context(
        figures=figures(balance, equity),
        currency=currency,
        spec=symbol or spec(),
        quote=at or quote("1.10000", "1.10002"),
    )


def slave(
    balance: str = "10000",
    *,
    currency: str = "USD",
    symbol: SymbolSpec | None = None,
    at: Quote | None = None,
    rates: dict[tuple[str, str], str] | None = None,
    figures_: Figures | None = None,
    open_lots: str = "0",
    **more: Any,
) -> Slave:
    return Slave(
        figures=figures_ or figures(balance),
        currency=currency,
        spec=symbol or spec(),
        quote=at or quote("1.10000", "1.10002"),
        rates={pair: D(rate) for pair, rate in (rates or {}).items()},
        open_lots_same_direction=D(open_lots),
        **more,
    )


_IDS: dict[str, Any] = {
    "copy": CopyId("c" * 32),
    "copier": CopierId("f" * 32),
    "master": AccountId("a" * 32),
    "slave": AccountId("b" * 32),
    "root": RootId("r1"),
    "seen_at_utc": SEEN_AT,
    "magic": 1,
}


def opens(
    lots: str = "0.10",
    side: Side = Side.BUY,
    *,
    price: str = "1.10002",
    sl: str | None = None,
    tp: str | None = None,
    master: Context | None = None,
    same_server: bool = False,
    symbol: str = "EURUSD",
    joined_at: str | None = None,
    mapping: Any = None,
    options: CopierOptions | None = None,
    **settings: Any,
) -> OpenCopy:
    """`settings`: the copier's options by name."""
    return OpenCopy(
        **_IDS,
        leg=0,
        symbol=symbol,
        side=side,
        lots=D(lots),
        fraction=D(1),
        master_price=D(price),
        stop_loss=None if sl is None else D(sl),
        take_profit=None if tp is None else D(tp),
        context=master or context(),
        options=options or CopierOptions(**settings),
        same_server=same_server,
        fresh_from_utc=SEEN_AT,
        mapping=mapping,
        joined=joined_at is not None,
        market_price=None if joined_at is None else D(joined_at),
    )


def places(
    kind: OrderKind,
    price: str,
    *,
    lots: str = "0.10",
    sl: str | None = None,
    tp: str | None = None,
    stop_limit: str | None = None,
    master: Context | None = None,
    same_server: bool = False,
    mapping: Any = None,
    options: CopierOptions | None = None,
    **settings: Any,
) -> PlacePendingCopy:
    return PlacePendingCopy(
        **_IDS,
        symbol="EURUSD",
        kind=kind,
        lots=D(lots),
        price=D(price),
        stop_limit_price=None if stop_limit is None else D(stop_limit),
        stop_loss=None if sl is None else D(sl),
        take_profit=None if tp is None else D(tp),
        expires_at_utc=None,
        context=master or context(),
        options=options or CopierOptions(**settings),
        same_server=same_server,
        mapping=mapping,
    )


# --- a copy and its account ---------------------------------------------------------------------


def wanted(**more: Any) -> Copy:
    """An accepted order, nothing sent yet."""
    copy, events = accept(None, opens(**more), ORIGIN, SEEN_AT)
    assert copy is not None
    assert events == []
    return copy


def standing(lots: str = "0.10", **more: Any) -> Copy:
    """Its first leg is open at the broker."""
    copy = wanted(**more)
    leg = copy.legs[0]
    leg.status, leg.ticket, leg.order = LegStatus.OPEN, TICKET, None
    leg.original_lots = leg.lots = D(lots)
    copy.symbol, copy.settled_levels = "EURUSD", (copy.stop_loss, copy.take_profit)
    return copy


def live(*, age_s: float = 0.0, mode: Mode = Mode.HEDGING, known: bool = True) -> Live:
    """The slave's account: connected, everything known and fresh."""
    made = Live(Platform.MT5, LIMITS)
    made.now, made.mono = SEEN_AT + timedelta(seconds=age_s), 1000.0
    made.connected, made.currency, made.mode = True, "USD", mode
    mine = Registration(
        registration=RegistrationId("s" * 32), user=UserId("u"), name="s", rights=m.Rights.TRADE
    )
    made.account = Account(
        account=AccountId("a"), platform=Platform.MT5, server="s", login=1, generation=1,
        registrations={mine.registration: mine},
    )  # fmt: skip
    if known:
        made.learn_names(("EURUSD",))
        made.learn_spec(spec())
        made.learn_quote(quote("1.10000", "1.10002"))
        made.learn_figures(figures("10000"))
        for side in m.Side:
            made.learn_margin("EURUSD", side, D("1000"))
    return made


def attempt(kind: str, request: Any, *, expected: Lots | None = None) -> Attempt:
    return Attempt(
        id=AttemptId("1" * 32),
        kind=kind,
        leg=0,
        request=request,
        started_at_utc=SEEN_AT,
        tries=0,
        longest_call_s=65.0,
        expected_lots=expected,
    )


def modify(copy: Copy, stop_loss: str | None) -> m.ModifyCopy:
    level = None if stop_loss is None else D(stop_loss)
    return m.ModifyCopy(copy=copy.copy, slave=copy.slave, stop_loss=level, take_profit=None)


def reduce(copy: Copy, fraction: str) -> m.ReduceCopy:
    return m.ReduceCopy(copy=copy.copy, slave=copy.slave, fraction=D(fraction))
