"""An exported audit trail: JSON Lines in which each line holds the one before. Pure.

A line that was changed, left out, added or moved breaks the chain at its place. Cutting off the end
does not: the last line's hash, noted elsewhere, tells. A later export begins as an earlier one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec
from copypro.envelope import Envelope
from msgspec import Struct

FIRST = hashlib.sha256(b"copypro audit").hexdigest()
"""What the first line has as the one before."""


class Checked(Struct, frozen=True):
    lines: int
    last: str
    """The last line's hash."""


class Broken(Struct, frozen=True):
    line: int
    """The first one that is not right, from 1."""
    reason: str


def line_of(event: Envelope, number: int, previous: str) -> tuple[str, str]:
    """The event's line, without its end, and the line's hash; `previous`: that of the one before."""
    body = {
        "number": number,
        "id": event.id,
        "cause": event.cause,
        "time": event.time.isoformat(),
        "event": msgspec.to_builtins(event.message),
        "previous": previous,
    }
    hash_ = _hash(body)
    return _text(body | {"hash": hash_}), hash_


def check(lines: Iterable[str]) -> Checked | Broken:
    previous, number = FIRST, 0
    for number, line in enumerate(lines, start=1):
        reason = _wrong(line, number, previous)
        if reason:
            return Broken(number, reason)
        previous = json.loads(line)["hash"]
    return Checked(number, previous)


def _wrong(line: str, number: int, previous: str) -> str:
    """Why this line cannot be the next; empty: it can."""
    try:
        body = json.loads(line)
    except ValueError:
        return "is no JSON"
    if not isinstance(body, dict) or "hash" not in body:
        return "has no hash"
    if body.get("number") != number or body.get("previous") != previous:
        return "does not follow the line before: something was left out, added or moved"
    found = body.pop("hash")
    if found != _hash(body) or line.rstrip("\n") != _text(body | {"hash": found}):
        return "was changed"
    return ""


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(_text(body).encode()).hexdigest()


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))
