"""A report as rows of cells, whatever file it came in; limits of what is read; what was wrong."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from copypro.errors import BadStatement


class Limits(Struct, frozen=True, kw_only=True):
    """What a file may cost. A year of a busy account is about 10 MB."""

    file_bytes: int = 128_000_000
    unpacked_bytes: int = 256_000_000
    """Of a spreadsheet, all parts together."""
    ratio: int = 200
    """Unpacked to packed: MetaTrader's spreadsheets pack to a tenth, a bomb to a thousandth."""
    parts: int = 200
    rows: int = 1_000_000
    cells: int = 64
    """In a row."""
    text: int = 2_000
    """Characters of a cell."""
    tables: int = 64
    problems: int = 1_000


class Cell(Struct, frozen=True, gc=False):
    """`column` counts spans, so that cells of different rows can be set under each other."""

    text: str
    column: int
    title: str = ""
    is_number: bool = False
    """Of a spreadsheet: `text` is a plain decimal number, no format to guess."""


class Row(Struct, frozen=True, gc=False):
    """`line`: of the file (htm), or the row's number (xlsx)."""

    line: int
    cells: Sequence[Cell]


class Problem(Struct, frozen=True):
    """What could not be read, and what was expected instead."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


class Head(Struct, frozen=True):
    """What a file says of itself outside its tables."""

    title: str = ""
    generator: str = ""
    lines: Sequence[str] = ()


class Problems:
    """Strict: the first problem ends the reading. Lenient: they are listed, up to a limit."""

    def __init__(self, limits: Limits, *, lenient: bool) -> None:
        self._limits, self._lenient = limits, lenient
        self.found: list[Problem] = []

    def note(self, line: int, text: str) -> None:
        """Something that is not understood and that no row depends on: listed, never an end."""
        self.found.append(Problem(line, text))

    def add(self, line: int, text: str) -> None:
        problem = Problem(line, text)
        if not self._lenient:
            raise BadStatement(str(problem))
        self.found.append(problem)
        if len(self.found) >= self._limits.problems:
            raise BadStatement(f"more than {self._limits.problems} problems; the last: {problem}")
