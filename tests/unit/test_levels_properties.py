"""Whatever the master's levels and the slave's market: what is sent is valid at the slave and never lost."""

from __future__ import annotations

from decimal import Decimal

from copypro.codes import CODES, Denial
from copypro.messages import OpenCopy
from copypro.options import CopierOptions, StopMode
from copypro.trading import Quote, SymbolSpec
from copypro.values import OrderKind, Platform, Side
from copypro_account_watcher.planned.levels import (
    PendingLevels,
    levels,
    pending_levels,
    round_price,
    slippage_check,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.slave_builders import D, context, opens, places, spec

BASE = D("1000.00")


@st.composite
def symbols(draw: st.DrawFn) -> SymbolSpec:
    tick = draw(st.sampled_from(("0.01", "0.05", "0.25", "0.50")))
    return spec("X", digits=2, tick=tick, stops_level_points=draw(st.integers(0, 300)))


def prices(around: Decimal = BASE, width: str = "50") -> st.SearchStrategy[Decimal]:
    return st.decimals(around - D(width), around + D(width), places=2)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    bid = draw(prices(width="5"))
    return Quote(symbol="X", bid=bid, ask=bid + draw(st.decimals("0", "2", places=2)))


@st.composite
def options(draw: st.DrawFn) -> CopierOptions:
    pips = st.integers(-50, 200)
    return CopierOptions(
        sl_mode=draw(st.sampled_from(StopMode)),
        copy_sl=draw(st.booleans()),
        copy_tp=draw(st.booleans()),
        reverse_copy=draw(st.booleans()),
        fixed_sl_pips=draw(pips),
        fixed_tp_pips=draw(pips),
        sl_refinement_pips=draw(pips),
        tp_refinement_pips=draw(pips),
    )


@st.composite
def orders(draw: st.DrawFn) -> OpenCopy:
    side, at = draw(st.sampled_from(Side)), draw(quotes())
    stop, target = draw(st.none() | prices()), draw(st.none() | prices())
    return opens(
        side=side,
        price=str(at.to_open(side)),
        sl=None if stop is None else str(stop),
        tp=None if target is None else str(target),
        master=context(at=at),
        same_server=draw(st.booleans()),
        joined=draw(st.booleans()),
        options=draw(options()),
    )


def is_valid(price: Decimal, symbol: SymbolSpec) -> bool:
    return price > 0 and price == round_price(price, symbol) and price % symbol.tick_size == 0


@given(orders(), symbols(), quotes(), st.sampled_from((0.0, 60.0)))
@examples(600)
def test_levels_are_on_the_tick_on_their_side_and_far_enough(
    order: OpenCopy, symbol: SymbolSpec, at: Quote, age_s: float
) -> None:
    result = levels(order, symbol, at, master_quote_age_s=age_s)
    rules = order.options
    if isinstance(result, Denial):
        assert result.code in CODES
        return
    side = order.side.opposite if rules.reverse_copy else order.side
    room = symbol.stops_level_points * symbol.point or at.ask - at.bid
    closes_at = at.to_close(side)
    if result.stop_loss is not None:
        assert is_valid(result.stop_loss, symbol)
        assert (closes_at - result.stop_loss) * side.sign >= max(room, D("0.01"))
    if result.take_profit is not None:
        assert is_valid(result.take_profit, symbol)
        assert (result.take_profit - closes_at) * side.sign >= max(room, D("0.01"))
    # What the master has and the copier copies is there.
    stop, target = order.stop_loss, order.take_profit
    if rules.reverse_copy:
        stop, target = target, stop
    assert result.stop_loss is not None or stop is None or not rules.copy_sl
    assert result.take_profit is not None or target is None or not rules.copy_tp
    assert {"offset", "stop_loss", "take_profit"} <= result.numbers.keys()


@given(orders(), quotes())
@examples(300)
def test_slippage_is_the_same_for_a_buy_and_its_mirror(order: OpenCopy, at: Quote) -> None:
    result = slippage_check(order, Side.BUY, at, D(0))
    numbers = result.numbers if isinstance(result, Denial) else result
    assert (abs(D(numbers["adverse"])) > D(numbers["max_slippage"])) == isinstance(result, Denial)


MARKET = {OrderKind.BUY_STOP: 1, OrderKind.SELL_LIMIT: 1, OrderKind.BUY_LIMIT: -1, OrderKind.SELL_STOP: -1}  # fmt: skip


@given(
    st.sampled_from(sorted(MARKET)), prices(), prices(), prices(), symbols(), quotes(), options()
)
@examples(600)
def test_a_mirrored_pending_order_is_one_that_a_broker_takes(
    kind: OrderKind,
    price: Decimal,
    stop: Decimal,
    target: Decimal,
    symbol: SymbolSpec,
    at: Quote,
    rules: CopierOptions,
) -> None:
    order = places(kind, str(price), sl=str(stop), tp=str(target), options=rules)
    result = pending_levels(order, symbol, at, Platform.MT4, offset=D(0))
    if isinstance(result, Denial):
        assert result.code == "PENDING_PRICE"
        return
    assert isinstance(result, PendingLevels)
    assert is_valid(result.price, symbol)
    way = MARKET[result.kind]
    room = symbol.stops_level_points * symbol.point
    assert (result.price - at.bid) * way >= room
    sign = result.kind.side.sign
    if result.stop_loss is not None:
        assert is_valid(result.stop_loss, symbol)
        assert (result.price - result.stop_loss) * sign >= max(room, D("0.01"))
    if result.take_profit is not None:
        assert is_valid(result.take_profit, symbol)
        assert (result.take_profit - result.price) * sign >= max(room, D("0.01"))
