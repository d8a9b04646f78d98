"""The rows of a report in HTML. Only tables are read; nothing is run, fetched or expanded.

MetaTrader's reports are one flat list of rows, so rows are cut out of the text and cells out of the
rows: each step looks at the text between two tags once, whatever a file does to it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from copypro.errors import BadStatement
from copypro.statements.grid import Cell, Head, Limits, Problems, Row

_SIMPLE = re.compile(r"<t[dh]([^<>]*)>([^<>&]*)</t[dh]>")
"""A cell as nearly all are: lower case, plain text."""
_ROW = re.compile(r"<tr(?=[\s>])", re.IGNORECASE)
_CELL = re.compile(r"<t[dh](?=[\s>])", re.IGNORECASE)
_END = re.compile(r"</(?:t[dhr]|table)\b", re.IGNORECASE)
_TABLE = re.compile(r"<table(?=[\s>])", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_SPAN = re.compile(r"\bcolspan\s*=\s*[\"']?(\d{1,3})", re.IGNORECASE)
_TITLE = re.compile(r"\btitle\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]*))", re.IGNORECASE)
_HIDDEN = re.compile(r"\bclass\s*=\s*[\"']?[^\"'>]*\bhidden\b", re.IGNORECASE)
_ACTIVE = re.compile(r"<(script|iframe|object|embed|applet)\b", re.IGNORECASE)
_HEAD_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_GENERATOR = re.compile(
    r"<meta\s+name=[\"']?generator[\"']?\s+content=[\"']?([^\"'<>]*)", re.IGNORECASE
)
_BOLD = re.compile(r"<b>([^<]*)</b>", re.IGNORECASE)
HEAD_CHARACTERS = 20_000
QUOTE_CHARACTERS = 2_000


def checked(text: str, limits: Limits, problems: Problems) -> str:
    """The text without comments; what no report of MetaTrader contains is refused."""
    if "<!ENTITY" in text[:100_000].upper():
        raise BadStatement("the file declares entities: no report of MetaTrader does")
    active = _ACTIVE.search(text)
    if active is not None:
        line = text.count("\n", 0, active.start()) + 1
        problems.add(line, f"expected a report without <{active[1].lower()}>; it is never run")
    tables = sum(1 for _ in _TABLE.finditer(text))
    if tables > limits.tables:
        raise BadStatement(f"{tables} tables: a report has at most {limits.tables}")
    return _without_comments(text)


def _without_comments(text: str) -> str:
    """Lines stay where they were."""
    parts: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0:
        end = text.find("-->", start)
        parts += [text[at:start], "\n" * text.count("\n", start, end if end >= 0 else None)]
        if end < 0:
            return "".join(parts)
        at = end + 3
    return "".join([*parts, text[at:]])


def head_of(text: str) -> Head:
    first = _ROW.search(text)
    head = text[: min(first.start() if first else len(text), HEAD_CHARACTERS)]
    title, generator = _HEAD_TITLE.search(head), _GENERATOR.search(head)
    return Head(
        title=_clean(title[1]) if title else "",
        generator=_clean(generator[1]) if generator else "",
        lines=tuple(_clean(bold) for bold in _BOLD.findall(head)),
    )


def rows_of(text: str, limits: Limits) -> Iterator[Row]:
    """Rows with at least one cell that says something."""
    line, at = 1, 0
    for count, (start, end) in enumerate(_spans(text)):
        line += text.count("\n", at, start)
        at = start
        if count >= limits.rows:
            raise BadStatement(f"more than {limits.rows} rows: split the report by dates")
        cells = _cells(text[start:end], line, limits)
        if cells and (cells[0].text or any(cell.text for cell in cells)):
            yield Row(line, cells)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = None
    for found in _ROW.finditer(text):
        if start is not None:
            yield start, found.start()
        start = found.start()
    if start is not None:
        yield start, len(text)


def _cells(row: str, line: int, limits: Limits) -> list[Cell]:
    parts = _SIMPLE.findall(row)
    if not parts or len(parts) != row.count("<td") + row.count("<th"):
        return _placed(_all_parts(row), line, limits)
    for attributes, _ in parts:
        if _attributes(attributes).is_cut:
            return _placed(_all_parts(row), line, limits)
    return _placed(parts, line, limits)


def _all_parts(row: str) -> list[tuple[str, str]]:
    return [_parted(part) for part in _CELL.split(row)[1:]]


def _placed(parts: list[tuple[str, str]], line: int, limits: Limits) -> list[Cell]:
    if len(parts) > limits.cells:
        raise BadStatement(f"line {line}: more than {limits.cells} cells in a row")
    cells: list[Cell] = []
    column, most = 0, limits.text
    for attributes, text in parts:
        known = _attributes(attributes)
        if known.hidden:
            continue
        text = text.strip()
        if not text.isprintable():
            text = " ".join(text.split())
        cells.append(Cell(text if len(text) <= most else text[:most], column, known.title[:most]))
        column += known.span
    return cells


class _Attributes(Struct, frozen=True, gc=False):
    hidden: bool
    span: int
    title: str
    is_cut: bool
    """A `>` inside quotes ended them early: the cell is to be read with care."""


@lru_cache(maxsize=512)
def _attributes(attributes: str) -> _Attributes:
    wide, title = _SPAN.search(attributes), _TITLE.search(attributes)
    return _Attributes(
        hidden=_HIDDEN.search(attributes) is not None,
        span=int(wide[1]) if wide else 1,
        title=_clean(title[1] or title[2] or title[3] or "") if title else "",
        is_cut=attributes.count('"') % 2 == 1,
    )


def _parted(part: str) -> tuple[str, str]:
    """Attributes and text of a cell; a `>` inside quotes ends no tag."""
    attributes, _, rest = part.partition(">")
    if '"' in attributes and attributes.count('"') % 2:
        quote = rest.find('"', 0, QUOTE_CHARACTERS)
        close = rest.find(">", quote) if quote >= 0 else -1
        if close >= 0:
            attributes, rest = f"{attributes}>{rest[:close]}", rest[close + 1 :]
    end = _END.search(rest)
    return attributes, _clean(_TAG.sub("", rest[: end.start()] if end else rest))


def _clean(text: str) -> str:
    """One line of plain text: entities resolved once, blanks of all kinds are blanks."""
    if "&" in text:
        text = html.unescape(text)
    return " ".join(text.split())
