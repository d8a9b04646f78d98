"""A history is complete, each piece once, or an error."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from copypro.adapters.bridge_history import read_history
from copypro.adapters.bridge_json import Params
from copypro.adapters.mt5_translate import history as rows_of
from copypro.errors import Unavailable

START = datetime(2026, 9, 14, 8)
END = START + timedelta(hours=1)


def row(number: int, minute: float) -> dict[str, object]:
    at = (START + timedelta(minutes=minute)).isoformat()
    return {"ticket": number, "orderType": "Buy", "state": "Filled", "closeLots": 0.1,
            "openTime": START.isoformat(), "closeTime": at,
            "dealInternalOut": {"ticketNumber": 900 + number, "lots": 0.1}}  # fmt: skip


class Bridge:
    """Answers from rows; without pages if `whole` is given: so many rows at most, then action 14."""

    def __init__(self, rows: list[dict[str, object]], whole: int = 0) -> None:
        self.rows, self.whole, self.reads = rows, whole, 0

    async def read(self, call: str, params: Params | None = None, *, urgent: bool = False) -> bytes:
        assert params is not None
        assert not urgent
        self.reads += 1
        since, until = str(params["from"]), str(params["to"])
        found = [row for row in self.rows if since <= str(row["closeTime"]) < until]
        if call == "OrderHistory":
            more = len(found) > self.whole
            action = 14 if more else 1
            return json.dumps({"orders": found[: self.whole], "action": action}).encode()
        if self.whole:
            raise Unavailable("HTTP_404", "")
        size, page = int(str(params["ordersPerPage"])), int(str(params["pageNumber"]))
        pages = max(1, -(-len(found) // size))
        shown = found[page * size : (page + 1) * size]
        return json.dumps({"pagesCount": pages, "pageNumber": page, "orders": shown}).encode()


async def tickets(bridge: Bridge) -> list[int]:
    found = await read_history(bridge.read, rows_of, START, END, 3)
    return sorted(piece.ticket for piece in found.closed)


async def test_all_pages_are_read() -> None:
    bridge = Bridge([row(number, number) for number in range(10)])
    assert await tickets(bridge) == list(range(10))
    assert bridge.reads == 4


async def test_the_span_ends_before_its_end() -> None:
    bridge = Bridge([row(1, -1), row(2, 0), row(3, 59.999), row(4, 60), row(5, 60.01)])
    assert await tickets(bridge) == [2, 3]


async def test_without_pages_a_span_answered_in_part_is_halved() -> None:
    bridge = Bridge([row(number, number * 5) for number in range(11)], whole=2)
    assert await tickets(bridge) == list(range(11))


async def test_what_cannot_be_had_whole_is_an_error() -> None:
    bridge = Bridge([row(1, 5), row(2, 5), row(3, 5)], whole=1)
    with pytest.raises(Unavailable, match="HISTORY_INCOMPLETE"):
        await tickets(bridge)


async def test_an_unreadable_page_is_an_error_and_no_gap() -> None:
    async def read(call: str, params: Params | None = None, *, urgent: bool = False) -> bytes:
        return b'{"pagesCount": 2, "orders": [{"lots": 1}]}'

    with pytest.raises(Unavailable, match="UNREADABLE"):
        await read_history(read, rows_of, START, END, 3)
