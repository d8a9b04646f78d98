"""Real trades from a CSV, as the demo replays them: an ordered list of opens and closes. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from copypro.errors import BadStatement
from msgspec import Struct

COLUMNS = ("open_time", "close_time", "side", "lots", "symbol", "open_price", "close_price")


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
    """At least one. Errors: BadStatement, which names the file, the line and what was expected there."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                named = f"{', '.join(missing)}: its first line is {','.join(COLUMNS)}"
                raise BadStatement(f"{path}: there is no column {named}")
            trades = [
                _trade(number, row, f"{path}, line {rows.line_num}")
                for number, row in enumerate(rows)
            ]
    except OSError as error:
        raise BadStatement(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise BadStatement(f"{path}: this is no CSV of trades") from None
    if not trades:
        raise BadStatement(f"{path}: there is no trade in it")
    return trades


def _trade(number: int, row: Mapping[str, str | None], where: str) -> Trade:
    return Trade(
        number=number,
        opened=_time(row, "open_time", where),
        closed=_time(row, "close_time", where),
        side=_side(row, where),
        lots=_amount(row, "lots", where),
        symbol=_symbol(row, where),
        open_price=_amount(row, "open_price", where),
        close_price=_amount(row, "close_price", where),
    )


def _time(row: Mapping[str, str | None], name: str, where: str) -> str:
    text = row[name] or ""
    try:
        datetime.fromisoformat(text.replace(".", "-"))
    except ValueError:
        text = f"{name} {text!r} is no time like 2019.07.31 14:31:50"
        raise BadStatement(f"{where}: {text}") from None
    return text


def _side(row: Mapping[str, str | None], where: str) -> str:
    side = row["side"] or ""
    if side not in ("Buy", "Sell"):
        raise BadStatement(f"{where}: side {side!r} is neither Buy nor Sell")
    return side


def _symbol(row: Mapping[str, str | None], where: str) -> str:
    symbol = row["symbol"]
    if not symbol:
        raise BadStatement(f"{where}: symbol is empty")
    return symbol


def _amount(row: Mapping[str, str | None], name: str, where: str) -> Decimal:
    try:
        amount = Decimal(row[name] or "")
    except ArithmeticError:
        amount = Decimal("NaN")
    if not (amount.is_finite() and amount > 0):
        raise BadStatement(f"{where}: {name} {row[name] or ''!r} is no number above 0")
    return amount


def events(trades: Iterable[Trade]) -> list[Event]:
    """By time; of one second opens before closes, so that no trade closes before it opened."""
    made = [Event(t.opened, True, t) for t in trades] + [Event(t.closed, False, t) for t in trades]
    return sorted(made, key=lambda event: (event.at, not event.opens, event.trade.number))
