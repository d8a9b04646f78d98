"""An account's history out of the read models, in order and in pages, into its statistics.

Used by whoever keeps the statistics and by whoever is asked for those of a part of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from copypro import collections as c
from copypro.pieces import in_pieces
from copypro.ports import ReadModels, Scalar
from copypro.statistics.facts import (
    ZERO,
    Entry,
    Operation,
    Record,
    Sample,
    Trade,
    in_order,
    moves_balance,
)
from copypro.statistics.history import Statistics
from copypro.statistics.report import Report
from copypro.values import Platform, Side

Doc = dict[str, Any]
PAGE = 1000
KEPT = 50_000
"""Records that move a balance, held so that they need not be read again."""
PRICE_DIGITS = 8
"""Of an average: as many as a symbol has at most."""
FIRST = ""
ADDED = "added_"
"""A closed order's fields of what its position grew by: lots, open lots after it, price; by its number."""
_YEAR_1 = "0001-01-01T00:00:00"
"""No moment is earlier; clients without a date send it."""
_CLOCKS = timedelta(days=1)
"""A broker's clock and UTC are never further apart."""
_PUT_BACK = timedelta(hours=1)
"""A broker's clock, in autumn: what comes next may be that much earlier."""
_CREDIT = ("credit", "bonus")


async def report_of(models: ReadModels, account: str, since: str = FIRST) -> Report:
    """`since`: the broker's clock as the read models write it; what closed earlier is left out, and
    the start balance is the true one before the first record that is kept.
    """
    state: Any = await models.get(c.ACCOUNTS, account) or {}
    offset = timedelta(minutes=state.get("clock_offset_minutes") or 0)
    platform = str(state.get("platform") or "")
    moved, kept, count = ZERO, [], 0
    async for records in together(_moving(models, account, platform, since)):
        moved += sum(map(moves_balance, records), ZERO)
        count += len(records)
        if count <= KEPT:
            kept.append(records)
    if count <= KEPT:
        moving = [_Ahead(_again(kept), list)]
    else:
        kept.clear()
        moving = _moving(models, account, platform, since)
    balance = balance_of(state)
    statistics = Statistics(ZERO if balance is None else Decimal(balance) - moved)
    async for records in together([*moving, _equity(models, account, since, offset)]):
        await _feed(statistics, records)
    return statistics.report()


async def _feed(statistics: Statistics, records: Sequence[Record]) -> None:
    async for piece in in_pieces(records):
        statistics.feed(piece)


def balance_of(state: Doc) -> str | None:
    """Of an account's document. The balance before the first record follows from it."""
    balance = (state.get("figures") or {}).get("balance")
    return None if balance is None else str(balance)


def version_of(state: Doc) -> tuple[object, str | None]:
    """What an account's statistics are of: its history, and the balance, which may be shown later than
    the trades that made it.
    """
    return state.get("history"), balance_of(state)


def is_current(kept: Doc, state: Doc) -> bool:
    """Whether statistics that were kept are those of the account as it is."""
    return (kept.get("version"), kept.get("balance")) == version_of(state)


def _moving(models: ReadModels, account: str, platform: str, since: str) -> list[_Ahead]:
    """What moves its balance."""
    whose = {"account": account}
    closed = pages(models, c.CLOSED_ORDERS, whose, "closed_at", since)
    operations = pages(models, c.OPERATIONS, whose, "time", since)
    return [
        _Ahead(closed, lambda docs: [trade_of(doc, platform) for doc in docs]),
        _Ahead(operations, operations_of),
    ]


def _equity(models: ReadModels, account: str, since: str, offset: timedelta) -> _Ahead:
    recorded = pages(models, c.EQUITY, {"account": account}, "time", _utc(since))
    return _Ahead(recorded, lambda docs: _samples(docs, offset, since))


async def _again(batches: Sequence[Sequence[Record]]) -> AsyncIterator[Sequence[Record]]:
    for records in batches:
        yield records


async def together(kinds: Sequence[_Ahead]) -> AsyncIterator[Sequence[Record]]:
    """All of them in order, in batches of a few pages, whatever there is between two trades."""
    for kind in kinds:
        await kind.read_on()
    while going_on := [kind for kind in kinds if not kind.ended]:
        first = min(going_on, key=lambda kind: kind.reached)
        yield in_order(record for kind in kinds for record in kind.until(first.reached))
        await first.read_on()
    yield in_order(record for kind in kinds for record in kind.until(None))


class _Ahead:
    """A stream that gives what comes until a moment (None: all), and keeps what it read beyond."""

    def __init__(self, pages: AsyncIterator[Sequence[Any]], made: Any) -> None:
        self._pages, self._made = pages, made
        self._read: list[Record] = []
        self.reached = datetime.min  # noqa: DTZ901  a broker's clock has no zone
        """Up to here all is read."""
        self.ended = False

    async def read_on(self) -> None:
        page = await anext(self._pages, None)
        if page is None:
            self.ended = True
            return
        async for piece in in_pieces(page):
            self._read.extend(self._made(piece))
        if self._read:
            self.reached = max(self.reached, self._read[-1].closed_at - _PUT_BACK)

    def until(self, moment: datetime | None) -> Sequence[Record]:
        given = [record for record in self._read if _is_by(record, moment)]
        self._read = [record for record in self._read if not _is_by(record, moment)]
        return given


def _is_by(record: Record, moment: datetime | None) -> bool:
    return moment is None or record.closed_at < moment


async def pages(
    models: ReadModels,
    collection: str,
    whose: Mapping[str, Scalar],
    field: str,
    since: str,
    until: str | None = None,
) -> AsyncIterator[Sequence[Doc]]:
    """Documents of one moment are never parted: the last moment of a full page is read again."""
    limit, start = PAGE, since
    while True:
        found: Sequence[Doc] = await models.find(
            collection, whose, order_by=field, since=start, until=until, limit=limit
        )
        if len(found) < limit:
            yield found
            return
        last = str(found[-1][field])
        whole = [doc for doc in found if doc[field] != last]
        if whole:
            yield whole
            start = last
        else:
            limit *= 2


def trade_of(doc: Doc, platform: str) -> Trade:
    opened = doc.get("open_time")
    return Trade(
        closed_at=_moment(doc["closed_at"]),
        ticket=doc.get("deal") or doc["ticket"],
        side=Side(doc.get("type") or Side.BUY),
        symbol=doc.get("symbol") or "",
        lots=Decimal(doc["lots"]),
        profit=Decimal(doc["profit"]),
        swap=Decimal(doc.get("swap") or 0),
        commission=Decimal(doc.get("commission") or 0),
        fee=Decimal(doc.get("fee") or 0),
        opened_at=_moment(opened) if opened else None,
        open_price=open_price_of(doc),
        close_price=Decimal(doc["close_price"]),
        position=doc.get("root") or "",
        listed_as=listed_ticket_of(doc, platform),
    )


def listed_ticket_of(doc: Doc, platform: str) -> int:
    """Of a closed order, as MetaTrader's history has it: on MT4 what closed in part keeps its ticket,
    and what is left gets another one.
    """
    ticket, deal = int(doc["ticket"]), int(doc.get("deal") or 0)
    is_own = platform == Platform.MT4 and not doc.get("flat", True) and deal > 0
    return deal if is_own else ticket


def open_price_of(doc: Doc) -> Decimal | None:
    """Of a closed order; where its position grew, the average of what was open, as MetaTrader has it."""
    if not doc.get("open_price"):
        return None
    price, leg = Decimal(doc["open_price"]), 1
    while (added := doc.get(f"{ADDED}{leg}")) is not None:
        lots, open_lots = Decimal(added["lots"]), Decimal(added["open_lots"])
        price += (Decimal(added["price"]) - price) * lots / open_lots
        leg += 1
    shown = round(price, PRICE_DIGITS)
    return price if price == shown else shown


def operations_of(docs: Sequence[Doc]) -> Iterator[Record]:
    for doc in docs:
        at, amount = _moment(doc["time"]), Decimal(doc["amount"])
        if doc["kind"] == "EntryCost":
            yield Entry(closed_at=at, ticket=doc["ticket"], amount=amount)
        else:
            is_credit = doc["kind"].lower() in _CREDIT
            yield Operation(closed_at=at, ticket=doc["ticket"], amount=amount, is_credit=is_credit)


def _samples(docs: Sequence[Doc], offset: timedelta, since: str) -> Iterator[Record]:
    """On the broker's clock as it then was. `offset`: of now, where that was not known yet."""
    first = _moment(since or _YEAR_1)
    for doc in docs:
        minutes = doc.get("clock_offset_minutes")
        at = _moment(doc["time"]) + (offset if minutes is None else timedelta(minutes=minutes))
        if at < first:
            continue
        yield Sample(
            closed_at=at,
            balance=Decimal(doc["balance"]),
            equity=Decimal(doc["equity"]),
            equity_high=Decimal(doc["high"]),
            equity_low=Decimal(doc["low"]),
            profit_high={root: Decimal(value) for root, value in doc["profit_high"].items()},
            profit_low={root: Decimal(value) for root, value in doc["profit_low"].items()},
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z"))


def _utc(since: str) -> str:
    """Early enough, by whatever clock."""
    if not since or _moment(since) - _moment(_YEAR_1) < _CLOCKS:
        return FIRST
    return f"{(_moment(since) - _CLOCKS).isoformat(timespec='microseconds')}Z"
