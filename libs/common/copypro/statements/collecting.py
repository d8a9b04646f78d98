"""Row after row into a statement: which table it belongs to, and what it says."""

from __future__ import annotations

from collections.abc import Sequence

from copypro.errors import BadStatement
from copypro.statements import figures, heading, mt4, mt5, words
from copypro.statements.fields import EMPTY, Fields, Unreadable
from copypro.statements.grid import Cell, Head, Problems, Row
from copypro.statements.rows import (
    ClosedRow,
    DealRow,
    Kind,
    OpenRow,
    OperationRow,
    PendingRow,
    Printed,
    Statement,
    TesterRow,
)
from copypro.statements.values import NumberFormat, looks_like_time
from copypro.values import Platform

MOST_OTHER_ROWS = 5_000
"""Headings, settings and figures: a tester's inputs are the longest of them."""
LEAST_HEADER = 8
TESTER_FIGURES = 15
"""So many figures before the first table only a tester prints."""
_MT4_SECTIONS = ("Closed Transactions", "Open Trades", "Working Orders")
_ORDERS = {
    (Platform.MT4, Kind.HISTORY): words.MT4_ORDERS,
    (Platform.MT4, Kind.TESTER): words.MT4_TESTER_ORDERS,
    (Platform.MT5, Kind.HISTORY): words.MT5_ORDERS,
    (Platform.MT5, Kind.TESTER): words.MT5_TESTER_ORDERS,
}
_COMMENT_PLACES = [0, 9]
"""Under the closing price; sums begin one column further on."""
_MONEY: tuple[str, ...] = ("Commission", "Taxes", "Swap", "Profit")
_MONEY_WITHOUT_TAXES: tuple[str, ...] = ("Commission", "Swap", "Profit")
AnyRow = ClosedRow | DealRow | OpenRow | OperationRow | PendingRow | TesterRow


class _Table:
    """The header of the table that is being read."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.names = [cell.text for cell in cells]
        self.columns = [cell.column for cell in cells]
        self.width = cells[-1].column + 1
        self._place = {cell.column: at for at, cell in enumerate(cells)}

    def in_order(self, cells: Sequence[Cell]) -> Sequence[Cell]:
        """A row's cells under their headings."""
        if len(cells) == len(self.names):
            return cells
        return self.by_place(cells, self._place, len(self.names))

    def by_column(self, cells: Sequence[Cell]) -> Sequence[Cell]:
        if len(cells) == self.width:
            return cells
        return self.by_place(cells, range(self.width), self.width)

    @staticmethod
    def by_place(cells: Sequence[Cell], place: object, width: int) -> Sequence[Cell]:
        placed = [EMPTY] * width
        for cell in cells:
            at = place.get(cell.column) if isinstance(place, dict) else cell.column
            if at is not None and at < width:
                placed[at] = cell
        return placed

    def place_of(self, column: int) -> int | None:
        return self._place.get(column)


class Collector:
    def __init__(self, head: Head, numbers: NumberFormat, problems: Problems) -> None:
        self._head, self._numbers, self._problems = head, numbers, problems
        self._table: _Table | None = None
        self._platform: Platform | None = None
        self._section, self._mt4_sections = "", 0
        self._rows: dict[type, list[AnyRow]] = {}
        self._others: list[Row] = []
        self._before_data = 0
        self._totals: list[Printed] = []

    def take(self, row: Row) -> None:
        first, second = row.cells[0].text, row.cells[1].text if len(row.cells) > 1 else ""
        if len(row.cells) >= LEAST_HEADER - 4 and first[:1].isdigit():
            if first.isdigit() and looks_like_time(second):
                return self._data(row, Platform.MT4)
            if second.isdigit() and looks_like_time(first):
                return self._data(row, Platform.MT5)
        if self._is_header(row):
            return self._begin(row)
        if self._is_comment(row):
            return None
        if self._is_totals(row):
            return self._total(row)
        self._others.append(row)
        if len(self._others) > MOST_OTHER_ROWS:
            raise BadStatement(f"line {row.line}: more than {MOST_OTHER_ROWS} rows are no trades")
        if self._table is None:
            self._before_data += sum(1 for _ in figures.pairs_of(row))
        return None

    def _data(self, row: Row, platform: Platform) -> None:
        if self._platform is not None and platform is not self._platform:
            self._problems.add(row.line, f"expected a row of {self._platform}, found {platform}'s")
            return
        self._platform = platform
        try:
            read = self._read(row)
        except Unreadable as error:
            self._problems.add(row.line, str(error))
            return
        self._rows.setdefault(type(read), []).append(read)

    def _read(self, row: Row) -> AnyRow:
        table = self._table
        if self._platform is Platform.MT4:
            width = 14 if table is None else table.width
            cells = row.cells if table is None else table.by_column(row.cells)
            fields = Fields(cells, self._numbers)
            if width <= mt4.TESTER_COLUMNS:
                return mt4.tester_row(fields, row.line)
            return mt4.statement_row(fields, row.line, row.cells[0].title, width)
        cells = row.cells if table is None else table.in_order(row.cells)
        names = () if table is None else table.names
        read = mt5.row_of(Fields(cells, self._numbers), row.line, names)
        self._section = {DealRow: "Deals", OpenRow: "Positions"}.get(type(read), "")
        return read

    # --- what is no trade ---------------------------------------------------------------------

    def _is_header(self, row: Row) -> bool:
        filled = [cell for cell in row.cells if cell.text]
        return len(filled) >= LEAST_HEADER and not any(
            cell.text[-1] in ":：" or self._numbers.number(cell) is not None for cell in filled
        )

    def _begin(self, row: Row) -> None:
        self._table, self._section = _Table(row.cells), ""
        if self._table.width == 14 or self._table.width == 13:
            at = min(self._mt4_sections, len(_MT4_SECTIONS) - 1)
            self._section, self._mt4_sections = _MT4_SECTIONS[at], self._mt4_sections + 1

    def _is_comment(self, row: Row) -> bool:
        """The expert's number and comment, in a row of their own under each of its MT4 orders."""
        places = [cell.column for cell in row.cells[:2]]
        in_orders = self._platform is Platform.MT4 and self._section in _MT4_SECTIONS
        return in_orders and places == _COMMENT_PLACES and not row.cells[0].text

    def _is_totals(self, row: Row) -> bool:
        filled = [cell for cell in row.cells if cell.text]
        return (
            self._table is not None
            and bool(self._section)
            and len(filled) >= 2
            and all(self._numbers.number(cell) is not None for cell in filled)
        )

    def _total(self, row: Row) -> None:
        table = self._table
        assert table is not None
        if self._platform is Platform.MT5 and self._section in _MT4_SECTIONS:
            return
        for cell in row.cells:
            if cell.text:
                name = self._column_name(table, cell.column)
                number = self._numbers.number(cell)
                text = "" if number is None else format(number, "f")
                key = f"{self._section}/{name}"
                shown = f"{self._section} {name}"
                self._totals.append(Printed(shown, key, text, row.line, cell.is_number))

    def _column_name(self, table: _Table, column: int) -> str:
        if self._section in _MT4_SECTIONS:
            names = _MONEY if table.width >= 14 else _MONEY_WITHOUT_TAXES
            at = column - (table.width - len(names))
            return names[at] if 0 <= at < len(names) else f"column {column + 1}"
        at = table.place_of(column) or 0
        if self._section == "Positions":
            return {9: "Swap", 10: "Profit"}.get(at, f"column {at + 1}")
        known = {place: name for name, place in mt5.deal_columns(table.names).items()}
        return known.get(at, f"column {at + 1}").capitalize()

    # --- the whole ----------------------------------------------------------------------------

    def statement(self) -> Statement:
        platform = self._platform or self._platform_of_empty()
        kind = self._kind(platform)
        is_mt4_tester = platform is Platform.MT4 and kind is Kind.TESTER
        pairs_of = figures.bare_pairs_of if is_mt4_tester else figures.pairs_of
        pairs = [pair for row in self._others for pair in pairs_of(row)]
        orders = _ORDERS[platform, kind]
        printed = figures.printed_figures(pairs, orders, self._numbers, self._problems)
        return Statement(
            platform=platform,
            kind=kind,
            header=heading.header_of(platform, kind, self._head, self._others, pairs),
            closed=self._of(ClosedRow),
            deals=self._of(DealRow),
            tests=self._of(TesterRow),
            operations=self._of(OperationRow),
            pendings=self._of(PendingRow),
            open=self._of(OpenRow),
            printed=[*self._totals, *printed],
            problems=self._problems.found,
        )

    def _of(self, kind: type) -> list:  # type: ignore[type-arg]
        return self._rows.get(kind, [])

    def _platform_of_empty(self) -> Platform:
        """Of a report without a single row: by what it says it was made with, or its columns."""
        if self._table is None:
            raise BadStatement("not a report of MetaTrader: no list of trades or deals in it")
        made_with = f"{self._head.generator} {self._head.title}".lower()
        if "metatrader 5" in made_with or "client terminal" in made_with:
            return Platform.MT5
        return Platform.MT4 if self._table.width in (10, 13, 14) else Platform.MT5

    def _kind(self, platform: Platform) -> Kind:
        if platform is Platform.MT4:
            width = self._table.width if self._table is not None else 14
            return Kind.TESTER if width <= mt4.TESTER_COLUMNS else Kind.HISTORY
        return Kind.TESTER if self._before_data >= TESTER_FIGURES else Kind.HISTORY
