"""Which of the slave's symbols is the master's, and whether it really is: trading rules §5.

Pure. A name is never taken apart by a general pattern: an affix counts only when the slave's own
forex majors prove it, and whatever the name says, contract, currency and live price must agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from copypro.codes import Denial, denied
from copypro.messages import Numbers, OpenCopy, PlacePendingCopy
from copypro.options import RiskType, SymbolMapping
from copypro.trading import Quote, SymbolSpec
from msgspec import Struct

Rates = Mapping[tuple[str, str], Decimal]
"""fx(A→B) by (A, B): how many B one A is worth, at mid prices."""

MAJORS = (
    "EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD", "EURGBP", "EURJPY",
    "GBPJPY", "EURCHF", "AUDJPY",
)  # fmt: skip
MAJORS_NEEDED = 5
ALIASES = (
    ("GOLD", "XAUUSD"),
    ("SILVER", "XAGUSD"),
    ("US30", "DJ30", "WS30"),
    ("NAS100", "USTEC", "US100"),
    ("US500", "SPX500"),
    ("GER40", "DE40", "DAX40"),
    ("UK100", "FTSE100"),
    ("XTIUSD", "USOIL"),
    ("XBRUSD", "UKOIL"),
)
PRICE_TOLERANCE = Decimal("0.005")
PRICE_TOLERANCE_OTHER = Decimal("0.02")
TICK_VALUE_TOLERANCE = Decimal("0.02")
METALS = ("XAU", "XAG", "XPT", "XPD", "GOLD", "SILVER")


class Affix(Struct, frozen=True):
    prefix: str
    suffix: str


class Resolved(Struct, frozen=True):
    name: str
    how: str
    """mapping, exact or affix."""


@lru_cache(maxsize=256)
def _learned(names: tuple[str, ...]) -> Affix | None:
    groups: dict[Affix, set[str]] = {}
    for name in names:
        for major in MAJORS:
            at = name.upper().find(major)
            if at >= 0:
                affix = Affix(name[:at], name[at + len(major) :])
                groups.setdefault(affix, set()).add(major)
    proven = [affix for affix, majors in groups.items() if len(majors) >= MAJORS_NEEDED]
    return proven[0] if len(proven) == 1 else None


def learn_affix(names: Sequence[str]) -> Affix | None:
    """The prefix and suffix that at least five forex majors share, if only one such group exists."""
    return _learned(tuple(names))


def resolve(
    master_symbol: str, mapping: SymbolMapping | None, slave_names: Sequence[str]
) -> Resolved | Denial:
    """A person's mapping, the same name, or the slave's proven affix; aliases are only proposed."""
    known = set(slave_names)
    if mapping is not None:
        if mapping.slave_symbol in known:
            return Resolved(mapping.slave_symbol, "mapping")
        return denied("UNMAPPED_SYMBOL", symbol=master_symbol, mapped=mapping.slave_symbol)
    core = _core(master_symbol, slave_names)
    candidates = sorted(name for name in known if core is not None and name.upper() == core.upper())
    if master_symbol in known:
        return Resolved(master_symbol, "exact")
    same = sorted(name for name in known if name.upper() == master_symbol.upper())
    if len(same) == 1:
        return Resolved(same[0], "exact")
    if len(same) > 1:
        return denied("AMBIGUOUS_SYMBOL", symbol=master_symbol, candidates=", ".join(same))
    if len(candidates) == 1:
        return Resolved(candidates[0], "affix")
    if len(candidates) > 1:
        return denied("AMBIGUOUS_SYMBOL", symbol=master_symbol, candidates=", ".join(candidates))
    alike = sorted(name for name in known if master_symbol.upper() in name.upper())
    if len(alike) > 1:
        return denied("AMBIGUOUS_SYMBOL", symbol=master_symbol, candidates=", ".join(alike[:5]))
    proposal = alike or _proposed(master_symbol, known)
    return denied("UNMAPPED_SYMBOL", symbol=master_symbol, proposal=", ".join(proposal) or "none")


def _core(master_symbol: str, slave_names: Sequence[str]) -> str | None:
    """The name with the slave's affix around it; a master's own affix is taken off only where a
    forex major shows it.
    """
    affix = learn_affix(slave_names)
    if affix is None:
        return None
    core = next((major for major in MAJORS if major in master_symbol.upper()), master_symbol)
    return f"{affix.prefix}{core}{affix.suffix}"


def _proposed(master_symbol: str, known: set[str]) -> list[str]:
    group = next((group for group in ALIASES if master_symbol.upper() in group), ())
    return sorted(name for name in known if name.upper() in group)


# --- is it the same thing? ---------------------------------------------------------------------


def check_pair(
    order: OpenCopy | PlacePendingCopy,
    spec: SymbolSpec,
    quote: Quote,
    how: str,
    currency: str,
    rates: Rates,
) -> Numbers | Denial:
    """Pass, fail or unknown for each check of §5.2; contract size and live price must pass, the
    others must not fail. A person's mapping confirms a difference of class, of currency, or of
    tick value; a price that is off stays a refusal unless mapped.
    """
    master = order.context
    checks: dict[str, str] = {}
    numbers: dict[str, object] = {"symbol": spec.name, "how": how}
    other = master.spec
    if other is None or other.contract_size <= 0 or spec.contract_size <= 0:
        return denied("SYMBOL_MISMATCH", **numbers, check_contract="unknown")
    numbers["master_contract_size"] = other.contract_size
    numbers["slave_contract_size"] = spec.contract_size
    checks["check_contract"] = "pass"
    checks["check_profit_currency"] = _same(other.profit_currency, spec.profit_currency)
    checks["check_margin_currency"] = _same(other.margin_currency, spec.margin_currency)
    checks["check_class"] = _same(other.calculation, spec.calculation)
    checks["check_tick_value"] = _tick_value(spec, currency, rates, numbers)
    checks["check_price"] = _price(_master_price(order), quote, other, numbers)
    failed = [name for name, result in checks.items() if result == "fail"]
    numbers.update(checks)
    if failed and how != "mapping":
        return denied("SYMBOL_MISMATCH", **numbers, failed=", ".join(failed))
    return {name: str(value) for name, value in numbers.items()}


def _same(one: str | None, other: str | None) -> str:
    if not one or not other:
        return "unknown"
    return "pass" if one.upper() == other.upper() else "fail"


def _master_price(order: OpenCopy | PlacePendingCopy) -> Decimal | None:
    """The master's market: the quote of its look, or where it has just been filled itself."""
    if order.context.quote is not None:
        return order.context.quote.mid
    if isinstance(order, OpenCopy) and not order.joined:
        return order.master_price
    return None


def _price(
    master: Decimal | None, slave: Quote, spec: SymbolSpec, numbers: dict[str, object]
) -> str:
    """Unknown only for a trade that was open before anybody looked."""
    if master is None or master <= 0:
        return "unknown"
    off = abs(slave.mid / master - 1)
    name = spec.name.upper()
    forex = spec.calculation == "Forex" or any(major in name for major in MAJORS)
    narrow = forex or any(metal in name for metal in METALS)
    tolerance = PRICE_TOLERANCE if narrow else PRICE_TOLERANCE_OTHER
    numbers["price_off"] = round(off, 6)
    numbers["price_tolerance"] = tolerance
    return "pass" if off < tolerance else "fail"


def _tick_value(spec: SymbolSpec, currency: str, rates: Rates, numbers: dict[str, object]) -> str:
    """S-4: what a tick should be worth by the contract, against what the broker says."""
    if not spec.tick_value or not spec.profit_currency:
        return "unknown"
    rate = rate_of(rates, spec.profit_currency, currency)
    if rate is None:
        return "unknown"
    expected = spec.contract_size * spec.tick_size * rate
    if expected <= 0:
        return "unknown"
    numbers["tick_value"], numbers["tick_value_expected"] = spec.tick_value, round(expected, 6)
    return "pass" if abs(spec.tick_value / expected - 1) <= TICK_VALUE_TOLERANCE else "fail"


# --- conversions -------------------------------------------------------------------------------


def rate_of(rates: Rates, source: str, target: str) -> Decimal | None:
    return Decimal(1) if source == target else rates.get((source, target))


def conversions(
    order: OpenCopy | PlacePendingCopy, spec: SymbolSpec, slave_currency: str
) -> set[tuple[str, str]]:
    """The rates that sizing and the checks of this order use."""
    options, wanted = order.options, set()
    ratio = {
        RiskType.BALANCE_MULTIPLIER,
        RiskType.EQUITY_MULTIPLIER,
        RiskType.FIXED_BALANCE_MULTIPLIER,
    }
    if options.risk_type in ratio or options.risk_multiply is not None:
        wanted.add((slave_currency, order.context.currency))
    if spec.profit_currency:
        wanted.add((spec.profit_currency, slave_currency))
    return {(source, target) for source, target in wanted if source != target}


def conversion_symbols(pair: tuple[str, str], slave_names: Sequence[str]) -> list[tuple[str, bool]]:
    """The slave's symbols whose quotes multiply to the rate, each with whether it is inverted:
    direct, inverse, or through USD; empty if the broker quotes none of them.
    """
    source, target = pair
    for path in (((source, target),), ((source, "USD"), ("USD", target))):
        found = [_quoted(one, other, slave_names) for one, other in path if one != other]
        if found and all(step is not None for step in found):
            return [step for step in found if step is not None]
    return []


def _quoted(source: str, target: str, names: Sequence[str]) -> tuple[str, bool] | None:
    affix = learn_affix(names) or Affix("", "")
    known = {name.upper(): name for name in names}
    for name, inverse in ((f"{source}{target}", False), (f"{target}{source}", True)):
        for spelled in (f"{affix.prefix}{name}{affix.suffix}", name):
            if spelled.upper() in known:
                return known[spelled.upper()], inverse
    return None
