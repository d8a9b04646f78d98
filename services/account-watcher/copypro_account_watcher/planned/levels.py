"""Which stops a slave gets. Pure; every result is valid for the slave's symbol.

A stop of the master is carried over as a price (one server), as a price shifted by the difference
of the two feeds (between servers, fixed when copied), or as a distance from the entry. Reverse
copying swaps the two levels by their distances.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from copypro.codes import Denial, denied
from copypro.messages import Numbers, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions, StopMode
from copypro.trading import Quote, SymbolSpec
from copypro.values import OrderKind, Platform, Price, Side
from msgspec import Struct

from copypro_account_watcher.state import Copy, Leg

MAX_SLIPPAGE_SPREADS = 3
MAX_SLIPPAGE_SHARE = Decimal("0.001")
SAME_MOMENT_S = 5.0
"""Two quotes further apart in time show how the market moved, not how the feeds differ."""

FILL_SPREADS = 2
"""A fill this far from a quote was made at another one."""

Wanted = tuple[Price | None, Price | None]
"""Stop loss and take profit."""


class Levels(Struct, frozen=True, kw_only=True):
    stop_loss: Price | None
    take_profit: Price | None
    offset: Decimal
    """Slave's price minus master's; 0 where prices are taken as they are. Kept with the leg."""
    numbers: Numbers
    wanted_stop_loss: Price | None = None
    """Before it was widened to what the broker takes."""


class PendingLevels(Levels, frozen=True, kw_only=True):
    kind: OrderKind
    price: Price
    stop_limit_price: Price | None


def point_of(spec: SymbolSpec) -> Decimal:
    """10^-digits where the bridge tells none."""
    return spec.point if spec.point > 0 else Decimal(1).scaleb(-spec.digits)


def pip_size(spec: SymbolSpec) -> Decimal:
    """Ten points on symbols quoted with 3 or 5 digits, else one point."""
    point = point_of(spec)
    return point * 10 if spec.digits in (3, 5) else point


def round_price(price: Price, spec: SymbolSpec, rounding: str = ROUND_HALF_EVEN) -> Price:
    """To the tick size, then to the digits."""
    tick = _tick(spec)
    ticks = (price / tick).to_integral_value(rounding)
    return (ticks * tick).quantize(Decimal(1).scaleb(-spec.digits), rounding)


# --- a position --------------------------------------------------------------------------------


def levels(
    order: OpenCopy,
    spec: SymbolSpec,
    quote: Quote,
    *,
    master_quote_age_s: float = 0.0,
    offset: Decimal | None = None,
) -> Levels | Denial:
    """The stops to open with, and the offset that every later stop of this leg uses.

    `quote` is the slave's now, `master_quote_age_s` how much older the order's own look is. `offset`:
    the one fixed at the first try, whose quotes were the closest in time; None at the first. Denials:
    STOP_CROSSED, where the slave's price is beyond the master's stop already, and
    REVERSE_NO_STOP, where reverse copying would leave the copy without one.
    """
    options = order.options
    side = order.side.opposite if options.reverse_copy else order.side
    numbers: Numbers = {"offset": str(offset)}
    if offset is None:
        offset, numbers = _offset(order, quote, master_quote_age_s)
    numbers |= {
        "master_stop_loss": str(order.stop_loss),
        "master_take_profit": str(order.take_profit),
    }
    if order.stop_loss is not None and _is_crossed(order.side, order.stop_loss + offset, quote):
        return denied("STOP_CROSSED", **numbers, bid=quote.bid, ask=quote.ask)
    wanted = _wanted(
        side,
        (order.stop_loss, order.take_profit),
        order.master_price,
        quote.to_open(side),
        offset,
        spec,
        options,
        same_server=order.same_server,
    )
    if options.reverse_copy and options.copy_sl and wanted[0] is None:
        return Denial("REVERSE_NO_STOP", numbers)
    kept = _kept_away(side, wanted, quote, room_of(spec, quote), spec)
    numbers |= _told(wanted, kept)
    return Levels(
        stop_loss=kept[0],
        take_profit=kept[1],
        offset=offset,
        numbers=numbers,
        wanted_stop_loss=wanted[0],
    )


def wants_stop(copy: Copy) -> bool:
    """The master has what our stop comes from."""
    options = copy.options
    source = copy.take_profit if options.reverse_copy else copy.stop_loss
    return (options.copy_sl and source is not None) or options.fixed_sl_pips > 0


def modified_levels(copy: Copy, leg: Leg, spec: SymbolSpec, quote: Quote) -> Levels:
    """The stops for the master's latest ones, with the offset that was fixed at copying.

    Never a refusal: what is too near or crossed goes as near as the broker allows. A reverse copy
    keeps its stop when the master takes away the target that it came from.
    """
    options = copy.options
    offset = leg.offset if leg.offset is not None else Decimal(0)
    wanted = _wanted(
        copy.side,
        (copy.stop_loss, copy.take_profit),
        leg.master_price,
        leg.open_price,
        offset,
        spec,
        options,
        same_server=copy.same_server,
    )
    numbers = {
        "master_stop_loss": str(copy.stop_loss),
        "master_take_profit": str(copy.take_profit),
        "offset": str(offset),
    }
    room = room_of(spec, quote)
    kept = _kept_away(copy.side, wanted, quote, room, spec)
    kept = (
        _steady(wanted[0], kept[0], leg.set_stop_loss, room),
        _steady(wanted[1], kept[1], leg.set_take_profit, room),
    )
    if options.reverse_copy and options.copy_sl and wanted[0] is None:
        kept = (leg.overtaken_stop_loss or leg.set_stop_loss, kept[1])
    numbers |= _told(wanted, kept)
    return Levels(stop_loss=kept[0], take_profit=kept[1], offset=offset, numbers=numbers)


def slippage_check(order: OpenCopy, side: Side, quote: Quote, offset: Decimal) -> Numbers | Denial:
    """How far the slave's price is from the master's, with the feeds' difference taken out.

    A gain is capped as well: a price much better than the master's is a stale quote or a wrong
    symbol. Default cap: the larger of 3 spreads and 0.1 % of the price. A joined trade is measured
    from the market it was joined at, not from where the master once opened.
    """
    entry, spread = quote.to_open(side), quote.ask - quote.bid
    master = measured_from(order)
    adverse = side.along(entry - master - offset)
    cap = order.options.max_slippage
    if cap is None or not cap.is_finite():
        cap = max(spread * MAX_SLIPPAGE_SPREADS, entry * MAX_SLIPPAGE_SHARE)
    numbers = {
        "master_price": str(master),
        "slave_price": str(entry),
        "adverse": str(adverse),
        "max_slippage": str(cap),
        "spread": str(spread),
    }
    return Denial("SLIPPAGE", numbers) if abs(adverse) > cap else numbers


def measured_from(order: OpenCopy) -> Price:
    """The master's price of now: what it was just filled at, or its market where a trade is joined."""
    return order.master_price if order.market_price is None else order.market_price


# --- a pending order ---------------------------------------------------------------------------


def pending_levels(
    pending: PlacePendingCopy,
    spec: SymbolSpec,
    quote: Quote,
    platform: Platform,
    offset: Decimal | None = None,
    *,
    master_quote_age_s: float = 0.0,
    stop_distance: Decimal | None = None,
) -> PendingLevels | Denial:
    """A mirrored pending order: kind, trigger and stops on the slave.

    `offset`: the one fixed when it was placed; None when it is placed now, `master_quote_age_s` after
    the order's own look. `stop_distance`: of the stop of one that stands from its trigger, above zero
    where it is above; a reverse order keeps it when the master takes away the target that it came from.
    Denials: PENDING_KIND, PENDING_PRICE (the market is beyond the trigger, or too near),
    REVERSE_NO_STOP.
    """
    options = pending.options
    kind = pending.kind.reversed if options.reverse_copy else pending.kind
    is_stop_limit = kind in (OrderKind.BUY_STOP_LIMIT, OrderKind.SELL_STOP_LIMIT)
    if is_stop_limit and (platform is Platform.MT4 or options.reverse_copy):
        return denied("PENDING_KIND", kind=kind.value, platform=platform.value)
    numbers: Numbers = {}
    if offset is None:
        offset, numbers = _offset(pending, quote, master_quote_age_s)
    numbers |= {"master_price": str(pending.price), "offset": str(offset)}
    price = round_price(pending.price + offset, spec)
    if not _is_placeable(kind, price, quote, spec):
        at = {"price": price, "bid": quote.bid, "ask": quote.ask}
        return denied("PENDING_PRICE", **numbers, kind=kind.value, **at)
    limit = pending.stop_limit_price
    stop_limit_price = None if limit is None else round_price(limit + offset, spec)
    entry = price if stop_limit_price is None else stop_limit_price
    wanted = _wanted(
        kind.side,
        (pending.stop_loss, pending.take_profit),
        pending.price if limit is None else limit,
        entry,
        offset,
        spec,
        options,
        same_server=pending.same_server,
    )
    if options.reverse_copy and options.copy_sl and wanted[0] is None:
        if stop_distance is None:
            return Denial("REVERSE_NO_STOP", numbers)
        wanted = (round_price(entry + stop_distance, spec), wanted[1])
    filled = Quote(symbol=quote.symbol, bid=entry, ask=entry)
    kept = _kept_away(kind.side, wanted, filled, room_of(spec, quote), spec)
    return PendingLevels(
        stop_loss=kept[0],
        take_profit=kept[1],
        offset=offset,
        kind=kind,
        price=price,
        stop_limit_price=stop_limit_price,
        numbers=numbers | {"price": str(price)} | _told(wanted, kept),
        wanted_stop_loss=wanted[0],
    )


def _is_placeable(kind: OrderKind, price: Price, quote: Quote, spec: SymbolSpec) -> bool:
    """The safe side of both rules seen: buy limits and sell stops below the bid, sell limits above
    it, buy stops above the ask, each by the broker's minimum distance.
    """
    room = spec.stops_level_points * spec.point
    match kind:
        case OrderKind.BUY_LIMIT | OrderKind.SELL_STOP | OrderKind.SELL_STOP_LIMIT:
            return price <= quote.bid - room
        case OrderKind.SELL_LIMIT:
            return price >= quote.bid + room
        case _:
            return price >= quote.ask + room


# --- the parts ---------------------------------------------------------------------------------


def _mode(options: CopierOptions, same_server: bool) -> StopMode:
    if options.sl_mode is not StopMode.AUTO:
        return options.sl_mode
    return StopMode.PRICE if same_server else StopMode.OFFSET


def _offset(
    order: OpenCopy | PlacePendingCopy, slave: Quote, master_quote_age_s: float
) -> tuple[Decimal, Numbers]:
    """Slave's feed minus master's, by the mids of one moment; with the numbers it is made of.

    0 in price mode, and where no quotes of one moment are at hand: then slippage is measured in
    full, so that a market that has moved is not taken for a feed that differs.
    """
    master = order.context.quote
    is_joined = isinstance(order, OpenCopy) and order.joined
    if (
        _mode(order.options, order.same_server) is StopMode.PRICE
        or master is None
        or is_joined
        or master_quote_age_s > SAME_MOMENT_S
        or _is_outdated(order, master)
    ):
        return Decimal(0), {"offset": "0"}
    offset = slave.mid - master.mid
    mids = {"master_mid": str(master.mid), "slave_mid": str(slave.mid)}
    return offset, {**mids, "offset": str(offset)}


def _is_outdated(order: OpenCopy | PlacePendingCopy, master: Quote) -> bool:
    """The master was filled at a price that is not of this quote: the market moved in between, as it
    does when it triggers a pending order.
    """
    if not isinstance(order, OpenCopy):
        return False
    away = abs(order.master_price - master.to_open(order.side))
    return away > FILL_SPREADS * (master.ask - master.bid)


def _wanted(
    side: Side,
    master: Wanted,
    master_entry: Price,
    entry: Price,
    offset: Decimal,
    spec: SymbolSpec,
    options: CopierOptions,
    *,
    same_server: bool,
) -> Wanted:
    """The slave's levels before the broker's minimum distance, on tick and digits.

    In reverse our stop is as far from our entry as the master's target from its own, and our target
    as its stop. copySL and copyTP speak of the slave's levels. A refinement in pips moves a copied
    level away from the entry (below zero: towards it); fixed pips take the place of one not copied.
    """
    stop_loss, take_profit = master[::-1] if options.reverse_copy else master
    by_distance = options.reverse_copy or _mode(options, same_server) is StopMode.DISTANCE
    shift = entry - master_entry if by_distance else offset
    return (
        _level(
            stop_loss if options.copy_sl else None,
            shift,
            entry,
            -side.sign * pip_size(spec),
            options.sl_refinement_pips,
            options.fixed_sl_pips,
            spec,
        ),
        _level(
            take_profit if options.copy_tp else None,
            shift,
            entry,
            side.sign * pip_size(spec),
            options.tp_refinement_pips,
            options.fixed_tp_pips,
            spec,
        ),
    )


def _level(
    master: Price | None,
    shift: Decimal,
    entry: Price,
    outward: Decimal,
    refinement_pips: int,
    fixed_pips: int,
    spec: SymbolSpec,
) -> Price | None:
    """`outward`: one pip away from the entry. Never 0 or below, which a bridge takes for "none"."""
    if master is not None:
        level = master + shift + outward * refinement_pips
    elif fixed_pips > 0:
        level = entry + outward * fixed_pips
    else:
        return None
    return max(round_price(level, spec), _tick(spec))


def _is_crossed(side: Side, stop_loss: Price, quote: Quote) -> bool:
    """Seen from a position of this side: it would close at or beyond its stop."""
    return (quote.to_close(side) - stop_loss) * side.sign <= 0


def room_of(spec: SymbolSpec, quote: Quote) -> Decimal:
    """How near the market a level may be. A stop level of 0 says "variable" at many brokers: one
    spread then, and never less than a tick.
    """
    room = spec.stops_level_points * spec.point or quote.ask - quote.bid
    return max(room, _tick(spec))


def _kept_away(side: Side, wanted: Wanted, at: Quote, room: Decimal, spec: SymbolSpec) -> Wanted:
    """Widened to the minimum distance, rounded away from the market; never dropped."""
    stop_loss, take_profit = wanted
    closes_at, sign = at.to_close(side), side.sign
    down, up = (ROUND_FLOOR, ROUND_CEILING) if side.is_buy else (ROUND_CEILING, ROUND_FLOOR)
    if stop_loss is not None and (closes_at - stop_loss) * sign < room:
        stop_loss = max(round_price(closes_at - sign * room, spec, down), _tick(spec))
    if take_profit is not None and (take_profit - closes_at) * sign < room:
        take_profit = max(round_price(closes_at + sign * room, spec, up), _tick(spec))
    return stop_loss, take_profit


def _steady(
    wanted: Price | None, kept: Price | None, now: Price | None, room: Decimal
) -> Price | None:
    """A widened level moves with every tick: one that already stands about there is left."""
    if kept == wanted or kept is None or now is None:
        return kept
    return now if abs(now - kept) <= room else kept


def _told(wanted: Wanted, kept: Wanted) -> Numbers:
    """The levels as they will be sent, and as they were wanted where that differs."""
    numbers = {"stop_loss": str(kept[0]), "take_profit": str(kept[1])}
    if kept[0] != wanted[0]:
        numbers["stop_loss_wanted"] = str(wanted[0])
    if kept[1] != wanted[1]:
        numbers["take_profit_wanted"] = str(wanted[1])
    return numbers


def _tick(spec: SymbolSpec) -> Decimal:
    return spec.tick_size if spec.tick_size > 0 else point_of(spec)
