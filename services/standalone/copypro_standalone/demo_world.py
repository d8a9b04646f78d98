"""The demo's world: who trades where, and how each slave differs from its master."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct
from mt_simulator.client import SimulatorControl

PASSWORD = "simulated"
SPREAD_POINTS = 2


class Instrument(Struct, frozen=True):
    name: str
    digits: int
    contract: str
    base: str
    profit: str
    first: str
    """A price of the time, until a trade brings a newer one."""
    kind: str = "Forex"


INSTRUMENTS = (
    Instrument("EURUSD", 5, "100000", "EUR", "USD", "1.12900"),
    Instrument("GBPUSD", 5, "100000", "GBP", "USD", "1.30900"),
    Instrument("USDJPY", 3, "100000", "USD", "JPY", "112.000"),
    Instrument("USDCHF", 5, "100000", "USD", "CHF", "1.00700"),
    Instrument("AUDUSD", 5, "100000", "AUD", "USD", "0.71700"),
    Instrument("USDCAD", 5, "100000", "USD", "CAD", "1.33700"),
    Instrument("NZDUSD", 5, "100000", "NZD", "USD", "0.67400"),
    Instrument("EURJPY", 3, "100000", "EUR", "JPY", "126.500"),
    Instrument("GBPJPY", 3, "100000", "GBP", "JPY", "146.600"),
    Instrument("AUDJPY", 3, "100000", "AUD", "JPY", "80.300"),
    Instrument("CADJPY", 3, "100000", "CAD", "JPY", "83.800"),
    Instrument("EURAUD", 5, "100000", "EUR", "AUD", "1.57500"),
    Instrument("XAUUSD", 2, "100", "XAU", "USD", "1284.00", "CFD"),
    Instrument("XAGUSD", 3, "5000", "XAG", "USD", "14.950", "CFD"),
    Instrument("JP225", 0, "1000", "JPY", "JPY", "22200", "CFD"),
    Instrument("SPX500", 1, "10", "USD", "USD", "2905.0", "CFD"),
    Instrument("US_OIL", 2, "100", "USD", "USD", "63.50", "CFD"),
)


class Dealer(Struct, frozen=True, kw_only=True):
    """A broker's server, and how its terms differ."""

    name: str
    platform: str
    suffix: str = ""
    contracts: dict[str, str] = {}
    lot_min: str = "0.01"
    lot_step: str = "0.01"
    without: tuple[str, ...] = ()
    offset_minutes: int = 180


class Member(Struct, frozen=True, kw_only=True):
    """An account; of a slave also its copier's settings as REST takes them."""

    name: str
    dealer: Dealer
    login: int
    currency: str
    balance: str
    mode: str = "Hedging"
    copier: dict[str, str] = {}
    note: str = ""


_MASTER = Dealer(name="Amber-Simulated", platform="MT4")
_PRO = Dealer(name="Basalt-Simulated", platform="MT4", suffix=".pro")
_GOLD = Dealer(
    name="Cobalt-Simulated",
    platform="MT5",
    suffix="m",
    contracts={"XAUUSD": "10", "XAGUSD": "1000"},
    offset_minutes=120,
)
_NET = Dealer(name="Dune-Simulated", platform="MT5", without=("JP225", "SPX500"))
_SMALL = Dealer(
    name="Ember-Simulated", platform="MT4", suffix=".r", lot_min="0.05", lot_step="0.05"
)

MASTER = Member(name="master", dealer=_MASTER, login=71001, currency="JPY", balance="5000000")
SLAVES = (
    Member(
        name="doubles",
        dealer=_PRO,
        login=72001,
        currency="USD",
        balance="50000",
        copier={"riskType": "LotMultiplier", "riskValue": "2"},
        note="MT4, USD, suffix .pro, twice the lots",
    ),
    Member(
        name="by balance",
        dealer=_GOLD,
        login=83001,
        currency="EUR",
        balance="80000",
        copier={"riskType": "BalanceMultiplier", "riskValue": "1"},
        note="MT5, EUR, suffix m, gold of 10 oz",
    ),
    Member(
        name="netting",
        dealer=_NET,
        login=84001,
        currency="USD",
        balance="60000",
        mode="Netting",
        copier={"riskType": "FixedLot", "riskValue": "0.1"},
        note="MT5, one position a symbol, no indices",
    ),
    Member(
        name="sells only",
        dealer=_GOLD,
        login=83002,
        currency="USD",
        balance="40000",
        copier={
            "riskType": "EquityMultiplier",
            "riskValue": "2.5",
            "filterSide": "CopySellOnly",
        },
        note="MT5, 2.5 by equity, filtered",
    ),
    Member(
        name="too small",
        dealer=_SMALL,
        login=75001,
        currency="USD",
        balance="3000",
        copier={"riskType": "LotMultiplier", "riskValue": "1"},
        note="MT4, USD, at least 0.05 lots",
    ),
)
MEMBERS = (MASTER, *SLAVES)
DEALERS = (_MASTER, _PRO, _GOLD, _NET, _SMALL)


def symbol_at(dealer: Dealer, name: str) -> str | None:
    """The dealer's own name for an instrument; None: not traded there."""
    return None if name in dealer.without else f"{name}{dealer.suffix}"


async def build(control: SimulatorControl) -> None:
    """Servers, symbols with their first prices, and the accounts."""
    for dealer in DEALERS:
        await control.add_server(
            name=dealer.name,
            platform=dealer.platform,
            company=dealer.name.replace("-", " "),
            offset_minutes=dealer.offset_minutes,
        )
        for one in INSTRUMENTS:
            name = symbol_at(dealer, one.name)
            if name is not None:
                await control.add_symbol(
                    dealer.name,
                    name=name,
                    digits=one.digits,
                    contract_size=dealer.contracts.get(one.name, one.contract),
                    margin_currency=one.base,
                    profit_currency=one.profit,
                    calculation=one.kind,
                    lot_min=dealer.lot_min,
                    lot_step=dealer.lot_step,
                )
    await control.quotes(
        [tick for one in INSTRUMENTS for tick in ticks(one.name, Decimal(one.first), opens=None)]
    )
    for member in MEMBERS:
        await control.add_account(
            server=member.dealer.name,
            platform=member.dealer.platform,
            login=member.login,
            password=PASSWORD,
            currency=member.currency,
            balance=member.balance,
            mode=member.mode,
            leverage=500,
            name="SIMULATED",
        )


_BY_NAME = {one.name: one for one in INSTRUMENTS}


def unknown(symbols: Iterable[str]) -> set[str]:
    """Those of the symbols that this world does not trade."""
    return set(symbols) - set(_BY_NAME)


def spread(name: str) -> Decimal:
    return Decimal(SPREAD_POINTS).scaleb(-_BY_NAME[name].digits)


def ticks(name: str, price: Decimal, *, opens: bool | None) -> list[tuple[str, str, str, str]]:
    """The instrument's quote on every server. `opens` True: a buy fills at `price` (its ask);
    False or None: a sell does (its bid).
    """
    gap = spread(name)
    bid = price - gap if opens else price
    found = []
    for dealer in DEALERS:
        symbol = symbol_at(dealer, name)
        if symbol is not None:
            found.append((dealer.name, symbol, f"{bid:f}", f"{bid + gap:f}"))
    return found
