"""A slave, a symbol and a master's order, as short as a test of the slave's rules can say them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from copypro.messages import Context, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import AccountId, CopierId, CopyId, OrderKind, RootId, Side
from copypro_account_watcher.sizing import Slave

D = Decimal
SEEN_AT = datetime(2026, 9, 14, 8, 0, 0, tzinfo=UTC)


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
