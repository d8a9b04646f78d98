"""What a symbol is taken to be, where only trades are known of it; and rates that trades imply. Pure.

A history has names, prices, lots and profits, no contracts. The contract is what the profits say where
they are in the currency of the prices, else what is usual for the name; both are shown, and whoever
knows better says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import Any

import msgspec
from copypro.affixes import MAJORS
from copypro_account_watcher.planned.symbols import METALS
from msgspec import Struct

from copypro_standalone.backtest.history import Closed, Happening, History, Increased, Opened

CURRENCIES = (
    "EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "NOK", "SEK", "DKK", "SGD", "HKD", "CNH",
    "PLN", "CZK", "HUF", "TRY", "ZAR", "MXN", "JPY",
)  # fmt: skip
"""As pairs are quoted: the earlier one first."""
FOREX_CONTRACT = Decimal(100_000)
METAL_CONTRACTS = {"XAU": Decimal(100), "XAG": Decimal(5000)}
LEAST_PROFIT = Decimal(2)
"""A profit below it is rounded too much to say what a lot or a currency is worth."""
AGREE = Decimal("0.02")
MOST_LOTS = Decimal(1_000_000)
MOST_DIGITS = 10
KNOWABLE = ("contract_size", "profit_currency", "margin_currency", "calculation", "digits")
"""What may be given of a master's symbol."""


class Terms(Struct, frozen=True, kw_only=True):
    name: str
    digits: int
    contract_size: Decimal
    profit_currency: str
    margin_currency: str
    calculation: str
    lot_step: Decimal
    how: str
    """profits: the trades' own say so; usual: by its name; given: somebody does."""

    def fields(self) -> dict[str, Any]:
        """As the simulator takes them: any volume that the history has can be traded."""
        return {
            "name": self.name,
            "digits": self.digits,
            "contract_size": str(self.contract_size),
            "profit_currency": self.profit_currency,
            "margin_currency": self.margin_currency,
            "calculation": self.calculation,
        }


_ABOVE_0 = ("contract_size", "lot_min", "lot_max", "lot_step", "tick_size")


def fault_in(symbol: Struct) -> str | None:
    """What no symbol can have, of a master's Terms or a simulated symbol: the field and what to give."""
    for field in symbol.__struct_fields__:
        value = getattr(symbol, field)
        if isinstance(value, Decimal) and not value.is_finite():
            return f"{field}: {value} is not a number"
        if field in _ABOVE_0 and value is not None and value <= 0:
            return f"{field}: {value} is not above 0"
        if field == "digits" and not 0 <= value <= MOST_DIGITS:
            return f"digits: {value} is not from 0 to {MOST_DIGITS}"
    return None


class Rate(Struct, frozen=True):
    """What a close of the history says of a pair of currencies."""

    pair: str
    price: Decimal


def pair_in(name: str) -> str | None:
    """EURUSD of EURUSDm, #EURUSD.x and eurusd; XAUUSD likewise."""
    at = _pair_at(name)
    return None if at is None else name[at : at + 6].upper()


def _pair_at(name: str) -> int | None:
    for at in range(len(name) - 5):
        base, quoted = name[at : at + 3].upper(), name[at + 3 : at + 6].upper()
        if quoted in CURRENCIES and (base in CURRENCIES or base in METALS) and base != quoted:
            return at
    return None


def pair_of(one: str, other: str) -> str:
    """As it is quoted."""
    places = {name: at for at, name in enumerate(CURRENCIES)}
    first, second = sorted((one, other), key=lambda name: (places.get(name, 99), name))
    return first + second


def terms_of(
    history: History, given: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Terms]:
    """By the master's name of each symbol that it opened, in the order of their first trades. `given`
    is what somebody knows. Errors: msgspec.ValidationError.
    """
    found = _found(history)
    for name, fields in (given or {}).items():
        known = {**msgspec.to_builtins(found[name]), **fields, "how": "given"}
        found[name] = msgspec.convert(known, Terms, strict=False)
    return found


def _found(history: History) -> dict[str, Terms]:
    opened = list(history.opened())
    implied = _implied_contracts(history)
    prices: dict[str, list[Decimal]] = {}
    symbols = {one.position: one.symbol for one in opened}
    for one in opened:
        prices.setdefault(one.symbol, []).append(one.price)
    for closed in history.closed():
        if closed.position in symbols:
            prices[symbols[closed.position]].append(closed.price)
    steps = _steps(history, symbols)
    return {
        name: _terms(name, _digits(known), steps[name], implied.get(name), history.currency)
        for name, known in prices.items()
    }


def _terms(name: str, digits: int, step: Decimal, implied: Decimal | None, currency: str) -> Terms:
    pair = pair_in(name)
    base, quoted = (pair[:3], pair[3:]) if pair else (currency, currency)
    usual = METAL_CONTRACTS.get(base, FOREX_CONTRACT) if pair else Decimal(1)
    return Terms(
        name=name,
        digits=digits,
        contract_size=implied or usual,
        profit_currency=quoted,
        margin_currency=base,
        calculation="Forex" if pair and base in CURRENCIES else "CFD",
        lot_step=step,
        how="profits" if implied else "usual",
    )


def _steps(history: History, symbols: Mapping[str, str]) -> dict[str, Decimal]:
    """The finest of each symbol's volumes."""
    finest: dict[str, int] = {}
    for one in history.happenings:
        if isinstance(one, Opened | Closed) and one.position in symbols:
            name = symbols[one.position]
            finest[name] = max(finest.get(name, 2), _decimals((one.lots,)))
    return {name: Decimal(1).scaleb(-decimals) for name, decimals in finest.items()}


def _digits(prices: Sequence[Decimal]) -> int:
    """As they were written, with the zeros at their ends: a broker writes all digits of a symbol. An
    average may have more than any symbol.
    """
    return min(MOST_DIGITS, max(max(0, -int(price.as_tuple().exponent)) for price in prices))


def _decimals(numbers: Sequence[Decimal]) -> int:
    return max(max(0, -int(number.normalize().as_tuple().exponent)) for number in numbers)


def _moves(history: History) -> Iterator[tuple[Opened, Closed, Decimal]]:
    """Closes whose profit says something, and what a contract of 1 would have made in its currency."""
    opened = {one.position: one for one in history.opened()}
    for one in history.happenings:
        if isinstance(one, Increased):
            opened.pop(one.position, None)  # its price is an average
    for closed in history.closed():
        first = opened.get(closed.position)
        if first is None or closed.profit is None or abs(closed.profit) < LEAST_PROFIT:
            continue
        moved = (closed.price - first.price) * closed.lots
        if moved:
            yield first, closed, moved if first.side.value == "Buy" else -moved


def _implied_contracts(history: History) -> dict[str, Decimal]:
    """Of symbols whose prices are in the account's currency, or whose currency nobody knows."""
    said: dict[str, list[Decimal]] = {}
    for first, closed, moved in _moves(history):
        pair = pair_in(first.symbol)
        if pair is None or pair[3:] == history.currency:
            assert closed.profit is not None
            said.setdefault(first.symbol, []).append(closed.profit / moved)
    return {
        name: contract
        for name, sizes in said.items()
        if (contract := _agreed(sizes)) is not None and contract > 0
    }


def _agreed(sizes: Sequence[Decimal]) -> Decimal | None:
    """Three digits of what most agree on; None where they do not."""
    middle = median(sizes)
    near = sum(1 for size in sizes if abs(size - middle) <= abs(middle) * AGREE)
    if not middle or near * 2 < len(sizes):
        return None
    return Decimal(f"{Decimal(f'{middle:.3g}'):f}")


def implied_rates(history: History, terms: Mapping[str, Terms]) -> dict[int, Rate]:
    """By the place of a close among the happenings: what its profit says of the currencies."""
    places = {id(one): at for at, one in enumerate(history.happenings)}
    found: dict[int, Rate] = {}
    for first, closed, moved in _moves(history):
        quoted = terms[first.symbol].profit_currency
        if quoted == history.currency or quoted not in CURRENCIES:
            continue
        assert closed.profit is not None
        rate = closed.profit / (moved * terms[first.symbol].contract_size)
        if rate > 0 and history.currency in CURRENCIES:
            pair = pair_of(quoted, history.currency)
            price = rate if pair.startswith(quoted) else 1 / rate
            found[places[id(closed)]] = Rate(pair, Decimal(f"{price:.6g}"))
    return found


def first_prices(happenings: Sequence[Happening]) -> dict[str, Decimal]:
    """Where each symbol's book begins: at the master's first trade of it."""
    found: dict[str, Decimal] = {}
    for one in happenings:
        if isinstance(one, Opened):
            found.setdefault(one.symbol, one.price)
    return found


def slave_name(master: str, suffix: str | None) -> str:
    """The master's own name, or (with a suffix, an empty one too) the bare one with the slave's."""
    if suffix is None:
        return master
    at = _pair_at(master)
    bare = master if at is None else master[at : at + 6]
    return f"{bare}{suffix}"


def all_majors(suffix: str | None) -> list[str]:
    """What any broker has, priced or not: names are proved by them."""
    return [f"{major}{suffix or ''}" for major in MAJORS]
