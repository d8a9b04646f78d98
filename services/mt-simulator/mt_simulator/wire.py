"""What goes over the wire, whichever platform: query parameters in; JSON, scalars and faults out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from aiohttp import web

from mt_simulator.knobs import Entry
from mt_simulator.model import Refusal

encode = msgspec.json.Encoder(decimal_format="number").encode


class Params:
    """Query parameters, their names in any letter case."""

    def __init__(self, query: Any) -> None:
        self.values: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        for name, value in query.items():
            key = name.lower()
            self.values.setdefault(key, value)
            self.lists.setdefault(key, []).append(value)

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name, default)
        if value is None:
            raise Refusal("NULL_ARGUMENT", f"{name} is required")
        return value

    def number(self, name: str, default: Decimal | None = None) -> Decimal:
        value = self.values.get(name)
        if value is None or value == "":
            if default is None:
                raise Refusal("NULL_ARGUMENT", f"{name} is required")
            return default
        try:
            return Decimal(value)
        except InvalidOperation:
            raise Refusal("INVALID_PARAM", f"{name}: {value} is not a number") from None

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self.number(name, None if default is None else Decimal(default)))

    def moment(self, name: str) -> datetime | None:
        value = self.values.get(name)
        if not value:
            return None
        moment = datetime.fromisoformat(value)
        return None if moment.year < 1980 else moment

    def many(self, *names: str) -> list[str]:
        return [
            part
            for name in names
            for value in self.lists.get(name, [])
            for part in value.split(",")
        ]


def stamp(moment: datetime, *, ms: bool = False) -> str:
    return moment.isoformat(timespec="milliseconds" if ms else "seconds")


def double(price: Decimal) -> float:
    """As the bridges write the prices of orders: without the zeros at their end."""
    return float(price)


def fault(refusal: Refusal) -> bytes:
    return encode({"message": refusal.message, "code": refusal.code, "stackTrace": None})


def login_of(params: Params) -> int:
    value = params.values.get("user", "0")
    return int(value) if value.isdigit() else 0


def scalar(value: Any, style: str) -> web.Response:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if style == "quoted":
        quoted = encode(text if isinstance(value, str) else value)
        return web.Response(body=quoted, content_type="application/json")
    return web.Response(text=text)


def hang_up(request: web.Request, entry: Entry, how: str) -> web.Response:
    entry.answer = how
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def half_an_answer(request: web.Request, entry: Entry) -> web.StreamResponse:
    entry.answer = "cut mid answer"
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"ticket": 1')
    if request.transport is not None:
        request.transport.abort()
    return response
