"""From the master's open to a request that the slave's broker can fill, or to the reason why not.

Pure. Checks go from what is known to what must be read: symbol, terms of trade, price, stops,
volume, margin. Every number that went into the decision goes into the attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.codes import Denial, denied
from copypro.messages import Numbers, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions, MagicMode, RiskType
from copypro.trading import OpenRequest, Quote, SymbolSpec, TradeMode
from copypro.values import Lots, Mode, OrderKind, Side
from msgspec import Struct
from msgspec.structs import replace

from copypro_account_watcher.planned import levels as stops
from copypro_account_watcher.planned import sizing, symbols
from copypro_account_watcher.planned.live import (
    Live,
    Need,
    NeedFigures,
    NeedList,
    NeedMargin,
    NeedNames,
    NeedQuote,
    NeedRate,
    NeedSpec,
)
from copypro_account_watcher.planned.worth import worth
from copypro_account_watcher.seen.costs import Known, cost_of
from copypro_account_watcher.state import Copy, Leg

_ALLOWED = {
    TradeMode.FULL: (Side.BUY, Side.SELL),
    TradeMode.LONG_ONLY: (Side.BUY,),
    TradeMode.SHORT_ONLY: (Side.SELL,),
}


MOST_POINTS = 2**31 - 1
"""What MT4 has room for."""
AS_BEFORE = "copy"
"""How a symbol was found: it is that of the legs before."""


class Opening(Struct, frozen=True, kw_only=True):
    request: OpenRequest
    numbers: Numbers
    quote: Quote


class Market(Struct, frozen=True, kw_only=True):
    """The slave's symbol as it trades now, with what proves that it is the master's."""

    symbol: str
    how: str
    spec: SymbolSpec
    quote: Quote
    slave: sizing.Slave
    checks: Numbers


def plan_open(
    copy: Copy, leg: Leg, order: OpenCopy, live: Live
) -> Opening | Denial | tuple[Need, ...]:
    """The request, the refusal, or what must be read first."""
    if (order.stop_loss, order.take_profit) != (copy.stop_loss, copy.take_profit):
        # The master moved them while this waited.
        order = replace(order, stop_loss=copy.stop_loss, take_profit=copy.take_profit)
        leg.order = order
    if copy.standing and copy.mapping is not None and not _is_mapped_so(copy, order):
        order = replace(order, mapping=copy.mapping)
    found = find_market(copy, order, live)
    if not isinstance(found, Market):
        return found
    if found.how == AS_BEFORE:
        order = replace(order, mapping=None)  # its lots are another symbol's
    quote, spec = found.quote, found.spec
    side = copy.side
    entry = quote.to_open(side)
    age_s = max(0.0, (live.now - order.seen_at_utc).total_seconds())
    # That of a mirrored order is of when it was placed: the market is another one by now.
    fixed = leg.offset if leg.placed_by is None else None
    levels = stops.levels(order, spec, quote, master_quote_age_s=age_s, offset=fixed)
    if isinstance(levels, Denial):
        return levels
    slippage = stops.slippage_check(order, side, quote, levels.offset)
    if isinstance(slippage, Denial):
        return slippage
    share = copy.fraction / order.fraction
    sized = sizing.size(order, found.slave, levels.wanted_stop_loss, entry, share)
    if isinstance(sized, Denial):
        return sized
    kind = OrderKind(side.value)
    margin = check_margin(kind, sized.lots, found, order.options, live)
    if not isinstance(margin, dict):
        return margin
    copy.symbol, copy.mapping = found.symbol, order.mapping
    leg.offset, leg.master_price = levels.offset, order.master_price
    leg.base = copy.fraction  # what the master closed before is not in our volume
    request = OpenRequest(
        symbol=found.symbol,
        kind=kind,
        lots=sized.lots,
        comment=leg.tag,
        magic=magic_of(order),
        price=entry,
        slippage_points=slippage_points(slippage, spec),
        stop_loss=None if copy.bare_open else levels.stop_loss,
        take_profit=None if copy.bare_open else levels.take_profit,
    )
    numbers = {
        "symbol": found.symbol,
        "symbol_by": found.how,
        **found.checks,
        **levels.numbers,
        **slippage,
        **sized.numbers,
        **margin,
        **worth(found.slave),
    }
    return Opening(request=request, numbers=numbers, quote=quote)


def find_market(
    copy: Copy, order: OpenCopy | PlacePendingCopy, live: Live
) -> Market | Denial | tuple[Need, ...]:
    """The slave's symbol for the master's, checked to be the same thing and free to be traded."""
    if live.names is None:
        return (NeedNames(),)
    resolved = _symbol(copy, order, live.names)
    if isinstance(resolved, Denial):
        return live.renew_names() or resolved
    name = resolved.name
    off = live.refuses_symbol(copy.registration, name)
    if off is not None:
        return off
    spec, quote, figures = live.spec(name), live.quote(name), live.figures()
    needs: list[Need] = []
    if spec is None:
        needs.append(NeedSpec(name))
    if quote is None:
        needs.append(NeedQuote(name))
    if figures is None:
        needs.append(NeedFigures())
    if spec is None or quote is None or figures is None:
        return tuple(needs)
    rates, wanted = _rates(order, spec, live)
    if wanted:
        return tuple(wanted)
    refused = _may_trade(copy, spec) or _alone_on_netting(copy, name, live)
    if refused is not None:
        return refused
    checks = symbols.check_pair(
        order.context,
        spec,
        quote,
        resolved.how,
        live.currency,
        rates,
        master_price=stops.measured_from(order) if isinstance(order, OpenCopy) else None,
    )
    if isinstance(checks, Denial):
        # A tick value moves with the market: only fresh terms may refuse.
        return checks if live.has_fresh_spec(name) else live.renew_spec(name)
    cost = _cost(order, name, live)
    slave = sizing.Slave(
        figures=figures,
        currency=live.currency,
        spec=spec,
        quote=quote,
        rates=rates,
        open_lots_same_direction=_open_lots(copy, spec, live),
        cost_per_lot=cost.per_lot,
        cost_by=cost.by,
    )
    return Market(symbol=name, how=resolved.how, spec=spec, quote=quote, slave=slave, checks=checks)


def _is_mapped_so(copy: Copy, order: OpenCopy) -> bool:
    """To the copy's own symbol, if perhaps with other lots."""
    return order.mapping is not None and order.mapping.slave_symbol == copy.symbol


def _symbol(
    copy: Copy, order: OpenCopy | PlacePendingCopy, names: Sequence[str]
) -> symbols.Resolved | Denial:
    """What stands keeps its symbol, whatever the master's is mapped to by now."""
    found = symbols.resolve(order.symbol, order.mapping, names)
    is_it = isinstance(found, symbols.Resolved) and found.name == copy.symbol
    return symbols.Resolved(copy.symbol, AS_BEFORE) if copy.standing and not is_it else found


def _open_lots(copy: Copy, spec: SymbolSpec, live: Live) -> Lots:
    """Of this symbol and side: what its volume limit counts, where it has one."""
    if spec.volume_limit is None:
        return Decimal(0)
    return sum(
        (
            position.lots
            for position in live.positions.values()
            if position.symbol == spec.name and position.kind.side is copy.side
        ),
        Decimal(0),
    )


def _cost(order: OpenCopy | PlacePendingCopy, symbol: str, live: Live) -> Known:
    """Of a lot, for the one rule that counts it."""
    if order.options.risk_type is not RiskType.FIXED_RISK:
        return Known()
    return cost_of(symbol, live.costs, live.positions.values())


def _rates(
    order: OpenCopy | PlacePendingCopy, spec: SymbolSpec, live: Live
) -> tuple[dict[tuple[str, str], Decimal], list[Need]]:
    """The conversions that sizing and the checks need: as rates, or as quotes still to be read.

    A pair that the slave's broker does not quote is left out: sizing refuses by name.
    """
    assert live.names is not None
    rates: dict[tuple[str, str], Decimal] = {}
    needs: list[Need] = []
    for pair in symbols.conversions(order, spec, live.currency):
        path = symbols.conversion_symbols(pair, live.names)
        mids = {name: live.mid(name) for name, _ in path}
        lacking = [NeedRate(name) for name, mid in mids.items() if mid is None]
        if lacking:
            needs.extend(need for need in lacking if not live.is_unavailable(need))
            continue
        if not path:
            continue
        rate = Decimal(1)
        for name, inverse in path:
            mid = mids[name]
            assert mid is not None
            rate = rate / mid if inverse else rate * mid
        rates[pair] = rate
    return rates, needs


def _may_trade(copy: Copy, spec: SymbolSpec) -> Denial | None:
    if copy.side in _ALLOWED.get(spec.trade_mode, ()):
        return None
    return denied("TRADE_DISABLED", symbol=spec.name, mode=spec.trade_mode.value, side=copy.side)


def _alone_on_netting(copy: Copy, symbol: str, live: Live) -> Denial | tuple[Need, ...] | None:
    """A netting position has one stop and one owner: it must be this copy's alone, or none."""
    if live.mode is not Mode.NETTING:
        return None
    holder = live.held.get(symbol)
    if holder is not None and holder != copy.copy:
        return denied("NETTING_SHARED", symbol=symbol, copy=holder)
    open_legs = copy.open_legs
    ours = {leg.ticket for leg in open_legs}
    for position in live.positions.values():
        if position.symbol == symbol and not position.kind.is_pending:
            if position.ticket in live.just_ended:
                return (NeedFigures(),)
            held = sum((leg.lots for leg in open_legs), Decimal(0))
            if position.ticket in ours and position.lots == held:
                continue
            is_awaited = any(leg.is_extra and leg.due_lots > 0 for leg in copy.legs)
            if position.ticket in live.just_changed or (position.ticket in ours and is_awaited):
                return (NeedList(),)  # this one is perhaps of before our last call
            return denied("NETTING_SHARED", symbol=symbol, ticket=position.ticket)
    return None


def check_margin(
    kind: OrderKind, lots: Decimal, found: Market, options: CopierOptions, live: Live
) -> Numbers | Denial | tuple[Need, ...]:
    known, per_lot = live.margin_per_lot(found.symbol, kind.side)
    if not known:
        need = NeedMargin(found.symbol, kind, lots)
        if not live.is_unavailable(need):
            return (need,)
    required = None if per_lot is None else per_lot * lots
    refused = sizing.margin_check(lots, found.slave, required, options)
    if refused is not None:
        return refused
    return {"margin_required": "unknown" if required is None else f"{required:.2f}"}


def magic_of(wanted: Copy | OpenCopy | PlacePendingCopy) -> int:
    """What is opened for it has this one."""
    is_custom = wanted.options.copy_magic_number is MagicMode.CUSTOM
    return wanted.options.magic_number if is_custom else wanted.magic


def slippage_points(numbers: Numbers, spec: SymbolSpec) -> int:
    """What a broker of the Instant kind may deviate by: the same limit as checked before sending."""
    return min(int(Decimal(numbers["max_slippage"]) / stops.point_of(spec)), MOST_POINTS)
