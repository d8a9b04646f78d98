"""Which stops a slave gets: trading rules §3. Pure; every result is valid for the slave's symbol.

A stop of the master is carried over as a price (one server), as a price shifted by the difference
of the two feeds (between servers, fixed when copied), or as a distance from the entry. Reverse
copying swaps the two levels by their distances.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from copypro.codes import Denial, denied
from copypro.messages import Numbers, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions, StopMode
from copypro.trading import Quote, SymbolSpec
from copypro.values import OrderKind, Platform, Price, Side
from msgspec import Struct

from copypro_account_watcher.state import Copy, Leg

MAX_SLIPPAGE_SPREADS = 3
MAX_SLIPPAGE_SHARE = Decimal("0.001")


class Levels(Struct, frozen=True, kw_only=True):
    stop_loss: Price | None
    take_profit: Price | None
    offset: Decimal
    """Slave's price minus master's; 0 where prices are taken as they are."""
    numbers: Numbers


class PendingLevels(Levels, frozen=True, kw_only=True):
    kind: OrderKind
    price: Price
    stop_limit_price: Price | None


def pip_size(spec: SymbolSpec) -> Decimal:
    """Ten points on symbols quoted with 3 or 5 digits, else one point (P-2)."""
    return spec.point * 10 if spec.digits in (3, 5) else spec.point


def round_price(price: Price, spec: SymbolSpec) -> Price:
    """To the tick size, then to the digits (P-1)."""
    tick = spec.tick_size if spec.tick_size > 0 else spec.point
    ticks = (price / tick).to_integral_value(ROUND_HALF_EVEN)
    return (ticks * tick).quantize(Decimal(1).scaleb(-spec.digits), ROUND_HALF_EVEN)


def levels(order: OpenCopy, spec: SymbolSpec, quote: Quote) -> Levels | Denial:
    """The stops to open with, and the offset that every later stop of this leg uses."""
    options = order.options
    side = order.side.opposite if options.reverse_copy else order.side
    offset = _offset(
        order.context.quote, order.master_price, order.side, quote, options, order.same_server
    )
    if order.joined:
        offset = Decimal(0)
    entry = quote.to_open(side)
    wanted_sl, wanted_tp = _wanted(
        side,
        order.side,
        order.stop_loss,
        order.take_profit,
        order.master_price,
        entry,
        offset,
        options,
        spec,
        distance=_mode(options, order.same_server) is StopMode.DISTANCE,
    )
    if (
        options.reverse_copy
        and options.copy_sl
        and order.stop_loss is not None
        and wanted_sl is None
    ):
        # The master's target would be our stop; without one, the copy would have no stop at all.
        return denied("NO_STOP", reverse="the master has no take profit", master_sl=order.stop_loss)
    if wanted_sl is not None and _is_crossed(side, wanted_sl, quote):
        return denied("STOP_CROSSED", stop_loss=wanted_sl, bid=quote.bid, ask=quote.ask)
    stop_loss, take_profit = _kept_away(side, wanted_sl, wanted_tp, quote, spec)
    numbers = {
        "master_stop_loss": str(order.stop_loss),
        "master_take_profit": str(order.take_profit),
        "offset": str(offset),
        "stop_loss": str(stop_loss),
        "take_profit": str(take_profit),
    }
    if stop_loss != wanted_sl:
        numbers["stop_loss_wanted"] = str(wanted_sl)
    if take_profit != wanted_tp:
        numbers["take_profit_wanted"] = str(wanted_tp)
    return Levels(stop_loss=stop_loss, take_profit=take_profit, offset=offset, numbers=numbers)


def modified_levels(copy: Copy, leg: Leg, spec: SymbolSpec, quote: Quote) -> Levels:
    """The stops for the master's latest ones, with the offset that was fixed at copying."""
    options = copy.options
    master_side = copy.side.opposite if options.reverse_copy else copy.side
    offset = leg.offset if leg.offset is not None else Decimal(0)
    wanted_sl, wanted_tp = _wanted(
        copy.side,
        master_side,
        copy.stop_loss,
        copy.take_profit,
        leg.master_price,
        leg.open_price,
        offset,
        options,
        spec,
        distance=_mode(options, copy.same_server) is StopMode.DISTANCE,
    )
    stop_loss, take_profit = _kept_away(copy.side, wanted_sl, wanted_tp, quote, spec)
    numbers = {
        "master_stop_loss": str(copy.stop_loss),
        "master_take_profit": str(copy.take_profit),
        "offset": str(offset),
        "stop_loss": str(stop_loss),
        "take_profit": str(take_profit),
    }
    return Levels(stop_loss=stop_loss, take_profit=take_profit, offset=offset, numbers=numbers)


def slippage_check(order: OpenCopy, side: Side, quote: Quote, offset: Decimal) -> Numbers | Denial:
    """How far the slave's price is from the master's, with the feeds' difference taken out (P-10).

    A gain is capped as well: a price much better than the master's is a stale quote or a wrong
    symbol. Default cap: the larger of 3 spreads and 0.1 % of the price.
    """
    entry = quote.to_open(side)
    spread = quote.ask - quote.bid
    adverse = (entry - order.master_price - offset) * side.sign
    if order.joined:
        adverse = Decimal(0)  # measured from now, not from where the master once opened
    cap = order.options.max_slippage
    if cap is None:
        cap = max(spread * MAX_SLIPPAGE_SPREADS, entry * MAX_SLIPPAGE_SHARE)
    numbers = {
        "master_price": str(order.master_price),
        "slave_price": str(entry),
        "adverse": str(adverse),
        "max_slippage": str(cap),
        "spread": str(spread),
    }
    return Denial("SLIPPAGE", numbers) if abs(adverse) > cap else numbers


def pending_levels(
    pending: PlacePendingCopy,
    spec: SymbolSpec,
    quote: Quote,
    platform: Platform,
    offset: Decimal | None = None,
) -> PendingLevels | Denial:
    """A mirrored pending order: kind, trigger and stops on the slave. `offset`: fixed when placed."""
    options = pending.options
    kind = pending.kind.reversed if options.reverse_copy else pending.kind
    stop_limit = kind in (OrderKind.BUY_STOP_LIMIT, OrderKind.SELL_STOP_LIMIT)
    if stop_limit and (platform is Platform.MT4 or options.reverse_copy):
        return denied("PENDING_KIND", kind=kind.value, platform=platform.value)
    if offset is None:
        offset = _offset(
            pending.context.quote, None, pending.kind.side, quote, options, pending.same_server
        )
    price = round_price(pending.price + offset, spec)
    if not _is_placeable(kind, price, quote, spec):
        return denied("PENDING_PRICE", kind=kind.value, price=price, bid=quote.bid, ask=quote.ask)
    wanted_sl, wanted_tp = _wanted(
        kind.side,
        pending.kind.side,
        pending.stop_loss,
        pending.take_profit,
        pending.price,
        price,
        offset,
        options,
        spec,
        distance=_mode(options, pending.same_server) is StopMode.DISTANCE,
    )
    trigger = Quote(symbol=quote.symbol, bid=price, ask=price)
    stop_loss, take_profit = _kept_away(kind.side, wanted_sl, wanted_tp, trigger, spec)
    limit = pending.stop_limit_price
    return PendingLevels(
        stop_loss=stop_loss,
        take_profit=take_profit,
        offset=offset,
        kind=kind,
        price=price,
        stop_limit_price=None if limit is None else round_price(limit + offset, spec),
        numbers={
            "master_price": str(pending.price),
            "offset": str(offset),
            "price": str(price),
            "stop_loss": str(stop_loss),
            "take_profit": str(take_profit),
        },
    )


# --- the parts ---------------------------------------------------------------------------------


def _mode(options: CopierOptions, same_server: bool) -> StopMode:
    if options.sl_mode is not StopMode.AUTO:
        return options.sl_mode
    return StopMode.PRICE if same_server else StopMode.OFFSET


def _offset(
    master: Quote | None,
    master_price: Price | None,
    master_side: Side,
    slave: Quote,
    options: CopierOptions,
    same_server: bool,
) -> Decimal:
    """Slave's feed minus master's, by the mids; where the master's look had no quote, by the side
    on which the master has just been filled. 0 in price mode.
    """
    if _mode(options, same_server) is StopMode.PRICE:
        return Decimal(0)
    if master is not None:
        return slave.mid - master.mid
    if master_price is not None:
        return slave.to_open(master_side) - master_price
    return Decimal(0)


def _wanted(
    side: Side,
    master_side: Side,
    master_sl: Price | None,
    master_tp: Price | None,
    master_entry: Price,
    entry: Price,
    offset: Decimal,
    options: CopierOptions,
    spec: SymbolSpec,
    *,
    distance: bool,
) -> tuple[Price | None, Price | None]:
    """The slave's levels before the broker's minimum distance, on tick and digits."""
    master_sl = master_sl if options.copy_sl else None
    master_tp = master_tp if options.copy_tp else None
    pip = pip_size(spec)
    down = -side.sign  # the way a stop loss lies from the entry

    def carried(level: Price | None) -> Price | None:
        if level is None:
            return None
        if distance:
            return entry + (level - master_entry)
        return level + offset

    if side is master_side:
        stop_loss, take_profit = carried(master_sl), carried(master_tp)
    else:
        # Reverse: our stop is as far as the master's target, our target as far as its stop.
        stop_loss = None if master_tp is None else entry + down * abs(master_tp - master_entry)
        take_profit = None if master_sl is None else entry - down * abs(master_entry - master_sl)
    if stop_loss is not None:
        stop_loss += down * options.sl_refinement_pips * pip
    elif options.fixed_sl_pips:
        stop_loss = entry + down * options.fixed_sl_pips * pip
    if take_profit is not None:
        take_profit -= down * options.tp_refinement_pips * pip
    elif options.fixed_tp_pips:
        take_profit = entry - down * options.fixed_tp_pips * pip
    return (
        None if stop_loss is None else round_price(stop_loss, spec),
        None if take_profit is None else round_price(take_profit, spec),
    )


def _is_crossed(side: Side, stop_loss: Price, quote: Quote) -> bool:
    """P-4: the price is already beyond the stop, so the idea is dead."""
    if side is Side.BUY:
        return quote.bid <= stop_loss
    return quote.ask >= stop_loss


def _kept_away(
    side: Side, stop_loss: Price | None, take_profit: Price | None, quote: Quote, spec: SymbolSpec
) -> tuple[Price | None, Price | None]:
    """Widened to the broker's minimum distance (P-5); a level of 0 says nothing, and one spread of
    room is left then, but only for levels that would otherwise be on the wrong side.
    """
    room = spec.stops_level_points * spec.point
    to_close = quote.to_close(side)
    sign = side.sign
    if stop_loss is not None:
        nearest = to_close - sign * room
        if (nearest - stop_loss) * sign < 0:
            stop_loss = round_price(nearest, spec)
    if take_profit is not None:
        nearest = to_close + sign * room
        if (take_profit - nearest) * sign < 0:
            take_profit = round_price(nearest, spec)
    return stop_loss, take_profit


def _is_placeable(kind: OrderKind, price: Price, quote: Quote, spec: SymbolSpec) -> bool:
    """The safe side of both rules seen: buy limits and sell stops below the bid, the others above
    the ask (or bid for sell limits), by the broker's minimum distance.
    """
    room = spec.stops_level_points * spec.point
    below = kind in (OrderKind.BUY_LIMIT, OrderKind.SELL_STOP, OrderKind.SELL_STOP_LIMIT)
    if below:
        return price <= quote.bid - room
    if kind is OrderKind.SELL_LIMIT:
        return price >= quote.bid + room
    return price >= quote.ask + room
