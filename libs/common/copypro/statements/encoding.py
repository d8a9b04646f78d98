"""Bytes into text: MetaTrader 5 writes UTF-16, MetaTrader 4 the code page of its machine."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_CYRILLIC = re.compile(rb"[\xc0-\xff]{3,}")


def text_of(data: bytes) -> str:
    """Never fails: what matters in a report is ASCII in every code page of Windows.

    The order: byte order mark, zeros of UTF-16, UTF-8 if it is valid, what the file declares, and
    of the two usual code pages the one in which runs of letters make sense.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    start = data[:200]
    if start.count(0) > len(start) // 3:
        return data.decode("utf-16-le" if start[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(_code_page(data), "replace")


def _code_page(data: bytes) -> str:
    declared = _DECLARED.search(data[:4096])
    if declared is not None:
        name = declared[1].decode("ascii")
        try:
            if codecs.lookup(name)._is_text_encoding and name.lower() not in ("utf-8", "utf-16"):
                return name
        except LookupError:
            pass
    return "cp1251" if _CYRILLIC.search(data) else "cp1252"
