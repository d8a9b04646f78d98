"""An account's history from a bridge: in pages, complete, each closed piece once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from copypro.adapters.bridge_json import Params, Unreadable, clock, decoded, pages
from copypro.errors import Unavailable
from copypro.trading import BalanceOperation, ClosedOrder, History

MOST_PAGES = 10_000
_SECOND = timedelta(seconds=1)
RowsOf = Callable[[bytes], tuple[History, bool]]


class Read(Protocol):
    async def __call__(
        self, call: str, params: Params | None = None, *, urgent: bool = False
    ) -> bytes: ...


async def read_history(
    read: Read, rows_of: RowsOf, since: datetime, until: datetime, page_orders: int
) -> History:
    """What ended in [since, until). Errors: as reads; Unavailable for any page that is missing."""
    found = _Found(since, until)
    # Bridges read times to the second: ask for a little more, keep what was asked for.
    span = {"from": clock(since), "to": clock(until + _SECOND)}
    try:
        await _by_pages(read, rows_of, span, page_orders, found)
    except Unavailable as error:
        if error.code != "HTTP_404":
            raise
        found = _Found(since, until)
        await _by_spans(read, rows_of, since, until + _SECOND, found)
    return found.history()


async def _by_pages(
    read: Read, rows_of: RowsOf, span: Params, page_orders: int, found: _Found
) -> None:
    number, count = 0, 1
    while number < count:
        page = {"ordersPerPage": page_orders, "pageNumber": number, "sort": "CloseTime"}
        again = {"ascending": "true", "requestAgain": "true" if number == 0 else "false"}
        body = await read("OrderHistoryPagination", {**span, **page, **again})
        rows, _ = _understood(rows_of, body)
        found.add(rows)
        # A bare list is all there is.
        count = _pages_in(body) if body.lstrip()[:1] == b"{" else 1
        if count > MOST_PAGES:
            raise Unavailable("HISTORY_TOO_LONG", f"{count} pages of {page_orders} orders")
        number += 1


async def _by_spans(
    read: Read, rows_of: RowsOf, since: datetime, until: datetime, found: _Found
) -> None:
    """Bridges without pages: a span that is answered in part is asked for again in two halves."""
    body = await read("OrderHistory", {"from": clock(since), "to": clock(until)})
    rows, more = _understood(rows_of, body)
    found.add(rows)
    if not more:
        return
    middle = since + (until - since) // 2
    if until - since <= 4 * _SECOND:
        raise Unavailable("HISTORY_INCOMPLETE", "the bridge keeps back a part of the history")
    await _by_spans(read, rows_of, since, middle + _SECOND, found)
    await _by_spans(read, rows_of, middle, until, found)


def _understood(rows_of: RowsOf, body: bytes) -> tuple[History, bool]:
    failure = ""
    try:
        return rows_of(body)
    except Unreadable as error:
        failure = str(error)
    raise Unavailable("UNREADABLE", f"the history cannot be read ({failure})")


def _pages_in(body: bytes) -> int:
    failure = ""
    try:
        return decoded(pages, body).pages_count
    except Unreadable as error:
        failure = str(error)
    raise Unavailable("UNREADABLE", f"the history's pages cannot be counted ({failure})")


class _Found:
    """Rows of the span, each once: pages shift when something ends between two reads."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self._since, self._until = since, until
        self._closed: dict[tuple[object, ...], ClosedOrder] = {}
        self._operations: dict[int, BalanceOperation] = {}

    def add(self, rows: History) -> None:
        for row in rows.closed:
            if self._since <= row.closed_at_broker < self._until:
                self._closed[row.ticket, row.deal, row.closed_at_broker] = row
        for operation in rows.operations:
            if self._since <= operation.time_broker < self._until:
                self._operations[operation.ticket] = operation

    def history(self) -> History:
        return History(
            closed=tuple(self._closed.values()), operations=tuple(self._operations.values())
        )
