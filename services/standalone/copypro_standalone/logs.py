"""How the program speaks to its operator: one line per fact, for people or as JSON; no locals, ever."""

from __future__ import annotations

import logging
import select
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

SELDOM_S = 30.0
"""A library that says the same thing again is heard so often at most."""
PATIENCE_MS = 50
"""A reader may be behind for so long; while lines are left out nothing waits for it."""
CLIENTS = ("aiokafka", "pymongo", "aiohttp")
FIRST = ("timestamp", "level", "service", "event")
Event = MutableMapping[str, Any]


def configure(*, as_json: bool, level: int = logging.INFO, simulated: bool = False) -> None:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named,
    ]
    if simulated:
        shared.append(_simulated)
    if as_json:
        last: list[Any] = [structlog.processors.format_exc_info, _json]
    else:
        # Plain tracebacks: pretty ones print local variables, and those hold secrets.
        plain = structlog.dev.plain_traceback
        last = [
            _printable,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain),
        ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Named,
    )
    _libraries()


def printable(text: str) -> str:
    """As a terminal may be given it, whoever wrote it: what it would obey is spelled out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


class _Output:
    """Standard error. A line that cannot be written (a full disk, a pipe whose reader is gone or does
    not read, a terminal that Ctrl-S holds) is left out, since no trade and no stop may wait or end for
    it; the next one that can be says how many were.
    """

    def __init__(self) -> None:
        self._left_out, self._because = 0, ""

    def write(self, line: str) -> None:
        if not _takes_more(0 if self._left_out else PATIENCE_MS):
            self._leave_out("nobody reads it")
            return
        try:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        except OSError as error:
            self._leave_out(str(error.strerror))
            return
        if self._left_out:
            lines, self._left_out = self._left_out, 0
            structlog.get_logger("copypro").warning(
                "the log could not be written", lines_left_out=lines, because=self._because
            )

    def _leave_out(self, because: str) -> None:
        self._left_out, self._because = self._left_out + 1, because


def _takes_more(wait_ms: int) -> bool:
    try:
        file = sys.stderr.fileno()
    except (OSError, ValueError):  # none of the system's
        return True
    ready = select.poll()
    ready.register(file, select.POLLOUT)
    return bool(ready.poll(wait_ms))


_output = _Output()


class _Named:
    """Knows which service speaks."""

    def __init__(self, name: str = "copypro") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        _output.write(line)

    debug = info = warning = error = critical = msg


def _named(logger: _Named, _: str, event: Event) -> Event:
    event["service"] = logger.name
    return event


def _simulated(_: object, __: str, event: Event) -> Event:
    event["SIMULATED"] = True
    return event


def _printable(_: object, __: str, event: Event) -> Event:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value)
    return event


def _json(_: object, __: str, event: Event) -> str:
    first = {name: event.pop(name, "") for name in FIRST}
    return msgspec.json.encode(first | dict(event), enc_hook=repr).decode()


def _libraries() -> None:
    """What libraries warn of, in the same form as our own lines."""
    handler = _Handler()
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """What a client of a server calls an error it mends by itself, or our own lines tell."""
        level = record.levelno
        if record.name.startswith(CLIENTS):
            level = min(level, logging.WARNING)
        structlog.get_logger(record.name).log(level, record.getMessage(), exc_info=record.exc_info)


class _Seldom(logging.Filter):
    """A broker that is away is told by our own lines; a library would tell it at every try."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        what, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._said_at.get(what, float("-inf")) < SELDOM_S:
            return False
        self._said_at[what] = now
        return True
