"""How many lots a slave opens: trading rules §2. Pure; every number that went in comes out as well.

raw lots by mode → × contract ratio → × refiner → floored to the step → minimum, maximum, limit.
Volumes are floored, never rounded up: a copy must not risk more than its rule says.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from copypro.codes import Denial, denied
from copypro.messages import Numbers, OpenCopy, PlacePendingCopy
from copypro.options import CopierOptions, RiskType
from copypro.trading import Figures, Quote, SymbolSpec
from copypro.values import Lots, Price, Side
from msgspec import Struct

from copypro_account_watcher.symbols import Rates, rate_of
from copypro_account_watcher.targets import floor_to_step

FORCE_MIN_CAP = Decimal("1.5")
"""forceMinLot lifts to the minimum only while that risks at most this many times what was meant."""
MOST_LOTS = Decimal(100_000)
"""More than any broker's maximum: a volume above it is a mistake, not a size."""


class Slave(Struct, frozen=True, kw_only=True):
    """The slave at this moment, in its own currency and its own symbol's terms."""

    figures: Figures
    currency: str
    spec: SymbolSpec
    quote: Quote
    rates: Rates
    open_lots_same_direction: Lots = Decimal(0)


class Sized(Struct, frozen=True):
    lots: Lots
    numbers: Numbers


def size(
    order: OpenCopy | PlacePendingCopy, slave: Slave, stop_loss: Price | None, entry: Price
) -> Sized | Denial:
    """The volume to open with, valid for the symbol; or the refusal with its numbers.

    `stop_loss` is the final stop on the slave, `entry` its executable price; both matter only for
    risk by stop.
    """
    mapped = order.mapping.slave_lots if order.mapping is not None else None
    if mapped is not None and mapped > 0:
        raw: Lots | Denial = mapped
        numbers = {"rule": "mapping", "slave_lots": str(mapped)}
    else:
        numbers = {}
        raw = _raw_lots(order, slave, stop_loss, entry, numbers)
    if isinstance(raw, Denial):
        return raw
    if not raw.is_finite() or raw <= 0 or raw > MOST_LOTS:
        return denied("INVALID_VOLUME", **numbers, raw_lots=raw)
    numbers["raw_lots"] = _text(raw)
    return _fit(raw, order.options, slave, numbers)


def _raw_lots(
    order: OpenCopy | PlacePendingCopy,
    slave: Slave,
    stop_loss: Price | None,
    entry: Price,
    numbers: Numbers,
) -> Lots | Denial:
    options = order.options
    rule, factor = options.risk_type, options.risk_value
    if options.risk_multiply is not None:
        rule, factor = RiskType.BALANCE_MULTIPLIER, options.risk_multiply
        if options.fixed_master_balance > 0:
            rule = RiskType.FIXED_BALANCE_MULTIPLIER
    numbers["rule"], numbers["risk_value"] = rule.value, str(factor)
    numbers["master_lots"] = str(order.lots)
    if not factor.is_finite() or factor <= 0:
        return denied("INVALID_VOLUME", **numbers)
    if rule is RiskType.FIXED_LOT:
        return factor * options.lot_refiner
    if rule is RiskType.FIXED_RISK:
        raw = _by_risk(factor, slave, stop_loss, entry, _side(order).sign, numbers)
        return raw if isinstance(raw, Denial) else raw * options.lot_refiner
    ratio = _ratio(rule, order, slave, numbers)
    if isinstance(ratio, Denial):
        return ratio
    contract = _contract_ratio(order, slave, options)
    if isinstance(contract, Denial):
        return contract
    numbers["contract_ratio"], numbers["ratio"] = _text(contract), _text(ratio)
    numbers["lot_refiner"] = str(options.lot_refiner)
    return order.lots * contract * factor * ratio * options.lot_refiner


def _contract_ratio(
    order: OpenCopy | PlacePendingCopy, slave: Slave, options: CopierOptions
) -> Decimal | Denial:
    """S-1: lots of two brokers are comparable only through what one lot contains."""
    if not options.contract_alignment:
        return Decimal(1)
    master = order.context.spec
    if master is None or master.contract_size <= 0 or slave.spec.contract_size <= 0:
        return denied("SYMBOL_MISMATCH", symbol=slave.spec.name, check_contract="unknown")
    return master.contract_size / slave.spec.contract_size


def _ratio(
    rule: RiskType, order: OpenCopy | PlacePendingCopy, slave: Slave, numbers: Numbers
) -> Decimal | Denial:
    """Slave's money by master's, both in the master's currency; 1 for a plain multiplier."""
    if rule is RiskType.LOT_MULTIPLIER:
        return Decimal(1)
    context = order.context
    if rule is RiskType.EQUITY_MULTIPLIER:
        ours, theirs = slave.figures.equity, context.figures.equity
    else:
        ours, theirs = slave.figures.balance, context.figures.balance
    if rule is RiskType.FIXED_BALANCE_MULTIPLIER and order.options.fixed_master_balance > 0:
        theirs = order.options.fixed_master_balance
    numbers["slave_money"] = f"{ours} {slave.currency}"
    numbers["master_money"] = f"{theirs} {context.currency}"
    if not theirs.is_finite() or theirs <= 0:
        return denied("MASTER_BALANCE_UNKNOWN", **numbers)
    if not ours.is_finite() or ours <= 0:
        return denied("SLAVE_BALANCE_UNKNOWN", **numbers)
    rate = rate_of(slave.rates, slave.currency, context.currency)
    if rate is None:
        return denied("NO_CONVERSION_RATE", pair=f"{slave.currency}→{context.currency}", **numbers)
    numbers["rate"] = str(rate)
    return ours * rate / theirs


def _by_risk(
    percent: Decimal,
    slave: Slave,
    stop_loss: Price | None,
    entry: Price,
    side_sign: int,
    numbers: Numbers,
) -> Lots | Denial:
    """R × equity / loss per lot at the stop; the larger of the loss by contract and by tick value,
    since brokers' tick values are for one side and move with the rate (§2.3).
    """
    spec = slave.spec
    numbers["entry"], numbers["stop_loss"] = str(entry), str(stop_loss)
    if stop_loss is None or (entry - stop_loss) * side_sign <= 0:
        return denied("NO_STOP", **numbers)
    distance = abs(entry - stop_loss)
    losses: list[Decimal] = []
    rate = (
        rate_of(slave.rates, spec.profit_currency, slave.currency) if spec.profit_currency else None
    )
    if rate is not None:
        losses.append(distance * spec.contract_size * rate)
    if spec.tick_value is not None and spec.tick_size > 0:
        losses.append(distance / spec.tick_size * spec.tick_value)
    if not losses:
        pair = f"{spec.profit_currency}→{slave.currency}"
        return denied("NO_CONVERSION_RATE", pair=pair, **numbers)
    if slave.figures.equity <= 0:
        return denied("SLAVE_BALANCE_UNKNOWN", equity=slave.figures.equity, **numbers)
    loss_per_lot = max(losses)
    money = slave.figures.equity * percent / 100
    numbers["equity"] = f"{slave.figures.equity} {slave.currency}"
    numbers["risk_money"], numbers["loss_per_lot"] = _text(money), _text(loss_per_lot)
    return money / loss_per_lot


def _fit(raw: Lots, options: CopierOptions, slave: Slave, numbers: Numbers) -> Sized | Denial:
    """Floored to the step, inside minimum and maximum and the symbol's limit."""
    spec = slave.spec
    numbers |= {"lot_min": str(spec.lot_min), "lot_max": str(spec.lot_max)}
    numbers["lot_step"] = str(spec.lot_step)
    lots = floor_to_step(raw, spec.lot_step)
    highest = floor_to_step(spec.lot_max, spec.lot_step)
    if lots > highest:
        if not options.force_max_lot:
            return Denial("ABOVE_MAX_LOT", numbers)
        lots, numbers["forced"] = highest, "max"
    if lots < spec.lot_min:
        lowest = _smallest(spec)
        numbers["risk_at_minimum"] = _text(lowest / raw)
        if not options.force_min_lot or lowest > raw * FORCE_MIN_CAP:
            numbers["forced_cap"] = str(FORCE_MIN_CAP)
            return Denial("BELOW_MIN_LOT", numbers)
        lots, numbers["forced"] = lowest, "min"
    if spec.volume_limit is not None and spec.volume_limit > 0:
        numbers["volume_limit"] = str(spec.volume_limit)
        numbers["open_lots"] = str(slave.open_lots_same_direction)
        if slave.open_lots_same_direction + lots > spec.volume_limit:
            return Denial("VOLUME_LIMIT", numbers)
    lots = _plain(lots)
    numbers["lots"] = str(lots)
    return Sized(lots, numbers)


def _smallest(spec: SymbolSpec) -> Lots:
    """The smallest volume that is on the step and not below the minimum."""
    floor = floor_to_step(spec.lot_min, spec.lot_step)
    return floor if floor >= spec.lot_min else floor + spec.lot_step


def margin_check(
    lots: Lots, slave: Slave, required: Decimal | None, options: CopierOptions
) -> Denial | None:
    """§2.6: after the open, `reserve` of the equity must still be free.

    `required` None: the platform does not tell. Then it is estimated from contract size and margin
    divider with the reserve doubled, where both currencies are one; else the broker decides (its
    "not enough money" is a certain refusal).
    """
    figures, reserve = slave.figures, options.margin_reserve
    if required is None:
        required = _estimate(lots, slave)
        reserve *= 2
        if required is None:
            return None
    numbers = {
        "lots": str(lots),
        "required": _text(required),
        "free_margin": str(figures.free_margin),
        "equity": str(figures.equity),
        "reserve": str(reserve),
    }
    if figures.free_margin - required < reserve * figures.equity:
        return Denial("NOT_ENOUGH_MARGIN", numbers)
    used = figures.margin + required
    if options.min_margin_level is not None and used > 0:
        level = figures.equity / used * 100
        numbers["margin_level"] = _text(level)
        numbers["min_margin_level"] = str(options.min_margin_level)
        if level < options.min_margin_level:
            return Denial("MARGIN_LEVEL", numbers)
    return None


def _estimate(lots: Lots, slave: Slave) -> Decimal | None:
    spec = slave.spec
    if not spec.margin_divider or spec.margin_divider <= 0 or spec.margin_currency is None:
        return None
    base = lots * spec.contract_size / spec.margin_divider
    if spec.calculation not in (None, "Forex"):
        return base * slave.quote.ask if spec.margin_currency == slave.currency else None
    rate = rate_of(slave.rates, spec.margin_currency, slave.currency)
    if rate is None and spec.profit_currency == slave.currency:
        rate = slave.quote.ask
    return None if rate is None else base * rate


def _side(order: OpenCopy | PlacePendingCopy) -> Side:
    side = order.kind.side if isinstance(order, PlacePendingCopy) else order.side
    return side.opposite if order.options.reverse_copy else side


def _text(value: Decimal) -> str:
    """For people: eight digits behind the point are more than any volume or price needs."""
    try:
        return str(_plain(value.quantize(Decimal("1e-8"), ROUND_HALF_UP)))
    except InvalidOperation:
        return str(value)


def _plain(value: Decimal) -> Decimal:
    """Without needless zeros, never in exponent form."""
    plain = value.normalize()
    exponent = plain.as_tuple().exponent
    return plain.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else plain
