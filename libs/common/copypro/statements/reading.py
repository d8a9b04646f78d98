"""A report's bytes into what it says: MetaTrader 4 and 5, history and strategy tester, htm and xlsx.

Nothing rests on a report's language: rows are recognised by what stands in them, figures by their
labels in English and by their order in any other language.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from copypro.errors import BadStatement
from copypro.statements import html_rows
from copypro.statements.collecting import Collector
from copypro.statements.encoding import text_of
from copypro.statements.grid import Head, Limits, Problems, Row
from copypro.statements.rows import Statement
from copypro.statements.values import number_format
from copypro.statements.xlsx_rows import Workbook

LIMITS = Limits()
SAMPLE_ROWS = 400
"""From which the number format is learned."""


def read(data: bytes, limits: Limits = LIMITS, *, lenient: bool = False) -> Statement:
    """Errors: BadStatement, which names the line and what was expected there. Lenient: rows that
    cannot be read are left out and listed in `problems`; a file that is no report is refused anyway.
    """
    if not data:
        raise BadStatement("the file is empty")
    if len(data) > limits.file_bytes:
        text = f"the file has {len(data):,} bytes, at most {limits.file_bytes:,} are read"
        raise BadStatement(f"{text}: split the report by dates")
    problems = Problems(limits, lenient=lenient)
    head, rows = _rows(data, limits, problems)
    first = list(islice(rows, SAMPLE_ROWS))
    if not first:
        raise BadStatement("not a report of MetaTrader: there is no table in it")
    numbers = number_format(
        cell.text for row in first for cell in row.cells if not cell.is_number and cell.text
    )
    collector = Collector(head, numbers, problems)
    for row in chain(first, rows):
        collector.take(row)
    return collector.statement()


def _rows(data: bytes, limits: Limits, problems: Problems) -> tuple[Head, Iterator[Row]]:
    if data.startswith(b"PK\x03\x04"):
        return Head(), Workbook(data, limits).rows()
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise BadStatement("an old xls file: save the report as htm or xlsx")
    if data.startswith((b"%PDF", b"\x89PNG", b"\x1f\x8b", b"PK")):
        raise BadStatement("not a report of MetaTrader: expected htm, html or xlsx")
    text = html_rows.checked(text_of(data), limits, problems)
    return html_rows.head_of(text), _whole(text, html_rows.rows_of(text, limits), problems)


def _whole(text: str, rows: Iterable[Row], problems: Problems) -> Iterator[Row]:
    """The rows, and at the end whether the file ended as it should."""
    last = 0
    for row in rows:
        last = row.line
        yield row
    end = text[-2_000:].lower()
    if last and not any(tag in end for tag in ("</table", "</body", "</html")):
        problems.add(last, "expected </table>, found the end of the file: it is truncated")
