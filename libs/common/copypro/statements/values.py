"""The words of a report: numbers, times, sides. Each format that MetaTrader writes, none guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from copypro.statements.grid import Cell

MOST_CHARACTERS = 40
MOST_KNOWN = 10_000
"""Numbers kept at hand: a report has few different volumes and costs."""
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?$")
_CANDIDATE = re.compile(r"[-+]?\d[\d.,' ]*$")
_TIME = re.compile(
    r"(\d{4})[.\-/](\d\d)[.\-/](\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?$"
)
_BLANKS = str.maketrans("", "", " \u00a0\u2009\u202f'\u2019")
_MINUS = str.maketrans("\u2212\u2013", "--")
_GROUPS = {
    ",": re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"),
    ".": re.compile(r"-?\d{1,3}(?:\.\d{3})+(?:,\d+)?$"),
}


class NumberFormat:
    """One per file: `1 234.56`, `1,234.56`, `1'234.56`, `1.234,56` and `1 234,56`."""

    def __init__(self, decimal: str = ".") -> None:
        self._decimal = decimal
        self._grouping = "," if decimal == "." else "."
        self._known: dict[str, Decimal] = {}

    def number(self, cell: Cell) -> Decimal | None:
        if cell.is_number:
            return Decimal(cell.text)
        known = self._known.get(cell.text)
        if known is not None:
            return known
        found = self.parse(cell.text)
        if found is not None and len(self._known) < MOST_KNOWN:
            self._known[cell.text] = found
        return found

    def parse(self, text: str) -> Decimal | None:
        """None: not a number, or longer than any that MetaTrader writes."""
        if len(text) > MOST_CHARACTERS:
            return None
        if self._decimal == "." and _PLAIN.match(text):
            return Decimal(text)
        bare = text.translate(_BLANKS).translate(_MINUS).removeprefix("+")
        if self._grouping in bare:
            if not _GROUPS[self._grouping].match(bare):
                return None
            bare = bare.replace(self._grouping, "")
        bare = bare.replace(self._decimal, ".")
        return Decimal(bare) if _PLAIN.match(bare) else None


def number_format(texts: Iterable[str]) -> NumberFormat:
    """From what can be read in one way only: the last of two marks, or a mark not before 3 digits."""
    votes = {".": 0, ",": 0}
    for text in texts:
        bare = text.translate(_BLANKS)
        if _CANDIDATE.match(bare):
            mark = _decimal_mark(bare)
            if mark is not None:
                votes[mark] += 1
    return NumberFormat("," if votes[","] > votes["."] else ".")


def _decimal_mark(bare: str) -> str | None:
    dots, commas = bare.count("."), bare.count(",")
    if dots and commas:
        return "." if bare.rfind(".") > bare.rfind(",") else ","
    if not dots and not commas:
        return None
    mark, other, count = (".", ",", dots) if dots else (",", ".", commas)
    if count > 1:
        return other
    return None if len(bare) - bare.rfind(mark) - 1 == 3 else mark


def looks_like_time(text: str) -> bool:
    """Begins with a date; whether there is such a day is for `moment` to say."""
    return text[:4].isdigit() and text[4:5] in (".", "-", "/") and text[5:7].isdigit()


def moment(text: str) -> datetime | None:
    """The broker's clock, with or without seconds. None: not a time."""
    if len(text) == 19 and text[4] == "." == text[7] and text[10] == " ":
        try:
            return datetime.fromisoformat(text.replace(".", "-"))
        except ValueError:
            return None
    found = _TIME.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction = found.groups()
    try:
        return datetime(  # noqa: DTZ001 (a broker's clock has no zone)
            int(year),
            int(month),
            int(day),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")),
        )
    except ValueError:
        return None


def decimals(text: str) -> int:
    """Digits after the mark of a figure that is written plainly."""
    return len(text.partition(".")[2])
