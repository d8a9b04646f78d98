"""Numbers and text for people: escaped, with a minus that is one, never in exponent form."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from html import escape

from copypro.statistics.facts import Absent, Figure

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NONE = '<span class="none">–</span>'
NO_CENTS = ("JPY", "KRW", "VND", "CLP", "HUF")


def plain(value: Decimal | float, digits: int = 2, *, sign: bool = False) -> str:
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if not rounded:
        return f"{abs(rounded):,f}"
    mark = "−" if rounded < 0 else "+" if sign else ""
    return f"{mark}{abs(rounded):,f}"


def shown(figure: Figure | float | None, digits: int = 2, unit: str = "") -> str:
    """As HTML; what is absent is a dash that says why."""
    if isinstance(figure, Absent):
        return f'<span class="none" title="{escape(figure.why)}">–</span>'
    return NONE if figure is None else f"{plain(figure, digits)}{unit}"


def coloured(value: Decimal | float | None, digits: int = 2, unit: str = "") -> str:
    """With its sign, green or red."""
    if value is None:
        return NONE
    kind = "up" if value > 0 else "down" if value < 0 else "flat"
    return f'<span class="{kind}">{plain(value, digits, sign=True)}{unit}</span>'


def money_digits(currency: str) -> int:
    return 0 if currency.upper() in NO_CENTS else 2


def day(moment: date) -> str:
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def length(seconds: Decimal) -> str:
    """3 d 4 h, 2 h 5 min, 40 s."""
    left, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
