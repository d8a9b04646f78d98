"""One row of a table, field by field: what is read is what is expected, or the row says why not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from copypro.statements.grid import Cell
from copypro.statements.values import NumberFormat, moment
from copypro.values import Side

ZERO = Decimal(0)
EMPTY = Cell("", -1)
_SHORTENED = {"K": Decimal(1_000), "M": Decimal(1_000_000)}
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class Unreadable(Exception):
    """What was expected, and what stood there."""


class Fields:
    def __init__(self, cells: Sequence[Cell], numbers: NumberFormat) -> None:
        self._cells, self._numbers = cells, numbers

    def cell(self, at: int) -> Cell:
        return self._cells[at] if at < len(self._cells) else EMPTY

    def text(self, at: int) -> str:
        return self.cell(at).text

    def word(self, at: int) -> str:
        return self.text(at).lower()

    def number(self, at: int, name: str) -> Decimal:
        cells = self._cells
        found = self._numbers.number(cells[at]) if at < len(cells) else None
        if found is None:
            raise Unreadable(f"expected a number as {name}, found {_quoted(self.text(at))}")
        return found

    def number_or(self, at: int, name: str, default: Decimal) -> Decimal:
        """Of a cell that may be empty."""
        return self.number(at, name) if self.text(at) else default

    def level(self, at: int, name: str) -> Decimal | None:
        """A stop or target: 0 and nothing both mean none."""
        found = self.number_or(at, name, ZERO)
        return found or None

    def whole(self, at: int, name: str) -> int:
        text = self.text(at).replace(" ", "")
        if not (text.isascii() and text.isdecimal() and len(text) <= 19):
            raise Unreadable(f"expected a whole number as {name}, found {_quoted(self.text(at))}")
        return int(text)

    def time(self, at: int, name: str) -> datetime:
        found = moment(self.text(at))
        if found is None:
            text = f"expected a time like 2024.03.08 17:32:55 as {name}"
            raise Unreadable(f"{text}, found {_quoted(self.text(at))}")
        return found

    def side(self, at: int) -> Side:
        side = _SIDES.get(self.word(at))
        if side is None:
            raise Unreadable(f"expected buy or sell as type, found {_quoted(self.text(at))}")
        return side

    def lots(self, at: int) -> Decimal:
        """Exchange volumes may be shortened: 1.5K, 2M."""
        text = self.text(at)
        factor = _SHORTENED.get(text[-1:].upper())
        found = self.number(at, "volume") if factor is None else None
        if factor is not None:
            plain = self._numbers.parse(text[:-1])
            found = None if plain is None else plain * factor
        if found is None:
            raise Unreadable(f"expected a number as volume, found {_quoted(text)}")
        if found < 0:
            raise Unreadable(f"expected a volume of 0 or more, found {found}")
        return found


def in_time(opened: datetime, closed: datetime) -> None:
    if closed < opened:
        raise Unreadable(f"expected a closing after the opening at {opened}, found {closed}")


def _quoted(text: str) -> str:
    return repr(text[:60]) if text else "nothing"
