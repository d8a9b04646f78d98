"""The rows of a report in a spreadsheet: its first sheet, read piece by piece, never as a tree.

A zip's own sizes are not believed: what is unpacked is counted as it comes. A part with a DOCTYPE is
refused, so no entity exists that could be expanded; formulas are not computed, their values are read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from xml.parsers import expat

from copypro.errors import BadStatement
from copypro.statements.grid import Cell, Limits, Row

_DATE_FORMATS = frozenset({14, 15, 16, 17, 18, 19, 20, 21, 22, 45, 46, 47})
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 (a broker's clock has no zone)
_CHUNK = 65_536
_BOMB_FROM = 1_000_000
"""Bytes that any file may unpack to, however small it is packed."""
_MOST = 1e18
Attributes = dict[str, str]


class Workbook:
    """Errors: BadStatement, for anything that is not a small and well-made spreadsheet."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._limits, self._unpacked = limits, 0
        self._most = min(limits.unpacked_bytes, limits.ratio * len(data) + _BOMB_FROM)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise BadStatement(f"the spreadsheet is truncated or damaged: {error}") from None
        if len(self._zip.namelist()) > limits.parts:
            raise BadStatement(f"the spreadsheet has more than {limits.parts} parts")

    def rows(self) -> Iterator[Row]:
        strings = _Strings(self._limits)
        for _ in self._parsed("xl/sharedStrings.xml", strings.start, strings.end, strings.text):
            pass
        styles = _Styles()
        for _ in self._parsed("xl/styles.xml", styles.start, styles.end, None):
            pass
        sheet = _Sheet(strings.found, styles.dates(), self._limits)
        for _ in self._parsed(self._sheet(), sheet.start, sheet.end, sheet.text):
            yield from sheet.rows
            sheet.rows.clear()

    def _sheet(self) -> str:
        sheets = (name for name in self._zip.namelist() if name.startswith("xl/worksheets/"))
        found = min((name for name in sheets if name.endswith(".xml")), default=None)
        if found is None:
            raise BadStatement("not a spreadsheet with a sheet in it")
        return found

    def _parsed(
        self,
        part: str,
        start: Callable[[str, Attributes], None],
        end: Callable[[str], None],
        text: Callable[[str], None] | None,
    ) -> Iterator[None]:
        """Calls back for each element of the part; pauses after each piece."""
        if part not in self._zip.namelist():
            return
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.buffer_text = True
        try:
            with self._zip.open(part) as packed:
                while chunk := packed.read(_CHUNK):
                    self._count(len(chunk))
                    parser.Parse(chunk, False)
                    yield
                parser.Parse(b"", True)
                yield
        except (expat.ExpatError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise BadStatement(f"the spreadsheet is damaged at {part}: {error}") from None
        except (RuntimeError, NotImplementedError) as error:
            raise BadStatement(f"the spreadsheet cannot be unpacked: {error}") from None

    def _count(self, size: int) -> None:
        self._unpacked += size
        if self._unpacked > self._most:
            text = f"the spreadsheet unpacks to more than {self._most:,} bytes: it is refused"
            raise BadStatement(text)


def _refuse_doctype(*_: object) -> None:
    raise BadStatement("the spreadsheet declares a DOCTYPE: none of MetaTrader's does")


def _local(name: str) -> str:
    return name.rpartition(":")[2] if ":" in name else name


class _Strings:
    """The texts that cells refer to by number."""

    def __init__(self, limits: Limits) -> None:
        self.found: list[str] = []
        self._most = limits.text
        self._parts: list[str] = []
        self._inside = False

    def start(self, name: str, _: Attributes) -> None:
        name = _local(name)
        if name == "si":
            self._parts = []
        self._inside = name == "t"

    def text(self, text: str) -> None:
        if self._inside and len(self._parts) < 100:
            self._parts.append(text[: self._most])

    def end(self, name: str) -> None:
        self._inside = False
        if _local(name) == "si":
            self.found.append(_plain("".join(self._parts), self._most))


class _Styles:
    """Which cell styles show a date: a spreadsheet program makes dates of MetaTrader's texts."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = {}
        self._formats: list[int] = []
        self._inside = False

    def start(self, name: str, attributes: Attributes) -> None:
        match _local(name):
            case "numFmt":
                self._codes[_whole(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
            case "cellXfs":
                self._inside = True
            case "xf" if self._inside and len(self._formats) < 100_000:
                self._formats.append(_whole(attributes.get("numFmtId")))

    def end(self, name: str) -> None:
        if _local(name) == "cellXfs":
            self._inside = False

    def dates(self) -> frozenset[int]:
        dates = _DATE_FORMATS | {id_ for id_, code in self._codes.items() if _shows_date(code)}
        return frozenset(at for at, id_ in enumerate(self._formats) if id_ in dates)


class _Sheet:
    """Rows as they end; the caller takes them away."""

    def __init__(self, strings: list[str], dates: frozenset[int], limits: Limits) -> None:
        self.rows: list[Row] = []
        self._strings, self._dates, self._limits = strings, dates, limits
        self._number = self._count = 0
        self._cells: list[Cell] = []
        self._cell: Attributes = {}
        self._at = -1
        self._text: list[str] = []
        self._inside = False

    def start(self, name: str, attributes: Attributes) -> None:
        name = _local(name)
        if name == "c":
            self._cell, self._text = attributes, []
            self._at = _column(attributes.get("r"), self._at + 1)
        elif name in ("v", "t"):
            self._inside = True
        elif name == "row":
            self._count += 1
            self._number = _whole(attributes.get("r")) or self._count
            self._cells, self._at = [], -1
            if self._count > self._limits.rows:
                raise BadStatement(f"more than {self._limits.rows} rows: split it by dates")

    def text(self, text: str) -> None:
        if self._inside and len(self._text) < 100:
            self._text.append(text[: self._limits.text])

    def end(self, name: str) -> None:
        name = _local(name)
        if name == "c":
            if self._text:
                self._keep("".join(self._text))
        elif name in ("v", "t"):
            self._inside = False
        elif name == "row" and self._cells:
            self.rows.append(Row(self._number, self._cells))

    def _keep(self, value: str) -> None:
        if len(self._cells) >= self._limits.cells:
            text = f"line {self._number}: more than {self._limits.cells} cells in a row"
            raise BadStatement(text)
        kind = self._cell.get("t", "n")
        if kind == "s":
            at = _whole(value)
            value = self._strings[at] if at < len(self._strings) else ""
        elif kind == "n":
            is_date = _whole(self._cell.get("s")) in self._dates
            number = None if is_date else _decimal(value)
            if number is not None:
                self._cells.append(Cell(number, self._at, is_number=True))
                return
            value = _moment(value) if is_date else value
        text = _plain(value, self._limits.text)
        if text:
            self._cells.append(Cell(text, self._at))


def _plain(text: str, most: int) -> str:
    return " ".join(text.split())[:most]


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 12 else 0


def _column(reference: str | None, following: int) -> int:
    """A1 is 0, AA1 is 26; a cell without a reference follows the last one."""
    if not reference:
        return following
    column = 0
    for letter in reference[:4]:
        if not letter.isalpha():
            break
        column = column * 26 + ord(letter) - 64
    return column - 1


def _decimal(value: str) -> str | None:
    """What was meant: the shortest decimal of the double that the file spells with 17 digits."""
    try:
        number = float(value)
    except ValueError:
        return None
    if not abs(number) < _MOST:
        return None
    text = repr(number)
    if "e" in text:
        text = f"{number:.12f}".rstrip("0").rstrip(".")
    return text.removesuffix(".0")


def _moment(value: str) -> str:
    """Days since 1899-12-30, as MetaTrader writes a time."""
    try:
        moment = _EPOCH + timedelta(seconds=round(float(value) * 86_400))
    except (ValueError, OverflowError):
        return value[:100]
    return moment.strftime("%Y.%m.%d %H:%M:%S")


def _shows_date(code: str) -> bool:
    plain = code.lower()
    return "yy" in plain or ("h" in plain and "mm" in plain)
