"""The lines of a copier's log, for people. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from copypro import collections as c
from copypro import messages as m
from copypro.ports import Record

from copypro_stats.patch import Fields, Patch, iso

Level = Literal["Information", "Warning", "Error"]


def skipped(event: m.CopySkipped, at: datetime, record: Record) -> Patch:
    what = f"{event.symbol} {event.order_type} {event.lots}"
    text = f"{what}: skipped {event.code}, {event.remedy}"
    return _line(event.copier, at, record, "Information", text)


def executed(event: m.ExecutionEvent, said: Fields, at: datetime, record: Record) -> list[Patch]:
    """`said`: as in its trade log."""
    level = _level(event)
    if level is None:
        return []
    return [_line(event.copier, at, record, level, _sentence(type(event).__name__, said))]


def _level(event: m.ExecutionEvent) -> Level | None:
    """None: what is no news."""
    match event:
        case m.AttemptStarted() | m.CopyModified():
            return None
        case m.CopyUnresolved() | m.CopyNeedsPerson():
            return "Error"
        case m.CopyDenied() | m.CopyRejected() | m.CopyNotSent() | m.CopyReconciled():
            return "Warning"
        case m.CopyDetached():
            return "Warning" if event.left else "Information"
        case _:
            return "Information"


_SAID = (
    "slave_symbol",
    "slave_side",
    "slave_lots",
    "slave_ticket",
    "slave_price",
    "code",
    "text",
    "evidence",
    "removed",
)


def _sentence(what: str, said: Fields) -> str:
    parts = [
        f"{name.removeprefix('slave_')}={said[name]}"
        for name in _SAID
        if said.get(name) is not None
    ]
    return " ".join([what, *parts])


def _line(copier: str, at: datetime, record: Record, level: Level, text: str) -> Patch:
    fields = {"copier": copier, "time": iso(at), "level": level, "text": text}
    return Patch(c.LOGS, f"{record.topic}/{record.partition}/{record.offset:012d}", fields)
