"""How many lots a slave opens. Pure; every number that went in comes out as well.

raw lots by mode → × contract ratio → × refiner → floored to the step → minimum, maximum, limit.
Volumes are floored, never rounded up: a copy must not risk more than its rule says.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from copypro.codes import Denial, denied
from copypro.messages import Numbers, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions, RiskType
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import LARGEST, Lots, Price, Side
from msgspec import Struct

from copypro_account_watcher.planned.levels import room_of
from copypro_account_watcher.planned.symbols import (
    Rates,
    is_margined_in_itself,
    profit_currency_of,
    rate_of,
)
from copypro_account_watcher.planned.targets import floor_to_step, smallest_lots

FORCE_MIN_CAP = Decimal("1.5")
"""forceMinLot lifts to the minimum only while that risks at most this many times what was meant."""
MOST_LOTS = Decimal(100_000)
"""More than any broker's maximum: a volume above it is a mistake, not a size."""
BY_UNTOLD_AMOUNTS = ("Futures", "CfdIndex")
"""Margin calculations by an initial margin or a tick's price, neither of which MT4's bridge tells."""
TICKS_DIFFER_BY = Decimal("0.1")
"""A tick's value moves with the rate and is of one side; by more than this it says another contract."""
_EIGHT_PLACES = Decimal("1e-8")
SMALLEST = 1 / LARGEST**2
"""Nothing is meant to be smaller than this: by the least that a client may write, a quotient is no number any more."""


class Slave(Struct, frozen=True, kw_only=True):
    """The slave at this moment, in its own currency and its own symbol's terms."""

    figures: Figures
    currency: str
    spec: SymbolSpec
    quote: Quote
    rates: Rates
    open_lots_same_direction: Lots = Decimal(0)
    """Open, pending and in flight, of this symbol and side: what a volume limit counts."""
    cost_per_lot: Decimal = Decimal(0)
    """Commission of one lot, opened and closed, in the account's currency, as far as it is known."""
    cost_by: str = "none"
    """From what: a trade that closed, one that is open, or none."""


class Sized(Struct, frozen=True):
    """`numbers` hold every input and intermediate by name: the volume can be recomputed from them."""

    lots: Lots
    numbers: Numbers


def size(
    order: OpenCopy | PlacePendingCopy,
    slave: Slave,
    stop_loss: Price | None,
    entry: Price,
    share: Decimal = Decimal(1),
) -> Sized | Denial:
    """The volume to open with, valid for the symbol; or the refusal with its numbers.

    `stop_loss` is the stop on the slave, before it is widened to what the broker takes: one that has to
    be is too near to size by. `entry` is its executable price (what a pending order fills at); both
    matter only for risk by stop. `share`: what the master has left of the order's lots. Denials:
    INVALID_VOLUME for anything that is no volume at all, BELOW_MIN_LOT, ABOVE_MAX_LOT, VOLUME_LIMIT,
    and what a rule needs but nobody knows (NO_STOP, STOPS_TOO_CLOSE, NO_CONVERSION_RATE,
    …_BALANCE_UNKNOWN, SYMBOL_MISMATCH).
    """
    numbers: Numbers = {}
    raw = _raw_lots(order, slave, stop_loss, entry, numbers)
    if isinstance(raw, Denial):
        return raw
    if share != 1:
        raw, numbers["share_left"] = raw * share, _text(share)
    numbers["raw_lots"] = _text(raw)
    if not 0 < raw <= MOST_LOTS:
        return Denial("INVALID_VOLUME", numbers)
    return _fit(raw, order.options, slave, numbers)


def _raw_lots(
    order: OpenCopy | PlacePendingCopy,
    slave: Slave,
    stop_loss: Price | None,
    entry: Price,
    numbers: Numbers,
) -> Lots | Denial:
    """As the rule says: no broker's step or limit is in it yet."""
    options = order.options
    mapped = order.mapping.slave_lots if order.mapping is not None else None
    if mapped is not None and mapped != 0:
        numbers["rule"], numbers["slave_lots"] = "mapping", str(mapped)
        return mapped if _is_usable(mapped) else Denial("INVALID_VOLUME", numbers)
    rule, factor = _rule(options)
    numbers["rule"], numbers["risk_value"] = rule.value, str(factor)
    numbers["master_lots"], numbers["lot_refiner"] = str(order.lots), str(options.lot_refiner)
    if not _is_usable(factor) or not _is_usable(options.lot_refiner):
        return Denial("INVALID_VOLUME", numbers)
    factor *= options.lot_refiner
    if rule is RiskType.FIXED_LOT:
        return factor
    if rule is RiskType.FIXED_RISK:
        return _by_risk(factor, slave, stop_loss, entry, _side(order), numbers)
    if not _is_usable(order.lots) or order.lots > MOST_LOTS:
        return Denial("INVALID_VOLUME", numbers)
    contract = _contract_ratio(order, slave, numbers)
    if isinstance(contract, Denial):
        return contract
    ratio = _ratio(rule, order, slave, numbers)
    if isinstance(ratio, Denial):
        return ratio
    # One division, at the end: what divides evenly stays exact.
    over = order.lots * factor * contract[0] * ratio[0]
    return over / (contract[1] * ratio[1])


def _rule(options: CopierOptions) -> tuple[RiskType, Decimal]:
    """riskMultiply, obsolete, overrides the risk model when set."""
    if options.risk_multiply is None:
        return options.risk_type, options.risk_value
    fixed = options.fixed_master_balance != 0
    rule = RiskType.FIXED_BALANCE_MULTIPLIER if fixed else RiskType.BALANCE_MULTIPLIER
    return rule, options.risk_multiply


Ratio = tuple[Decimal, Decimal]
"""(over, under), both above zero."""


def _contract_ratio(
    order: OpenCopy | PlacePendingCopy, slave: Slave, numbers: Numbers
) -> Ratio | Denial:
    """Lots of two brokers are comparable only through what one lot contains."""
    if not order.options.contract_alignment:
        numbers["contract_ratio"] = "1"
        return Decimal(1), Decimal(1)
    master = order.context.spec
    theirs, ours = None if master is None else master.contract_size, slave.spec.contract_size
    numbers["master_contract_size"] = "unknown" if theirs is None else str(theirs)
    numbers["slave_contract_size"] = str(ours)
    if master is None or theirs is None or not _is_usable(theirs) or not _is_usable(ours):
        return denied("SYMBOL_MISMATCH", symbol=slave.spec.name, **numbers)
    their_ticks = _by_ticks(master, theirs, order.context.currency, slave.rates)
    our_ticks = _by_ticks(slave.spec, ours, slave.currency, slave.rates)
    if theirs * our_ticks > their_ticks * ours * (1 + TICKS_DIFFER_BY):
        theirs, ours = their_ticks, our_ticks
        numbers["master_contract_by_ticks"] = _text(theirs)
        numbers["slave_contract_by_ticks"] = _text(ours)
    numbers["contract_ratio"] = _text(theirs / ours)
    return theirs, ours


def _by_ticks(spec: SymbolSpec, contract: Decimal, currency: str, rates: Rates) -> Decimal:
    """What a lot gains when the price moves by 1.0, in the currency of its profit, where its ticks say more
    than its contract, which does not tell it of a future. Only a mapping lets a symbol pass that says
    two things. What makes fewer lots counts then, as for the loss at a stop.
    """
    profit = profit_currency_of(spec)
    rate = rate_of(rates, profit, currency) if profit else None
    if rate is None or spec.tick_value is None or spec.tick_size <= 0:
        return contract
    by_ticks = spec.tick_value / spec.tick_size / rate
    is_more = _is_usable(by_ticks) and by_ticks > contract * (1 + TICKS_DIFFER_BY)
    return by_ticks if is_more else contract


def _ratio(
    rule: RiskType, order: OpenCopy | PlacePendingCopy, slave: Slave, numbers: Numbers
) -> Ratio | Denial:
    """Slave's money by master's, both in the master's currency; 1 for a plain multiplier.

    A balance of zero is one that is not synchronised yet: it is never divided by.
    """
    if rule is RiskType.LOT_MULTIPLIER:
        return Decimal(1), Decimal(1)
    context = order.context
    if rule is RiskType.EQUITY_MULTIPLIER:
        ours, theirs = slave.figures.equity, context.figures.equity
    else:
        ours, theirs = slave.figures.balance, context.figures.balance
    if rule is RiskType.FIXED_BALANCE_MULTIPLIER and order.options.fixed_master_balance != 0:
        theirs = order.options.fixed_master_balance
    numbers["slave_money"] = f"{ours} {slave.currency}"
    numbers["master_money"] = f"{theirs} {context.currency}"
    if not _is_usable(theirs):
        return Denial("MASTER_BALANCE_UNKNOWN", numbers)
    if not _is_usable(ours):
        return Denial("SLAVE_BALANCE_UNKNOWN", numbers)
    rate = rate_of(slave.rates, slave.currency, context.currency)
    if rate is None:
        return denied("NO_CONVERSION_RATE", pair=f"{slave.currency}→{context.currency}", **numbers)
    numbers["rate"] = str(rate)
    numbers["ratio"] = _text(ours * rate / theirs)
    return ours * rate, theirs


def _by_risk(
    percent: Decimal,
    slave: Slave,
    stop_loss: Price | None,
    entry: Price,
    side: Side,
    numbers: Numbers,
) -> Lots | Denial:
    """Percent of equity / loss of one lot at the stop."""
    numbers["entry"], numbers["stop_loss"] = str(entry), str(stop_loss)
    if stop_loss is None or (entry - stop_loss) * side.sign <= 0:
        return Denial("NO_STOP", numbers)
    spec, distance = slave.spec, abs(entry - stop_loss)
    nearest = slave.quote.ask - slave.quote.bid + room_of(spec, slave.quote)
    if distance < nearest:
        # So near a stop is noise, and the volume that it asks for enormous.
        return denied("STOPS_TOO_CLOSE", distance=distance, nearest=nearest, **numbers)
    equity = slave.figures.equity
    numbers["equity"] = f"{equity} {slave.currency}"
    if not _is_usable(equity):
        return Denial("SLAVE_BALANCE_UNKNOWN", numbers)
    loss = _loss_per_lot(slave, distance, numbers)
    if loss is None:
        pair = f"{profit_currency_of(spec) or 'unknown'}→{slave.currency}"
        return denied("NO_CONVERSION_RATE", pair=pair, **numbers)
    cost = max(slave.cost_per_lot, Decimal(0))
    numbers["risk_money"] = _text(equity * percent / 100)
    numbers["loss_per_lot"] = _text(loss)
    numbers["cost_per_lot"], numbers["cost_by"] = _text(cost), slave.cost_by
    return equity * percent / (100 * (loss + cost))


def _loss_per_lot(slave: Slave, distance: Decimal, numbers: Numbers) -> Decimal | None:
    """In the account's currency; the larger of the loss by contract and the loss by tick value,
    since brokers' tick values are for one side and move with the rate. None where neither is known
    (MT4 tells neither; of a forex major the name does).
    """
    spec, losses = slave.spec, []
    numbers["slave_contract_size"] = str(spec.contract_size)
    profit = profit_currency_of(spec)
    if profit:
        rate = rate_of(slave.rates, profit, slave.currency)
        numbers["rate"] = "unknown" if rate is None else str(rate)
        if rate is not None:
            losses.append(distance * spec.contract_size * rate)
    if spec.tick_value is not None and spec.tick_size > 0:
        numbers["tick_value"], numbers["tick_size"] = str(spec.tick_value), str(spec.tick_size)
        losses.append(distance / spec.tick_size * spec.tick_value)
    loss = max(losses, default=Decimal(0))
    return loss if _is_usable(loss) else None


# --- what the symbol allows ----------------------------------------------------------------------


def _fit(raw: Lots, options: CopierOptions, slave: Slave, numbers: Numbers) -> Sized | Denial:
    """Floored to the step, inside minimum and maximum and the symbol's limit."""
    spec = slave.spec
    numbers |= {"lot_min": str(spec.lot_min), "lot_max": str(spec.lot_max)}
    numbers["lot_step"] = str(spec.lot_step)
    if spec.lot_step <= 0 or spec.lot_min <= 0:
        return Denial("INVALID_VOLUME", numbers)
    lowest, highest = smallest_lots(spec), floor_to_step(spec.lot_max, spec.lot_step)
    if highest < lowest:
        return Denial("INVALID_VOLUME", numbers)
    lots = floor_to_step(raw, spec.lot_step)
    numbers["floored_lots"] = _text(lots)
    if lots > highest:
        if not options.force_max_lot:
            return Denial("ABOVE_MAX_LOT", numbers)
        lots, numbers["forced"] = highest, "max"
    if lots < lowest:
        numbers["risk_at_minimum"] = _text(lowest / raw)
        if not options.force_min_lot:
            return Denial("BELOW_MIN_LOT", numbers)
        numbers["risk_cap"] = str(FORCE_MIN_CAP)
        if lowest > raw * FORCE_MIN_CAP:
            return Denial("BELOW_MIN_LOT", numbers)
        lots, numbers["forced"] = lowest, "min"
    if spec.volume_limit is not None and spec.volume_limit > 0:
        numbers["volume_limit"] = str(spec.volume_limit)
        numbers["open_lots"] = str(slave.open_lots_same_direction)
        if slave.open_lots_same_direction + lots > spec.volume_limit:
            return denied("VOLUME_LIMIT", **numbers, lots=_text(lots))
    lots = _plain(lots)
    numbers["lots"] = str(lots)
    return Sized(lots, numbers)


# --- margin ----------------------------------------------------------------------------------------


def margin_check(
    lots: Lots, slave: Slave, required: Decimal | None, options: CopierOptions
) -> Denial | None:
    """After the open, `margin_reserve` of the equity must still be free, and the margin level
    must not fall below its floor where one is set.

    `required`: the open's margin in the account's currency. None: the platform does not tell; then
    it is estimated from contract size and margin divider with the reserve doubled. Where that cannot
    be done only what is short before the open already is refused, and the broker decides of the rest
    (its "not enough money" is a certain refusal).
    """
    figures, reserve = slave.figures, options.margin_reserve
    estimated = required is None
    if required is None:
        required = _estimate(lots, slave)
        reserve *= 1 if required is None else 2
    is_known = required is not None and required.is_finite()
    needed = required if required is not None and is_known else Decimal(0)
    numbers = {
        "lots": str(lots),
        "required": _text(needed) if is_known else "unknown",
        "estimated": str(estimated and is_known).lower(),
        "free_margin": str(figures.free_margin),
        "equity": str(figures.equity),
        "reserve": str(reserve),
    }
    if figures.free_margin - needed < reserve * figures.equity:
        return Denial("NOT_ENOUGH_MARGIN", numbers)
    used = figures.margin + needed
    if options.min_margin_level is not None and used > 0:
        level = figures.equity / used * 100
        numbers["margin_level"] = _text(level)
        numbers["min_margin_level"] = str(options.min_margin_level)
        if level < options.min_margin_level:
            return Denial("MARGIN_LEVEL", numbers)
    return None


def _estimate(lots: Lots, slave: Slave) -> Decimal | None:
    """MT4's margin by its divider; None where a currency, the divider or the calculation says nothing.

    A divider of 1 is MetaTrader's "100 %", which the account's leverage still divides by an amount
    that symbols and hours change: no estimate.
    """
    spec = slave.spec
    if spec.margin_divider is None or spec.margin_divider <= 1 or not spec.margin_currency:
        return None
    calculation = spec.margin_calculation or spec.calculation or "Forex"
    if calculation in BY_UNTOLD_AMOUNTS:
        return None
    rate = rate_of(slave.rates, spec.margin_currency, slave.currency)
    if rate is None:
        return None
    units = lots * spec.contract_size / spec.margin_divider
    is_priced = calculation != "Forex" and not is_margined_in_itself(spec)
    return units * slave.quote.ask * rate if is_priced else units * rate


# --- the parts -------------------------------------------------------------------------------------


def _is_usable(value: Decimal) -> bool:
    """A number above zero that somebody could have meant: products and quotients of such cannot
    overflow.
    """
    return value.is_finite() and SMALLEST <= value <= LARGEST


def _side(order: OpenCopy | PlacePendingCopy) -> Side:
    side = order.kind.side if isinstance(order, PlacePendingCopy) else order.side
    return side.opposite if order.options.reverse_copy else side


def _text(value: Decimal) -> str:
    """For people: eight digits behind the point are more than any volume or price needs."""
    try:
        return f"{value.quantize(_EIGHT_PLACES, ROUND_HALF_UP).normalize():f}"
    except InvalidOperation:
        return str(value)


def _plain(value: Decimal) -> Decimal:
    """Without needless zeros, never in exponent form."""
    plain = value.normalize()
    exponent = plain.as_tuple().exponent
    return plain.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else plain
