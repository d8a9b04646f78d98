"""Real trades as facts, and the order in which a master's hand makes them again. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from copypro.errors import SettingsError
from copypro.values import Side
from msgspec import Struct

BUNDLED = Path(__file__).parents[3] / "examples" / "trades.csv"


class Trade(Struct, frozen=True):
    """One row of the statement; `rest_of` names the trade whose partial close left this one."""

    number: int
    rest_of: int | None
    symbol: str
    side: Side
    lots: Decimal
    open_time: datetime
    open_price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    close_time: datetime
    close_price: Decimal


class Open(Struct, frozen=True):
    """`lots` are of the whole position: of a trade and of what a partial close will leave."""

    trade: Trade
    lots: Decimal


class Close(Struct, frozen=True):
    """`lots` None: all that is left."""

    number: int
    symbol: str
    side: Side
    price: Decimal
    lots: Decimal | None


Step = Open | Close


def load(path: Path) -> list[Trade]:
    """Errors: SettingsError with the row that is wrong."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    trades = []
    for line, row in enumerate(rows, 2):
        try:
            trades.append(_trade(row))
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise SettingsError(f"{path}, line {line}: {error!r}") from None
    if not trades:
        raise SettingsError(f"{path} holds no trades")
    return trades


def _trade(row: dict[str, str]) -> Trade:
    return Trade(
        number=int(row["trade"]),
        rest_of=int(row["rest_of"]) if row["rest_of"] else None,
        symbol=row["symbol"],
        side=Side(row["side"].capitalize()),
        lots=Decimal(row["lots"]),
        open_time=datetime.fromisoformat(row["open_time"]),
        open_price=Decimal(row["open_price"]),
        stop_loss=_price(row["stop_loss"]),
        take_profit=_price(row["take_profit"]),
        close_time=datetime.fromisoformat(row["close_time"]),
        close_price=Decimal(row["close_price"]),
    )


def _price(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def steps(trades: Sequence[Trade]) -> list[Step]:
    """Opens and closes by the broker's time; of one moment, closes come first and no trade closes
    before it opened. A trade and its rests are one position, opened once and closed in pieces.
    """
    rests = {trade.rest_of: trade for trade in trades if trade.rest_of is not None}
    timed: list[tuple[datetime, int, int, Step]] = []
    for trade in trades:
        if trade.rest_of is not None:
            continue
        pieces = list(_pieces(trade, rests))
        whole = sum((piece.lots for piece in pieces), Decimal(0))
        timed.append((trade.open_time, 1, trade.number, Open(trade, whole)))
        for index, piece in enumerate(pieces):
            lots = piece.lots if index < len(pieces) - 1 else None
            close = Close(trade.number, trade.symbol, trade.side, piece.close_price, lots)
            rank = 2 if piece.close_time == trade.open_time else 0
            timed.append((piece.close_time, rank, trade.number, close))
    timed.sort(key=lambda item: item[:3])
    return [step for *_, step in timed]


def _pieces(trade: Trade, rests: dict[int, Trade]) -> Iterator[Trade]:
    piece: Trade | None = trade
    while piece is not None:
        yield piece
        piece = rests.get(piece.number)


def valid_levels(trade: Trade, spread: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """Stop and target as they can stand at the open: a stop that was later moved into profit, or a
    target into loss, is on the wrong side there and is left out, and so is one within the spread.
    """
    sign = trade.side.sign
    stop, target = trade.stop_loss, trade.take_profit
    if stop is not None and (trade.open_price - stop) * sign <= spread:
        stop = None
    if target is not None and (target - trade.open_price) * sign <= spread:
        target = None
    return stop, target
