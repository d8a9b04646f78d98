"""Real trades from a CSV, as the demo replays them: an ordered list of opens and closes. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from msgspec import Struct


class Trade(Struct, frozen=True):
    number: int
    opened: str
    closed: str
    side: str
    lots: Decimal
    symbol: str
    open_price: Decimal
    close_price: Decimal


class Event(Struct, frozen=True):
    at: str
    opens: bool
    trade: Trade


def read_trades(path: Path) -> list[Trade]:
    """Errors: ValueError that names the line."""
    trades: list[Trade] = []
    with path.open(newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                trades.append(
                    Trade(
                        number=len(trades),
                        opened=row["open_time"],
                        closed=row["close_time"],
                        side=row["side"],
                        lots=Decimal(row["lots"]),
                        symbol=row["symbol"],
                        open_price=Decimal(row["open_price"]),
                        close_price=Decimal(row["close_price"]),
                    )
                )
            except (KeyError, ArithmeticError) as error:
                raise ValueError(f"{path}, line {line}: {error}") from None
    return trades


def events(trades: Iterable[Trade]) -> list[Event]:
    """By time; of one second opens before closes, so that no trade closes before it opened."""
    made = [Event(t.opened, True, t) for t in trades] + [Event(t.closed, False, t) for t in trades]
    return sorted(made, key=lambda event: (event.at, not event.opens, event.trade.number))
