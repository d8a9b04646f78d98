"""Mirrored orders that fill in parts: one ticket is a position and the rest of its order (MT5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from copypro import messages as m
from copypro import topics
from copypro.errors import OutcomeUnknown
from copypro.trading import CloseRequest, DeleteRequest, Done, OpenOrder, OpenRequest, TradeRequest
from copypro.values import OrderKind, Ticket
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.slave_builders import D, places
from tests.unit.watched import ACCOUNT, EASTERN, REGISTRATION, Watched, now, watched

TICKET = Ticket(100)
ORDER = replace(places(OrderKind.BUY_LIMIT, "1.099"), slave=ACCOUNT, registration=REGISTRATION)


class Broker:
    def __init__(self, account: Watched) -> None:
        self.account = account
        self.requests: list[TradeRequest] = []
        self.tag = ""
        self.is_silent = self.fills_amid_close = self.leaves_rest = False
        account.bridge.does = self.does

    async def does(self, request: TradeRequest) -> Done:
        self.requests.append(request)
        match request:
            case OpenRequest():
                self.tag = request.comment
                if self.is_silent:
                    self.shows(filled="0.04", pending="0.06")
                    raise OutcomeUnknown("TIMEOUT", "no answer")
                self.shows(pending="0.10")
            case CloseRequest() if self.fills_amid_close:
                self.fills_amid_close = False
                self.shows(filled="0.10")
                await self.account.until(lambda: self.account.told(m.PositionIncreased))
            case CloseRequest(lots=None):
                rest = [order for order in self.account.bridge.orders if order.kind.is_pending]
                self.account.bridge.orders = tuple(rest)
            case DeleteRequest() if self.leaves_rest:
                self.leaves_rest = False
                self.shows(pending="0.06")
            case DeleteRequest():
                self.account.bridge.orders = ()
        lots = request.lots if isinstance(request, CloseRequest) else D("0.10")
        return Done(ticket=TICKET, lots=lots or D("0.04"), price=D("1.099"))

    def shows(self, *, filled: str = "", pending: str = "") -> None:
        kinds = ((OrderKind.BUY, filled), (OrderKind.BUY_LIMIT, pending))
        self.account.bridge.orders = tuple(self._row(kind, lots) for kind, lots in kinds if lots)
        self.account.bridge.frame()

    def _row(self, kind: OrderKind, lots: str) -> OpenOrder:
        return OpenOrder(
            ticket=TICKET,
            symbol="EURUSD",
            kind=kind,
            lots=D(lots),
            open_price=D("1.099"),
            opened_at_broker=now().replace(tzinfo=None) + EASTERN,
            magic=1,
            comment=self.tag,
        )


def mirrored(
    story: Callable[[Watched, Broker], Awaitable[None]], *, is_silent: bool = False
) -> None:
    """Of an order for 0.10, of which 0.04 have filled; `is_silent`: and whose placing is not answered."""

    async def told() -> None:
        async with watched() as account:
            broker = Broker(account)
            broker.is_silent = is_silent
            await account.order(replace(ORDER, seen_at_utc=now()))
            await account.until(lambda: account.told(m.CopyPendingPlaced, topics.EXECUTIONS))
            await account.looked()
            broker.shows(filled="0.04", pending="0.06")
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            await story(account, broker)

    run(told())


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_further_fill_of_a_mirrored_order_belongs_to_its_leg(is_silent: bool) -> None:
    async def story(account: Watched, broker: Broker) -> None:
        broker.shows(filled="0.10")
        await account.until(lambda: account.told(m.PositionIncreased))
        half = m.ReduceCopy(copy=ORDER.copy, slave=ACCOUNT, fraction=D("0.5"))
        await account.order(half)
        await account.until(lambda: len(broker.requests) > 1)
        request = broker.requests[1]
        assert isinstance(request, CloseRequest)
        assert request.lots == D("0.05")

    mirrored(story, is_silent=is_silent)


def test_what_fills_while_a_part_is_closed_is_not_lost() -> None:
    """It is told before the close is answered."""

    async def story(account: Watched, broker: Broker) -> None:
        broker.fills_amid_close = True
        await account.order(m.ReduceCopy(copy=ORDER.copy, slave=ACCOUNT, fraction=D("0.5")))
        await account.until(lambda: len(broker.requests) > 2)
        lots = [request.lots for request in broker.requests[1:3]]  # type: ignore[union-attr]
        assert lots == [D("0.02"), D("0.03")]

    mirrored(story)


def test_what_waits_of_an_order_is_no_further_fill_of_it() -> None:
    async def story(account: Watched, broker: Broker) -> None:
        await account.looked()
        await account.looked()
        assert account.told(m.CopyIncreased, topics.EXECUTIONS) == []

    mirrored(story)


def test_the_rest_of_an_order_whose_filled_part_is_closed_is_deleted() -> None:
    """It is listed under the same ticket, and would fill when nobody follows it any more."""

    async def story(account: Watched, broker: Broker) -> None:
        of = ORDER.copy
        gone = "MASTER_deleted"
        await account.order(m.RemovePendingCopy(copy=of, slave=ACCOUNT, reason=gone))
        await account.order(m.CloseCopy(copy=of, slave=ACCOUNT, reason=gone))
        await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
        await account.until(lambda: account.bridge.orders == ())
        assert [type(request) for request in broker.requests[1:]] == [CloseRequest, DeleteRequest]

    mirrored(story)


@pytest.mark.parametrize("is_seen", [False, True])
def test_an_order_that_its_deletion_left_a_rest_of_is_deleted_once_more(is_seen: bool) -> None:
    """It filled in part just then, and MT5's bridge deletes by closing what the ticket has become."""

    async def told() -> None:
        async with watched() as account:
            broker = Broker(account)
            await account.order(replace(ORDER, seen_at_utc=now()))
            await account.until(lambda: account.told(m.CopyPendingPlaced, topics.EXECUTIONS))
            if is_seen:
                await account.looked()
            broker.leaves_rest = True
            of, gone = ORDER.copy, "MASTER_deleted"
            await account.order(m.RemovePendingCopy(copy=of, slave=ACCOUNT, reason=gone))
            await account.order(
                m.CloseCopy(copy=of, slave=ACCOUNT, reason=gone, forget=not is_seen)
            )
            await account.until(lambda: len(broker.requests) > 1)
            assert account.bridge.orders != ()
            await account.until(lambda: account.bridge.orders == ())

    run(told())


@pytest.mark.parametrize("is_shown_first", [True, False])
def test_what_filled_further_before_any_look_belongs_to_its_leg(is_shown_first: bool) -> None:
    """The answer tells of 0.04, the first list of 0.10, in either order: 0.06 were left open when the
    copy was closed.
    """

    async def told() -> None:
        async with watched() as account:
            broker = Broker(account)

            async def does(request: TradeRequest) -> Done:
                assert isinstance(request, OpenRequest)
                broker.tag = request.comment
                if is_shown_first:
                    broker.shows(filled="0.10")
                    await account.until(lambda: account.told(m.PositionOpened))
                return Done(ticket=TICKET, lots=D("0.04"), price=D("1.1"))

            account.bridge.does = does
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            if not is_shown_first:
                broker.shows(filled="0.10")
            await account.until(lambda: account.told(m.CopyIncreased, topics.EXECUTIONS))
            (further,) = account.told(m.CopyIncreased, topics.EXECUTIONS)
            assert (further.lots, further.ticket) == (D("0.10"), TICKET)
            broker.shows(filled="0.10")
            await account.looked()
            assert account.told(m.CopyIncreased, topics.EXECUTIONS) == [further]

    run(told())


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_what_fills_further_after_its_filled_part_was_closed_is_closed_as_well(
    is_forgotten: bool,
) -> None:
    """All of it before any list shows it: its position has the ticket of a leg that is over."""

    async def told() -> None:
        async with watched() as account:
            bridge, broker = account.bridge, Broker(account)

            async def does(request: TradeRequest) -> Done:
                broker.requests.append(request)
                if isinstance(request, OpenRequest):
                    broker.tag = request.comment
                elif len(broker.requests) > 2:
                    bridge.orders = ()
                    return Done(ticket=TICKET, lots=D("0.06"), price=D("1.1"))
                return Done(ticket=TICKET, lots=D("0.04"), price=D("1.1"))

            bridge.does = does
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            of, why = ORDER.copy, "MASTER_CLIENT"
            close = m.CloseCopy(copy=of, slave=ACCOUNT, reason=why, forget=is_forgotten)
            await account.order(close)
            await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
            broker.shows(filled="0.06")
            await account.until(lambda: len(broker.requests) == 3)
            await account.looked()
            assert [each.closed_lots for each in account.told(m.CopyClosed, topics.EXECUTIONS)] == [
                D("0.04"),
                D("0.06"),
            ]
            assert [each.code for each in account.told(m.AlertRaised)] == ["LATE_FILL"]
            assert len(broker.requests) == 3

    run(told())
