"""A small world to start with: a broker on each platform, a few symbols, a few accounts."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from mt_simulator.control import Control

SYMBOLS: tuple[tuple[str, int, str, str, str], ...] = (
    ("EURUSD", 5, "100000", "EUR", "USD"),
    ("GBPUSD", 5, "100000", "GBP", "USD"),
    ("USDJPY", 3, "100000", "USD", "JPY"),
    ("USDCHF", 5, "100000", "USD", "CHF"),
    ("AUDUSD", 5, "100000", "AUD", "USD"),
    ("XAUUSD", 2, "100", "USD", "USD"),
)
PRICES = {
    "EURUSD": "1.10000",
    "GBPUSD": "1.27000",
    "USDJPY": "150.000",
    "USDCHF": "0.88000",
    "AUDUSD": "0.66000",
    "XAUUSD": "2400.00",
}
MT4, MT5 = "Simulated-MT4", "Simulated-MT5"


def build_default_world(control: Control) -> list[str]:
    """The lines say what there is and how to sign in."""
    control.add_server(name=MT4, platform="MT4")
    control.add_server(name=MT5, platform="MT5")
    for server in (MT4, MT5):
        for name, digits, contract, base, profit in SYMBOLS:
            gold = {"calculation": "CFD", "margin_calculation": "CFD", "margin_divider": "100"}
            control.add_symbol(
                server,
                name=name,
                digits=digits,
                contract_size=contract,
                margin_currency=base,
                profit_currency=profit,
                **(gold if name.startswith("XAU") else {}),
            )
            bid = Decimal(PRICES[name])
            control.quote(server, name, str(bid), str(bid + Decimal(1).scaleb(-digits) * 10))
    lines = []
    for server, platform, login, mode in (
        (MT4, "MT4", 1001, "Hedging"),
        (MT4, "MT4", 1002, "Hedging"),
        (MT5, "MT5", 2001, "Hedging"),
        (MT5, "MT5", 2002, "Hedging"),
        (MT5, "MT5", 2003, "Netting"),
    ):
        control.add_account(
            server=server,
            platform=platform,
            login=login,
            password="demo",
            mode=mode,
        )
        lines.append(f"account {login} on {server} ({mode}), password demo, 10,000 USD")
    return lines


async def move_prices(control: Control, share: Decimal) -> None:
    """Each symbol one small step up, then down: enough for fresh quotes."""
    up = True
    while True:
        await asyncio.sleep(1)
        for server in (MT4, MT5):
            for name, digits, *_ in SYMBOLS:
                bid = Decimal(PRICES[name]) * (1 + (share if up else 0))
                bid = bid.quantize(Decimal(1).scaleb(-digits))
                control.quote(server, name, str(bid), str(bid + Decimal(1).scaleb(-digits) * 10))
        up = not up
