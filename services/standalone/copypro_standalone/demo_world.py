"""The demo's brokers, accounts and copiers: every difference between brokers that costs money."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct
from mt_simulator.client import SimulatorControl

from copypro_standalone.replay import Trade

MASTER_SERVER = "Alpha-MT4"
PASSWORD = "demo-only"
BALANCE = "1000000"

_INDICES = {
    "JP225": (0, "1", "JPY"),
    "SPX500": (1, "1", "USD"),
    "US_OIL": (2, "100", "USD"),
    "OILUSD": (2, "100", "USD"),
}
_RATES = {
    "EURUSD": "1.12", "GBPUSD": "1.28", "AUDUSD": "0.70", "NZDUSD": "0.66", "USDJPY": "110.50",
    "USDCHF": "1.00", "USDCAD": "1.34", "USDCNH": "6.80", "EURJPY": "124.00",
}  # fmt: skip


class Slave(Struct, frozen=True, kw_only=True):
    name: str
    platform: str
    server: str
    login: int
    suffix: str = ""
    balance: str = "100000"
    currency: str = "USD"
    mode: str = "Hedging"
    options: dict[str, str]
    about: str
    symbols: dict[str, Any] = {}


SLAVES = (
    Slave(
        name="same lots, other suffix",
        platform="MT4",
        server="Beta-MT4",
        login=2001,
        suffix=".m",
        options={"riskType": "LotMultiplier", "riskValue": "1"},
        about="MT4, symbols end in .m",
    ),
    Slave(
        name="fixed 0.10 lots",
        platform="MT5",
        server="Gamma-MT5",
        login=3001,
        options={"riskType": "FixedLot", "riskValue": "0.1"},
        about="MT5 hedging",
    ),
    Slave(
        name="by balance, in EUR",
        platform="MT5",
        server="Gamma-MT5",
        login=3002,
        currency="EUR",
        balance="500000",
        options={"riskType": "BalanceMultiplier", "riskValue": "1"},
        about="MT5 hedging, account in EUR",
    ),
    Slave(
        name="gold at 10 oz, step 0.1",
        platform="MT5",
        server="Delta-MT5",
        login=4001,
        options={"riskType": "LotMultiplier", "riskValue": "5"},
        about="contract of gold 10 oz, volume step 0.1",
        symbols={"XAUUSD": {"contract_size": "10"}, "*": {"lot_step": "0.1", "lot_min": "0.1"}},
    ),
    Slave(
        name="netting, half the lots",
        platform="MT5",
        server="Gamma-MT5",
        login=3003,
        mode="Netting",
        options={"riskType": "LotMultiplier", "riskValue": "0.5", "forceMinLot": "false"},
        about="MT5 netting: one position per symbol",
    ),
    Slave(
        name="too small for most",
        platform="MT4",
        server="Beta-MT4",
        login=2002,
        suffix=".m",
        balance="30000",
        options={"riskType": "BalanceMultiplier", "riskValue": "2"},
        about="30,000 USD beside the master's million",
    ),
)


async def build(control: SimulatorControl, trades: Iterable[Trade]) -> None:
    """Servers, symbols with their first prices, accounts."""
    names: dict[str, Decimal] = {}
    for trade in trades:
        names.setdefault(trade.symbol, trade.open_price)
    for name, rate in _RATES.items():
        names.setdefault(name, Decimal(rate))
    servers: dict[str, tuple[str, str, dict[str, Any]]] = {MASTER_SERVER: ("MT4", "", {})}
    for slave in SLAVES:
        servers.setdefault(slave.server, (slave.platform, slave.suffix, slave.symbols))
    for server, (platform, suffix, changes) in servers.items():
        await control.add_server(name=server, platform=platform, company=server)
        for name, price in names.items():
            fields = symbol_fields(name) | changes.get("*", {}) | changes.get(name, {})
            await control.add_symbol(server, **(fields | {"name": f"{name}{suffix}"}))
            bid, ask = bid_ask(name, price, buys=True)
            await control.quote(server, f"{name}{suffix}", str(bid), str(ask))
    await control.add_account(
        server=MASTER_SERVER, platform="MT4", login=1001, password=PASSWORD, balance=BALANCE
    )
    for slave in SLAVES:
        await control.add_account(
            server=slave.server,
            platform=slave.platform,
            login=slave.login,
            password=PASSWORD,
            balance=slave.balance,
            currency=slave.currency,
            mode=slave.mode,
        )


def symbol_fields(name: str) -> dict[str, Any]:
    if name in _INDICES:
        digits, contract, profit = _INDICES[name]
        return {
            "digits": digits,
            "contract_size": contract,
            "profit_currency": profit,
            "margin_currency": profit,
            "calculation": "CFD",
        }
    base, profit = name[:3], name[3:]
    metal = base in ("XAU", "XAG")
    digits = {"XAU": 2, "XAG": 3}.get(base, 3 if profit == "JPY" else 5)
    contract = {"XAU": "100", "XAG": "5000"}.get(base, "100000")
    fields = {
        "digits": digits,
        "contract_size": contract,
        "profit_currency": profit,
        "margin_currency": profit if metal else base,
        "calculation": "CFD" if metal else "Forex",
    }
    one_percent = {"margin_calculation": "CFD", "margin_divider": "100"}
    return fields | one_percent if metal else fields


def bid_ask(name: str, price: Decimal, *, buys: bool) -> tuple[Decimal, Decimal]:
    """Two points of spread, so that a trade of this direction fills at the price."""
    spread = Decimal(1).scaleb(-int(symbol_fields(name)["digits"])) * 2
    return (price - spread, price) if buys else (price, price + spread)


def markets(symbol: str) -> list[tuple[str, str]]:
    """(server, its name for the symbol) of every broker, the master's last: slaves' prices are
    there when the master's trade is seen.
    """
    found = {slave.server: f"{symbol}{slave.suffix}" for slave in SLAVES}
    return [*found.items(), (MASTER_SERVER, symbol)]
