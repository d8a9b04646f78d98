"""Writes reports as MetaTrader writes them, in any language, number format, encoding and file."""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Callable, Sequence
from decimal import Decimal

Row = Sequence[str]
Words = Callable[[str], str]
Numbers = Callable[[str], str]


def plain(text: str) -> str:
    return text


def spaced(text: str) -> str:
    """1 234.56, as MetaTrader writes it."""
    whole, dot, rest = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    groups = [digits[max(0, at - 3) : at] for at in range(len(digits), 0, -3)]
    return sign + " ".join(reversed(groups)) + dot + rest


def with_marks(grouping: str, decimal: str) -> Numbers:
    def write(text: str) -> str:
        return spaced(text).replace(".", "\0").replace(" ", grouping).replace("\0", decimal)

    return write


def foreign(text: str) -> str:
    """A language that nobody knows: labels keep their colon and nothing else."""
    body = text.removesuffix(":")
    return "".join("éü"[ord(c) % 2] if c.isalpha() else c for c in body) + text[len(body) :]


def document(rows: Sequence[str], title: str, generator: str = "") -> str:
    return (
        f'<html><head><title>{title}</title><meta name="generator" content="{generator}">'
        "</head><body><div><b>Some Broker Ltd</b></div><table>\n" + "\n".join(rows) + "\n</table>"
        "</body></html>"
    )


def _row(cells: Sequence[str | tuple[str, int]], first_title: str = "") -> str:
    out = []
    for at, cell in enumerate(cells):
        text, span = cell if isinstance(cell, tuple) else (cell, 1)
        wide = f" colspan={span}" if span > 1 else ""
        title = f' title="{html.escape(first_title)}"' if first_title and not at else ""
        out.append(f"<td{title}{wide}>{html.escape(text)}</td>")
    return f"<tr align=right>{''.join(out)}</tr>"


# --- MetaTrader 4 ---------------------------------------------------------------------------------

MT4_COLUMNS = (
    "Ticket", "Open Time", "Type", "Size", "Item", "Price", "S / L", "T / P", "Close Time",
    "Price", "Commission", "Taxes", "Swap", "Profit",
)  # fmt: skip


def mt4_closed(
    ticket: int, opened: str, side: str, lots: str, symbol: str, prices: tuple[str, str],
    closed: str, money: tuple[str, str, str, str], number: Numbers = spaced, comment: str = "",
) -> str:  # fmt: skip
    cells = (
        str(ticket), opened, side, number(lots), symbol, number(prices[0]), number("0.00000"),
        number("0.00000"), closed, number(prices[1]), *map(number, money),
    )  # fmt: skip
    return _row(cells, comment)


def mt4_operation(
    ticket: int, time: str, kind: str, amount: str, number: Numbers = spaced, comment: str = "x"
) -> str:
    return _row((str(ticket), time, kind, (comment, 10), number(amount)), comment)


def mt4_cancelled(ticket: int, time: str) -> str:
    cells: list[str | tuple[str, int]] = [
        str(ticket), time, "buy limit", "0.10", "eurusd", "1.10000", "0.00000", "0.00000", time,
        "1.10500", ("cancelled", 4),
    ]  # fmt: skip
    return _row(cells)


def mt4_comment(expert: str, comment: str) -> str:
    """Under each order that an expert opened, where the broker's template asks for it."""
    return _row([("", 9), expert, (comment, 3)])


def mt4_sums(commission: str, taxes: str, swap: str, profit: str) -> str:
    return _row([("", 10), commission, taxes, swap, profit])


def mt4_statement(
    closed: Sequence[str],
    figures: Sequence[tuple[str, str]] = (),
    words: Words = plain,
    login: int = 1000001,
    currency: str = "USD",
) -> str:
    """`figures`: label and printed text, three to a row."""
    head = [(f"{words('Account:')} {login}", 2), (f"{words('Name:')} X", 5)]
    head.append((f"{words('Currency:')} {currency}", 2))
    rows = [_row([*head, ("2024 May 31, 20:46", 5)])]
    rows += [_row([(words("Closed Transactions:"), 13)]), _row([words(n) for n in MT4_COLUMNS])]
    rows += closed
    rows += [_row([words(n) if at != 8 else "" for at, n in enumerate(MT4_COLUMNS)])]
    rows += [_row([(words("No transactions"), 13)])]
    for at in range(0, len(figures), 3):
        row: list[str | tuple[str, int]] = []
        for label, value in figures[at : at + 3]:
            row += [(words(label + ":"), 2), (value, 2)]
        rows.append(_row(row))
    return document(rows, f"Statement: {login} - X", "MetaQuotes Software Corp.")


MT4_TESTER_COLUMNS = (
    "#", "Time", "Type", "Order", "Size", "Price", "S / L", "T / P", "Profit", "Balance",
)  # fmt: skip


def mt4_tester(figures: Sequence[tuple[str, str]], rows: Sequence[Row]) -> str:
    head = [
        _row([("Symbol", 2), ("EURUSD (Euro vs US Dollar)", 4)]),
        _row([("Period", 2), ("1 Hour (H1) 2013.01.02 00:00 - 2013.12.31 00:00", 4)]),
    ]
    for at in range(0, len(figures), 3):
        pairs = [text for pair in figures[at : at + 3] for text in pair]
        head.append(_row(pairs))
    table = [_row(MT4_TESTER_COLUMNS)]
    for row in rows:
        table.append(_row([*row[:8], ("", 2)] if len(row) == 8 else list(row)))
    text = "</table><img src='t.gif'><table>"
    return document([*head, text, *table], "Strategy Tester: MACD Sample")


# --- MetaTrader 5 ---------------------------------------------------------------------------------

MT5_DEALS = (
    "Time", "Deal", "Symbol", "Type", "Direction", "Volume", "Price", "Order", "Commission",
    "Fee", "Swap", "Profit", "Balance", "Comment",
)  # fmt: skip
MT5_POSITIONS = (
    "Time", "Position", "Symbol", "Type", "Volume", "Price", "S / L", "T / P", "Time", "Price",
    "Commission", "Swap", "Profit",
)  # fmt: skip
ACCOUNT = "1000001 (USD, Broker-Server, real, Hedge)"


def mt5_head(words: Words, account: str = ACCOUNT) -> list[Row]:
    pairs = (("Name:", "X"), ("Account:", account), ("Company:", "Broker Ltd"))
    return [(words(label), value) for label, value in (*pairs, ("Date:", "2024.05.31 20:46"))]


def mt5_history(
    positions: Sequence[Row],
    deals: Sequence[Row],
    figures: Sequence[tuple[str, str]] = (),
    words: Words = plain,
    account: str = ACCOUNT,
) -> str:
    """As builds from 2019 on write it, with their hidden cells."""
    rows = [_row([(row[0], 4), (row[1], 10)]) for row in mt5_head(words, account)]
    rows += [_row([(words("Positions"), 14)]), _row([words(name) for name in MT5_POSITIONS])]
    for row in positions:
        visible = _row(row).replace("</td>", "</td>\0")
        parts = visible.split("\0")
        parts.insert(4, '<td class="hidden" colspan="8">hidden comment</td>')
        rows.append("".join(parts))
    rows += [_row([(words("Deals"), 14)]), _row([words(name) for name in MT5_DEALS])]
    rows += [_row(row) for row in deals]
    rows += [_row(row) for row in figure_rows(figures, words)]
    return document(rows, f"{words('Trade History Report')}", "client terminal")


def figure_rows(figures: Sequence[tuple[str, str]], words: Words) -> list[Row]:
    rows = []
    for at in range(0, len(figures), 3):
        rows.append(
            [t for label, value in figures[at : at + 3] for t in (words(label + ":"), value)]
        )
    return rows


def xlsx(rows: Sequence[Sequence[object]], *, extra: str = "") -> bytes:
    """Text inline, numbers as numbers; blank cells are left out, as spreadsheets do."""
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = []
        for at, value in enumerate(row):
            reference = f"{chr(65 + at)}{number}"
            if isinstance(value, (int, float, Decimal)):
                cells.append(f'<c r="{reference}"><v>{float(value)!r}</v></c>')
            elif value:
                text = html.escape(str(value))
                cells.append(f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'{extra}<worksheet xmlns="{space}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", f'<?xml version="1.0"?>{sheet}')
    return packed.getvalue()
