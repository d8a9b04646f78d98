"""Which of the slave's symbols is the master's, and whether it really is.

Pure. A name is never taken apart by a general pattern: an affix counts only when the slave's own
forex majors prove it, and whatever the name says, contract, currency and live price must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from copypro.affixes import MAJORS, PAIRS, Affix, Names, learn_affix, names_of, proven
from copypro.codes import Denial, denied
from copypro.messages import Context, Numbers, OpenCopy, PlacePendingCopy
from copypro.options import RiskType, SymbolMapping
from copypro.trading import Quote, SymbolSpec
from copypro.values import Price
from msgspec import Struct

Rates = Mapping[tuple[str, str], Decimal]
"""fx(A→B) by (A, B): how many B one A is worth, at mid prices. Cents are no currency of their own."""

CENTS = {"USC": "USD", "EUC": "EUR", "GBX": "GBP", "ZAC": "ZAR"}
"""Units of a hundredth, as brokers name them: of cent accounts, and of shares quoted in pence."""
PENCE = "GBp"
"""Their other name, which only its last letter tells from pounds."""
SHORTEST_LOOK_ALIKE = 5
ALIASES = (
    ("GOLD", "XAUUSD"),
    ("SILVER", "XAGUSD"),
    ("US30", "DJ30", "DJI30", "WS30"),
    ("NAS100", "NDX100", "USTEC", "US100", "UT100"),
    ("US500", "SPX500", "SP500"),
    ("GER40", "DE40", "DAX40"),
    ("UK100", "FTSE100"),
    ("JP225", "JPN225", "NIK225"),
    ("XTIUSD", "USOIL", "WTI"),
    ("XBRUSD", "UKOIL", "BRENT"),
    ("XNGUSD", "NATGAS"),
)
HUBS = ("USD", "EUR")
"""Currencies by way of which a rate is found that the broker does not quote itself."""
BY_MONEY = (
    RiskType.BALANCE_MULTIPLIER,
    RiskType.EQUITY_MULTIPLIER,
    RiskType.FIXED_BALANCE_MULTIPLIER,
)
PRICE_TOLERANCE = Decimal("0.005")
PRICE_TOLERANCE_OTHER = Decimal("0.02")
PRICE_TOLERANCE_LOOSE = Decimal("0.2")
"""Not to be confirmed by anybody: further apart, the two prices are of another scale or thing."""
TICK_VALUE_TOLERANCE = Decimal("0.02")
METAL_CURRENCIES = ("XAU", "XAG", "XPT", "XPD")
QUOTED_IN = (
    "USD", "EUR", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "CNH", "CNY", "CZK", "DKK", "HKD",
    "HUF", "ILS", "INR", "KRW", "MXN", "NOK", "PLN", "RON", "RUB", "SAR", "SEK", "SGD", "THB",
    "TRY", "TWD", "ZAR", "BTC", "ETH",
)  # fmt: skip
"""What pairs are priced in: three letters behind a currency (USDIDX, EURBND) need not be another one."""
METALS = (*METAL_CURRENCIES, "GOLD", "SILVER")


class Resolved(Struct, frozen=True):
    name: str
    how: str
    """mapping, exact or affix."""


# --- by name -----------------------------------------------------------------------------------


def resolve(
    master_symbol: str, mapping: SymbolMapping | None, slave_names: Sequence[str]
) -> Resolved | Denial:
    """A person's mapping, the very same name, or the slave's proven affix around it.

    Aliases and look-alikes, other letter cases among them, are only proposed, in the refusal's
    numbers: `proposal`, or `candidates` where several could be meant.
    """
    names = names_of(slave_names)
    if mapping is not None:
        if _is_listed(mapping.slave_symbol, names):
            return Resolved(mapping.slave_symbol, "mapping")
        return denied("UNMAPPED_SYMBOL", symbol=master_symbol, mapped=mapping.slave_symbol)
    found = _by_name(master_symbol, names)
    if found is not None:
        return found
    alike = _alike(master_symbol, names)
    if len(alike) > 1:
        return denied("AMBIGUOUS_SYMBOL", symbol=master_symbol, candidates=", ".join(alike[:5]))
    proposal = alike or _aliases(master_symbol, names)[:5]
    return denied("UNMAPPED_SYMBOL", symbol=master_symbol, proposal=", ".join(proposal) or "none")


@lru_cache(maxsize=1024)
def _is_listed(name: str, names: Names) -> bool:
    return name in names


@lru_cache(maxsize=1024)
def _by_name(master_symbol: str, names: Names) -> Resolved | None:
    if master_symbol in names:
        return Resolved(master_symbol, "exact")
    affix = learn_affix(names)
    if affix is None:
        return None
    name = affix.around(_core(master_symbol))
    return Resolved(name, "affix") if name in names else None


def _core(master_symbol: str) -> str:
    """A forex pair without what the master's broker put around it; any other name as it is.

    A letter case or sign must show where the pair ends: EURUSDm and EURUSD.r are EURUSD with a
    suffix, but EURUSDT is another thing.
    """
    for pair in PAIRS:
        before, found, after = master_symbol.partition(pair)
        if found and not _belongs(before[-1:]) and not _belongs(after[:1]):
            return pair
    return master_symbol


def _belongs(letter: str) -> bool:
    return letter.isdigit() or letter.isupper()


@lru_cache(maxsize=1024)
def _alike(master_symbol: str, names: Names) -> tuple[str, ...]:
    """Those that differ in signs and letter case alone, or of which one stands in the other."""
    core = _plain(_core(master_symbol)) or master_symbol
    plain = {name: _plain(name) for name in names}
    found = (
        name
        for name, other in plain.items()
        if core in other or (len(other) >= SHORTEST_LOOK_ALIKE and other in core)
    )
    return tuple(sorted(found))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.upper() if letter.isalnum())


@lru_cache(maxsize=1024)
def _aliases(master_symbol: str, names: Names) -> tuple[str, ...]:
    affix = learn_affix(names) or Affix("", "")
    for group in ALIASES:
        spelled, own = _spelled(group), {affix.around(alias) for alias in group}
        if spelled.search(master_symbol):
            found = (name for name in set(names) if name in own or spelled.search(name))
            return tuple(sorted(found))
    return ()


@lru_cache(maxsize=len(ALIASES))
def _spelled(group: tuple[str, ...]) -> re.Pattern[str]:
    """One of these in a name, with no letter or digit beside it that would make it another."""
    after = {alias: "0-9" if alias[-1].isdigit() else "A-Z0-9" for alias in group}
    words = (f"(?i:{alias})(?![{letters}])" for alias, letters in after.items())
    return re.compile(f"(?<![A-Z0-9])(?:{'|'.join(words)})")


# --- is it the same thing? ---------------------------------------------------------------------


def check_pair(
    master: Context,
    spec: SymbolSpec,
    quote: Quote,
    how: str,
    currency: str,
    rates: Rates,
    *,
    master_price: Price | None = None,
) -> Numbers | Denial:
    """Pass, fail or unknown for each check, by name; `currency` is the slave account's.

    Contract sizes must be known and the live price must agree, the other checks must not fail. A
    person's mapping confirms a difference of currency, class or tick value, a price that cannot be
    compared, and one that is up to 20 % off (another expiry, another quote currency); further
    apart it is another scale or another thing, and nobody can confirm that.

    `master_price`: what the master has just been filled at, or its market where a trade is joined:
    fresher than its quote.
    """
    checks: dict[str, str] = {}
    numbers: dict[str, object] = {"symbol": spec.name, "how": how}
    other = master.spec
    if quote.bid <= 0 or quote.ask < quote.bid:
        return denied("STALE_QUOTE", symbol=spec.name, bid=quote.bid, ask=quote.ask)
    if other is None or not _is_size(other.contract_size) or not _is_size(spec.contract_size):
        return denied("SYMBOL_MISMATCH", **numbers, check_contract="unknown")
    numbers["master_contract_size"] = other.contract_size
    numbers["slave_contract_size"] = spec.contract_size
    checks["check_contract"] = "pass"
    checks["check_profit_currency"] = _same(other.profit_currency, spec.profit_currency)
    checks["check_base_currency"] = _same(_base_currency(other), _base_currency(spec))
    checks["check_class"] = _same(other.calculation, spec.calculation)
    checks["check_tick_value"] = _tick_value(spec, currency, rates, numbers)
    seen = master.quote.mid if master.quote is not None else None
    if master_price is not None:
        seen = master_price
    checks["check_price"] = _price(seen, quote, other, numbers, loose=how == "mapping")
    numbers.update(checks)
    failed = [name for name, result in checks.items() if result == "fail"]
    if how == "mapping":
        failed = [name for name in failed if name == "check_price"]
    elif checks["check_price"] == "unknown":
        failed.append("check_price")
    if failed:
        return denied("SYMBOL_MISMATCH", **numbers, failed=", ".join(failed))
    return {name: str(value) for name, value in numbers.items()}


def _is_size(size: Decimal) -> bool:
    return size.is_finite() and size > 0


def _same(one: str | None, other: str | None) -> str:
    if not one or not other:
        return "unknown"
    return "pass" if one.upper() == other.upper() else "fail"


def _base_currency(spec: SymbolSpec) -> str | None:
    """The base of a currency pair; None for everything else.

    No bridge tells it. The margin's currency is the base where the name goes on with the profit's,
    or holds a major; of gold and indices it only says in what the broker takes its margin.
    """
    return _base_in(spec.name.upper(), spec.margin_currency, spec.profit_currency)


@lru_cache(maxsize=1024)
def _base_in(name: str, margin_currency: str | None, profit_currency: str | None) -> str | None:
    base, profit = (margin_currency or "").upper(), (profit_currency or "").upper()
    if not base or base not in name:
        return None
    if any(major in name and major.startswith(base) for major in MAJORS):
        return base
    return base if profit and base + profit in name else None


def _price(
    master: Price | None,
    slave: Quote,
    spec: SymbolSpec,
    numbers: dict[str, object],
    *,
    loose: bool,
) -> str:
    if master is None or master <= 0:
        return "unknown"
    off = abs(slave.mid / master - 1)
    name = spec.name.upper()
    narrow = (
        spec.calculation == "Forex"
        or _base_currency(spec) is not None
        or any(core in name for core in (*MAJORS, *METALS))
    )
    tolerance = PRICE_TOLERANCE if narrow else PRICE_TOLERANCE_OTHER
    if loose:
        tolerance = PRICE_TOLERANCE_LOOSE
    numbers["price_off"] = round(off, 6)
    numbers["price_tolerance"] = tolerance
    return "pass" if off < tolerance else "fail"


def _tick_value(spec: SymbolSpec, currency: str, rates: Rates, numbers: dict[str, object]) -> str:
    """What a tick should be worth by the contract, against what the broker says."""
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


def is_margined_in_itself(spec: SymbolSpec) -> bool:
    """Its units are the margin's currency already, and the price is what one of them costs: a metal,
    or a name that goes on after that currency with another one (EURUSD, BTCUSD): with that of its
    profit where the bridge tells it.
    """
    base, profit = (spec.margin_currency or "").upper(), (spec.profit_currency or "").upper()
    if not base:
        return False
    after = spec.name.upper().partition(base)[2][:3]
    return base in METAL_CURRENCIES or after in ((profit,) if profit else QUOTED_IN)


def profit_currency_of(spec: SymbolSpec) -> str | None:
    """As the broker tells it; MT4 does not. There it follows from the name for a forex major that is
    margined in its base, and for nothing else.
    """
    if spec.profit_currency or spec.calculation != "Forex":
        return spec.profit_currency
    base, name = (spec.margin_currency or "").upper(), spec.name.upper()
    majors = {major for major in MAJORS if major in name and base and major.startswith(base)}
    return majors.pop()[3:] if len(majors) == 1 else None


# --- conversions -------------------------------------------------------------------------------


def rate_of(rates: Rates, source: str, target: str) -> Decimal | None:
    """What one unit of `source` is worth in `target`; None where `rates` do not tell, never a guess.

    A hundred cents are one of their currency by definition, so that cent accounts need no quote. What
    no bridge tells ("") is no currency: two accounts without one need not have the same.
    """
    if not source or not target:
        return None
    (whole_source, part), (whole_target, whole) = _whole(source), _whole(target)
    if whole_source == whole_target:
        return part / whole
    rate = rates.get((whole_source, whole_target))
    if rate is None or not rate.is_finite() or rate <= 0:
        return None
    return rate * part / whole


@lru_cache(maxsize=1024)
def _whole(currency: str) -> tuple[str, Decimal]:
    """The currency that a unit belongs to, and what the unit is worth in it."""
    name = "GBX" if currency == PENCE else currency.upper()
    return (CENTS[name], Decimal("0.01")) if name in CENTS else (name, Decimal(1))


def conversions(
    order: OpenCopy | PlacePendingCopy, spec: SymbolSpec, slave_currency: str
) -> set[tuple[str, str]]:
    """The rates that sizing, the checks and the margin of this order use, as keys of `Rates`."""
    options, wanted = order.options, set()
    if options.risk_type in BY_MONEY or options.risk_multiply is not None:
        wanted.add((slave_currency, order.context.currency))
    profit = profit_currency_of(spec)
    if profit:
        wanted.add((profit, slave_currency))
    master = order.context.spec
    if order.mapping is not None and master is not None and master.tick_value and profit:
        wanted.add((profit_currency_of(master) or profit, order.context.currency))
    if spec.margin_divider and spec.margin_currency:
        wanted.add((spec.margin_currency, slave_currency))
    wholes = {(_whole(source)[0], _whole(target)[0]) for source, target in wanted}
    return {(source, target) for source, target in wholes if source != target}


def conversion_symbols(pair: tuple[str, str], slave_names: Sequence[str]) -> list[tuple[str, bool]]:
    """The slave's symbols whose mid prices multiply to the rate of `pair`, each with whether it is
    inverted: direct, inverse, or by way of USD or EUR; empty if the broker quotes none of them.
    """
    return list(_rate_path(_whole(pair[0])[0], _whole(pair[1])[0], names_of(slave_names)))


@lru_cache(maxsize=1024)
def _rate_path(source: str, target: str, names: Names) -> tuple[tuple[str, bool], ...]:
    for path in _paths(source, target):
        found = [_quoted(one, other, names) for one, other in path]
        if all(step is not None for step in found):
            return tuple(step for step in found if step is not None)
    return ()


def _paths(source: str, target: str) -> Iterator[tuple[tuple[str, str], ...]]:
    yield ((source, target),)
    for hub in HUBS:
        yield ((source, hub), (hub, target))


def _quoted(source: str, target: str, names: Names) -> tuple[str, bool] | None:
    """Any proven spelling will do: for a rate it does not matter which contract it is of."""
    for affix in (Affix("", ""), *proven(names)):
        for pair, inverse in ((source + target, False), (target + source, True)):
            if affix.around(pair) in names:
                return affix.around(pair), inverse
    return None
