"""The figures that a report prints, found by their labels or, in other languages, by their order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from copypro.statements.grid import Cell, Problems, Row
from copypro.statements.rows import Printed
from copypro.statements.values import NumberFormat
from copypro.statements.words import LABELS, Keys, Orders, names

_FIGURE = re.compile(r"([^()]*?)\s*(?:\(([^()]*)\))?$")
_DURATION = re.compile(r"\d+(?::\d\d){1,2}$")
_PERCENT = re.compile(r"(\d[\d.,]*)%\s")
"""`100% real ticks`: of the quality of prices, in the terminal's language."""
_NAMED = re.compile(r"[^\d()]+\((\d+)\)$")
"""`Current (18)`: of a spread that was not fixed."""
UNKNOWN = "n/a"

LEAST_FIGURES = 8


class Pair(Struct, frozen=True):
    label: str
    value: Cell
    line: int


Named = tuple[Pair, str, Keys]


def pairs_of(row: Row) -> Iterator[Pair]:
    """Labels with a colon and what stands beside them. What stands before all labels of a row
    without a colon belongs to each of them: `Largest | profit trade: | 58.50`.
    """
    cells = list(row.cells)
    while cells and not cells[0].text:
        cells.pop(0)
    prefix = ""
    if len(cells) > 1 and not _is_label(cells[0]) and _is_label(cells[1]):
        prefix = cells.pop(0).text + " "
    at = 0
    while at < len(cells):
        cell = cells[at]
        at += 1
        if not _is_label(cell):
            continue
        value = Cell("", -1)
        if at < len(cells) and not _is_label(cells[at]):
            value = cells[at]
            at += 1
        yield Pair(prefix + cell.text.rstrip(":： "), value, row.line)


def _is_label(cell: Cell) -> bool:
    return len(cell.text) > 1 and cell.text[-1] in ":："


def bare_pairs_of(row: Row) -> Iterator[Pair]:
    """As MetaTrader 4's tester prints them: label and value by turns, no colons."""
    cells = list(row.cells)
    while cells and not cells[0].text:
        cells.pop(0)
    prefix = ""
    if len(cells) % 2 and cells:
        prefix = cells.pop(0).text + " "
    for label, value in zip(cells[::2], cells[1::2], strict=True):
        if label.text:
            yield Pair(prefix + label.text, value, row.line)


def printed_figures(
    pairs: Sequence[Pair], orders: Orders, numbers: NumberFormat, problems: Problems
) -> list[Printed]:
    """Each figure as an entry, those in brackets too."""
    pairs = [_unnamed(pair) for pair in pairs]
    known = [(pair, pair.label, LABELS.get(pair.label.casefold(), ())) for pair in pairs]
    named: Sequence[Named] = [found for found in known if found[2]]
    figures = [pair for pair in pairs if _looks_like_figure(pair.value)]
    if 2 * len(named) < len(figures):
        in_order = _by_order(figures, orders)
        if not in_order and len(figures) >= LEAST_FIGURES:
            text = f"expected the figures of a report, found {len(figures)} in an order not known"
            problems.note(figures[0].line, text)
        named = in_order or named
    return [figure for pair, label, keys in named for figure in _split(pair, label, keys, numbers)]


def _unnamed(pair: Pair) -> Pair:
    found = _NAMED.match(pair.value.text)
    return pair if found is None else replace(pair, value=replace(pair.value, text=found[1]))


def _by_order(figures: Sequence[Pair], orders: Orders) -> Sequence[Named]:
    """The longest order that fits; what stands before it (settings, sums of tables) has no name."""
    for order in sorted(orders, key=len, reverse=True):
        keys = [LABELS[label.casefold()] for label in order]
        last = figures[-len(order) :]
        if len(last) == len(order) and all(map(_fits, last, keys)):
            return list(zip(last, order, keys, strict=True))
    return ()


def _fits(pair: Pair, keys: Keys) -> bool:
    """Whether there is a figure in brackets where there should be one."""
    return not pair.value.text or ("(" in pair.value.text) == (len(keys) > 1)


def _looks_like_figure(value: Cell) -> bool:
    """Of a title there is no value at all; a figure that is not defined is an empty cell."""
    if not value.text:
        return value.column >= 0
    return value.text[0].isdigit() or value.text[0] in "-+\u2212" or value.text == UNKNOWN


def _split(pair: Pair, label: str, keys: Keys, numbers: NumberFormat) -> Iterator[Printed]:
    text = pair.value.text
    found = _FIGURE.match(text)
    parts = (found[1], found[2] or "") if found else (text, "")
    for name, key, part in zip(names(label, keys, text), keys, parts, strict=False):
        plain = _plain(part, numbers, is_number=pair.value.is_number)
        yield Printed(name, key, plain, pair.line, pair.value.is_number)


def _plain(text: str, numbers: NumberFormat, *, is_number: bool) -> str:
    percent = _PERCENT.match(text)
    bare = percent[1] if percent else text.strip().removesuffix("%").strip()
    if is_number or _DURATION.match(bare):
        return bare
    found = numbers.parse(bare)
    return bare if found is None else format(found, "f")
