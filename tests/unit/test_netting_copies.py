"""A copy of several legs on a netting account: one position at the broker, whatever is told first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.errors import OutcomeUnknown, Refused
from copypro.trading import ClosedOrder, CloseRequest, Done, OpenOrder, OpenRequest, TradeRequest
from copypro.values import CopyId, Mode, OrderKind, Ticket
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.slave_builders import D, opens
from tests.unit.watched import ACCOUNT, EASTERN, REGISTRATION, Watched, now, watched

POSITION = Ticket(100)


class Position:
    """The one of the symbol. `told_first`: the stream tells of a change before its call is answered;
    else only the next list shows it.
    """

    def __init__(self, account: Watched, *, told_first: bool) -> None:
        self.account, self.told_first = account, told_first
        self.lots, self.comment = D(0), ""
        self.since = now().replace(tzinfo=None) + EASTERN
        self.requests: list[OpenRequest | CloseRequest] = []
        self.answers = True
        self.numbers_adds = False
        """An add is answered with the number of its order, which the position does not have."""
        self.fills_at_most = self.tells_at_most = D(1)
        """Of each call; what it was filled further by the time of its answer, that does not tell."""
        account.bridge.does = self.does

    async def does(self, request: TradeRequest) -> Done:
        assert isinstance(request, OpenRequest | CloseRequest)
        self.requests.append(request)
        if isinstance(request, OpenRequest):
            lots, closed = min(request.lots, self.fills_at_most), None
            self.comment, self.lots = self.comment or request.comment, self.lots + lots
        else:
            lots = self.lots if request.lots is None else request.lots
            if not 0 < lots <= self.lots:
                raise Refused("INVALID_VOLUME", f"{lots} of {self.lots}")
            self.lots -= lots
            closed = self._row(lots)
        if self.told_first:
            told = len(self.account.told(m.Message))
            self.shows(closed)
            await self.account.until(lambda: len(self.account.told(m.Message)) > told)
        else:
            self.stands(closed)
        if not self.answers:
            raise OutcomeUnknown("TIMEOUT", "no answer")
        ticket = Ticket(POSITION + len(self.requests) - 1) if self.numbers_adds else POSITION
        return Done(ticket=ticket, lots=min(lots, self.tells_at_most), price=D("1.10002"))

    def shows(self, closed: ClosedOrder | None = None) -> None:
        self.stands(closed)
        self.account.bridge.frame(closed)

    def stands(self, closed: ClosedOrder | None) -> None:
        bridge = self.account.bridge
        if closed is not None:
            bridge.closed = (*bridge.closed, closed)
        bridge.orders = (self._listed(),) if self.lots else ()

    def _listed(self) -> OpenOrder:
        return OpenOrder(
            ticket=POSITION,
            symbol="EURUSD",
            kind=OrderKind.BUY,
            lots=self.lots,
            open_price=D("1.10002"),
            opened_at_broker=self.since,
            magic=1,
            comment=self.comment,
            identifier=POSITION,
        )

    def _row(self, lots: Decimal) -> ClosedOrder:
        return ClosedOrder(
            ticket=POSITION,
            deal=500 + len(self.requests),
            symbol="EURUSD",
            kind=OrderKind.BUY,
            lots=lots,
            open_price=D("1.10002"),
            close_price=D("1.10000"),
            opened_at_broker=self.since,
            closed_at_broker=now().replace(tzinfo=None) + EASTERN,
        )


def leg(number: int, lots: str = "0.10", **more: Any) -> m.OpenCopy:
    return replace(
        opens(lots, **more),
        leg=number,
        slave=ACCOUNT,
        registration=REGISTRATION,
        seen_at_utc=now(),
        fresh_from_utc=now(),
    )


async def stands(account: Watched, position: Position, *lots: str) -> None:
    """Legs of these lots, one after another."""
    for number, each in enumerate(lots):
        await account.order(leg(number, each))
        await account.until(lambda: len(opened(account)) == number + 1)  # noqa: B023
        await account.looked()


def opened(account: Watched) -> list[m.CopyOpened]:
    """Legs, further ones among them."""
    return account.told(m.CopyOpened, topics.EXECUTIONS)


def settled(account: Watched) -> int:
    return len(opened(account)) + len(account.told(m.CopyDenied, topics.EXECUTIONS))


async def reduces(account: Watched, fraction: str) -> None:
    copy = opens().copy
    await account.order(m.ReduceCopy(copy=copy, slave=ACCOUNT, fraction=D(fraction)))


async def closes(account: Watched) -> None:
    await account.order(m.CloseCopy(copy=opens().copy, slave=ACCOUNT, reason="MASTER_FLAT"))


def on_netting(
    story: Callable[[Watched, Position], Awaitable[None]], *, told_first: bool
) -> Position:
    async def told() -> Position:
        async with watched(mode=Mode.NETTING) as account:
            position = Position(account, told_first=told_first)
            await story(account, position)
            return position

    return run(told())


def test_a_reduction_that_is_told_before_it_is_answered_is_of_the_leg_that_was_reduced() -> None:
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10", "0.10")
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.10"))
        await closes(account)
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=True)


def test_a_legs_close_that_is_told_before_it_is_answered_leaves_the_other_leg_to_be_closed() -> (
    None
):
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10", "0.10")
        await closes(account)
        await account.until(lambda: position.lots == 0)
        assert [request.lots for request in position.requests[2:]] in (
            [D("0.10"), None],
            [D("0.10"), D("0.10")],
        )

    on_netting(story, told_first=True)


def test_a_leg_that_nobody_answered_and_that_the_position_grew_by_stands() -> None:
    """Its tag is nowhere: the position keeps the first one's."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")
        position.answers = False
        await account.order(leg(1, "0.05"))
        await account.until(lambda: account.told(m.CopyReconciled, topics.EXECUTIONS))
        position.answers = True
        await closes(account)
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=True)


def test_a_leg_is_not_refused_for_a_list_from_before_the_last_one_was_opened() -> None:
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")
        await account.order(leg(1, "0.10"))
        await account.order(leg(2, "0.10"))
        await account.until(lambda: settled(account) == 3)
        assert account.told(m.CopyDenied, topics.EXECUTIONS) == []
        assert position.lots == D("0.30")

    on_netting(story, told_first=False)


@pytest.mark.parametrize("told_first", [True, False])
def test_what_another_leg_adds_is_no_further_fill_of_one_that_was_filled_in_part(
    told_first: bool,
) -> None:
    async def story(account: Watched, position: Position) -> None:
        position.fills_at_most = D("0.06")
        await stands(account, position, "0.10", "0.06")
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.06"))

    on_netting(story, told_first=told_first)


async def stands_strictly(account: Watched, *lots: str) -> None:
    """Legs whose copier has strictClose: what its owner changes is followed still."""
    for number, each in enumerate(lots):
        await account.order(leg(number, each, strict_close=True))
        await account.until(lambda: len(opened(account)) == number + 1)  # noqa: B023
        await account.looked()


@pytest.mark.parametrize("told_first", [True, False])
def test_a_leg_that_its_owner_took_off_is_over_and_the_others_are_followed(
    told_first: bool,
) -> None:
    """A close of no lots is one of all that stands, also of what its owner has there."""

    async def story(account: Watched, position: Position) -> None:
        await stands_strictly(account, "0.10", "0.10")
        position.lots -= D("0.12")
        position.shows(position._row(D("0.12")))
        await account.until(lambda: account.told(m.PositionReduced))
        await account.looked()
        (detached,) = account.told(m.CopyDetached, topics.EXECUTIONS)
        assert (detached.leg, detached.reason) == (1, "CLOSED_BY_UNKNOWN")
        await reduces(account, "0.5")
        await account.until(lambda: len(account.told(m.PositionReduced)) > 1)
        await account.looked()
        assert position.lots == D("0.05")
        position.lots += D("0.30")
        position.shows()
        await account.looked()
        await closes(account)
        await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
        await account.looked()
        assert position.lots == D("0.30")
        assert [request.lots for request in position.requests[2:]] == [D("0.03"), D("0.05")]

    on_netting(story, told_first=told_first)


async def adds(account: Watched, number: int, lots: str) -> None:
    """Answered, and shown by no look yet."""
    await account.order(leg(number, lots))
    await account.until(lambda: len(opened(account)) == number + 1)


def test_a_reduction_that_an_add_hid_from_the_list_halts_no_copier() -> None:
    """Its deal is never told: it is another leg's that is, later, and that is no close of too much."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.20", "0.10")
        await adds(account, 2, "0.10")
        await reduces(account, "0.9")
        await account.until(lambda: position.lots == D("0.36"))
        await account.looked()
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.20"))
        await account.looked()
        await account.looked()
        assert account.told(m.AlertRaised) == []

    on_netting(story, told_first=False)


@pytest.mark.parametrize("added", ["0.10", "0.04"])
def test_what_its_owner_takes_off_after_an_add_hid_a_reduction_is_not_taken_for_ours(
    added: str,
) -> None:
    """It halted the copier for a close of too much. The second add leaves the list as it was."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.20", "0.10")
        await adds(account, 2, added)
        await reduces(account, "0.9")
        whole = D("0.30") + D(added)
        await account.until(lambda: len(position.requests) > 4)
        await account.until(lambda: len(account.told(m.CopyReduced, topics.EXECUTIONS)) > 1)
        await account.looked()
        await account.looked()
        assert position.lots < whole
        position.lots -= D("0.05")
        position.shows(position._row(D("0.05")))
        await account.until(lambda: account.told(m.CopyDetached, topics.EXECUTIONS))
        gone = account.told(m.CopyDetached, topics.EXECUTIONS)
        assert {event.reason for event in gone} == {"VOLUME_CHANGED"}
        assert account.told(m.AlertRaised) == []

    on_netting(story, told_first=False)


def test_a_reduction_needs_no_list_that_shows_the_last_leg() -> None:
    """One of before it shows less than there is: what is left of the others follows from our ledger."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10", "0.20")
        await adds(account, 2, "0.07")
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.18"))
        assert [each.lots for each in position.requests[3:]] == [D("0.05"), D("0.10"), D("0.04")]
        await account.looked()
        await closes(account)
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=False)


@pytest.mark.parametrize("fraction", ["1", "0.75"])
def test_a_leg_that_nobody_answered_stands_also_where_no_list_showed_it_being_added(
    fraction: str,
) -> None:
    """Seen with the others for the first time, or hidden by a reduction of as much."""

    async def story(account: Watched, position: Position) -> None:
        await adds(account, 0, "0.20")
        if fraction != "1":
            await account.looked()
            await reduces(account, fraction)
            await account.until(lambda: position.lots == D("0.15"))
        position.answers = False
        await account.order(replace(leg(1, "0.05"), fraction=D(fraction)))
        await account.until(lambda: account.told(m.CopyReconciled, topics.EXECUTIONS))
        (found,) = account.told(m.CopyReconciled, topics.EXECUTIONS)
        assert (found.found.lots, found.found.price) == (D("0.05"), D("1.10002"))
        position.answers = True
        await closes(account)
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=False)


@pytest.mark.parametrize("numbers_adds", [False, True])
def test_legs_that_were_answered_before_any_look_showed_their_position_end_with_it(
    numbers_adds: bool,
) -> None:
    """All of them: one that was left behind would be closed again and again, and bar its symbol."""

    async def story(account: Watched, position: Position) -> None:
        position.numbers_adds = numbers_adds
        await adds(account, 0, "0.20")
        await adds(account, 1, "0.10")
        await account.looked()
        whole, position.lots = position.lots, D(0)
        position.shows(position._row(whole))
        await account.until(lambda: account.told(m.PositionClosed))
        ended = account.told(m.CopyDetached, topics.EXECUTIONS)
        assert [each.leg for each in ended] == [0, 1]

    on_netting(story, told_first=False)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_stop_that_ends_several_legs_is_told_with_each_legs_part(is_late: bool) -> None:
    """One deal closed them all; each leg's whole of it would be told as many times its lots and profit.
    `is_late`: while the close of one is not answered yet.
    """

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.20", "0.10")

        async def stopped(request: TradeRequest) -> Done:
            assert isinstance(request, CloseRequest)
            if position.lots and is_late:
                await ends()
            raise Refused("INVALID_TICKET", "unknown ticket")

        async def ends() -> None:
            whole, position.lots = position.lots, D(0)
            position.shows(replace(position._row(whole), profit=D("-56.01")))
            await account.until(lambda: account.told(m.PositionClosed))

        account.bridge.does = stopped
        await closes(account)
        if not is_late:
            await account.until(lambda: account.told(m.CopyRejected, topics.EXECUTIONS))
            await ends()
        await account.until(lambda: len(account.told(m.CopyClosed, topics.EXECUTIONS)) == 2)
        told = account.told(m.CopyClosed, topics.EXECUTIONS)
        parts = {each.leg: (each.closed_lots, each.profit) for each in told}
        assert parts == {0: (D("0.20"), D("-37.34")), 1: (D("0.10"), D("-18.67"))}

    on_netting(story, told_first=False)


@pytest.mark.parametrize(("fraction", "left"), [("0.5", "0.15"), ("0.75", "0.22")])
def test_a_reduction_that_nobody_answered_and_no_look_told_of_is_of_its_leg(
    fraction: str, left: str
) -> None:
    """The position was first seen after it: the other legs are reduced, and what waits is opened."""

    async def story(account: Watched, position: Position) -> None:
        await adds(account, 0, "0.20")
        await adds(account, 1, "0.10")
        position.answers = False
        await reduces(account, fraction)
        await account.until(lambda: account.told(m.CopyUnresolved, topics.EXECUTIONS))
        position.answers = True
        await account.until(lambda: account.told(m.CopyReconciled, topics.EXECUTIONS))
        await account.looked()
        assert position.lots == D(left)
        await account.order(replace(leg(2, "0.10"), fraction=D(fraction)))
        await account.until(lambda: settled(account) == 3)
        assert account.told(m.CopyDenied, topics.EXECUTIONS) == []

    on_netting(story, told_first=False)


@pytest.mark.parametrize("lots", [("0.20", "0.10"), ("0.10", "0.20")])
def test_a_deal_of_one_leg_that_is_told_while_the_next_is_reduced_is_not_too_much(
    lots: tuple[str, str],
) -> None:
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, *lots)

        async def does(request: TradeRequest) -> Done:
            before = account.bridge.closed
            if before:
                account.bridge.frame(before[-1])
                await account.until(lambda: account.told(m.PositionReduced))
            return await position.does(request)

        account.bridge.does = does
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.15"))
        await account.looked()
        await account.looked()
        assert account.told(m.AlertRaised) == []
        reduced = account.told(m.CopyReduced, topics.EXECUTIONS)
        assert {event.leg: event.open_lots for event in reduced} == {
            number: D(each) / 2 for number, each in enumerate(lots)
        }

    on_netting(story, told_first=False)


def test_what_a_list_shows_of_several_legs_reductions_together_is_not_too_much() -> None:
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.20", "0.10")
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.15"))
        account.bridge.closed = ()
        await account.until(lambda: account.told(m.PositionReduced))
        await account.looked()
        assert account.told(m.AlertRaised) == []

    on_netting(story, told_first=False)


def test_a_leg_that_is_closed_before_a_list_shows_the_next_one_takes_no_more_than_its_own() -> None:
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")

        async def does(request: TradeRequest) -> Done:
            done = await position.does(request)
            if isinstance(request, OpenRequest):
                await closes(account)
            return done

        account.bridge.does = does
        await account.order(leg(1, "0.05"))
        await account.until(lambda: len(account.told(m.CopyClosed, topics.EXECUTIONS)) == 2)
        closed = account.told(m.CopyClosed, topics.EXECUTIONS)
        assert {event.leg: event.closed_lots for event in closed} == {0: D("0.10"), 1: D("0.05")}
        assert account.told(m.CopyRejected, topics.EXECUTIONS) == []

    on_netting(story, told_first=False)


def test_a_frame_of_before_the_last_add_that_tells_a_reduction_is_not_one_of_too_much() -> None:
    """Answers and frames come by two ways: the reduction's frame is handled after the add's answer."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.20")
        await reduces(account, "0.75")
        await account.until(lambda: position.lots == D("0.15"))
        (closed,), account.bridge.closed = account.bridge.closed, ()

        async def does(request: TradeRequest) -> Done:
            account.bridge.frame(closed)
            return await position.does(request)

        account.bridge.does = does
        await account.order(replace(leg(1, "0.10"), fraction=D("0.75")))
        await account.until(lambda: account.told(m.PositionReduced))
        assert len(opened(account)) == 2
        await account.looked()
        assert account.told(m.AlertRaised) == []
        assert account.told(m.CopyDetached, topics.EXECUTIONS) == []
        await closes(account)
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=False)


def test_the_deals_of_a_leg_that_is_over_by_then_are_not_taken_for_another_ones() -> None:
    """One look tells of all: of what the first leg closed in part, and of its end."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.02", "0.08")
        await reduces(account, "0.5")
        await account.until(lambda: position.lots == D("0.05"))
        await reduces(account, "0.25")
        await account.until(lambda: position.lots == D("0.02"))
        await account.until(lambda: len(account.told(m.PositionReduced)) == 4)
        assert account.told(m.AlertRaised) == []

    on_netting(story, told_first=False)


@pytest.mark.parametrize("lots", ["0.05", "0.04"])
def test_an_add_that_is_executed_after_it_was_given_up_is_the_copys(lots: str) -> None:
    """The position keeps the first leg's tag: that it grew by just so much is what tells."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")

        async def lost(request: TradeRequest) -> Done:
            raise OutcomeUnknown("TIMEOUT", "no answer")

        account.bridge.does = lost
        await account.order(leg(1, "0.05"))
        await account.until(lambda: account.told(m.CopyDenied, topics.EXECUTIONS))
        account.bridge.does = position.does
        position.lots += D(lots)
        position.shows()
        await account.looked()
        await account.looked()
        is_it = lots == "0.05"
        late = [alert for alert in account.told(m.AlertRaised) if alert.code == "LATE_FILL"]
        assert len(late) == is_it
        await closes(account)
        await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
        await account.looked()
        assert position.lots == (0 if is_it else D(lots)), "what is not ours is left alone"

    on_netting(story, told_first=False)


@pytest.mark.parametrize("told_first", [True, False])
def test_an_add_that_was_filled_further_by_the_time_it_is_answered_is_the_copys(
    told_first: bool,
) -> None:
    """The answer tells of 0.04, the first list of all 0.10: 0.06 were left open."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")
        position.tells_at_most = D("0.04")
        await account.order(leg(1, "0.10"))
        await account.until(lambda: len(opened(account)) > 1)
        await account.looked()
        assert opened(account)[-1].lots == D("0.10")
        position.tells_at_most = D(1)
        await closes(account)
        await account.until(lambda: position.lots == 0)
        await account.looked()
        assert account.told(m.AlertRaised) == []

    on_netting(story, told_first=told_first)


def test_an_add_that_fills_further_when_it_is_over_is_closed_as_well() -> None:
    """Its leg was closed by what its answer told, before any list."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")
        position.fills_at_most = D("0.04")
        await account.order(leg(1, "0.10"))
        await account.until(lambda: len(opened(account)) > 1)
        await closes(account)
        await account.until(lambda: len(account.told(m.CopyClosed, topics.EXECUTIONS)) == 2)
        assert position.lots == 0
        position.lots = D("0.06")
        position.shows()
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=False)


def test_an_add_that_fills_further_while_all_is_closed_is_closed_as_well() -> None:
    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")
        position.fills_at_most = D("0.04")
        await account.order(leg(1, "0.10"))
        await account.until(lambda: len(opened(account)) > 1)
        position.lots += D("0.06")
        await closes(account)
        await account.until(lambda: position.lots == 0)

    on_netting(story, told_first=False)


@pytest.mark.parametrize("kind", [OrderKind.BUY, OrderKind.SELL])
def test_what_stands_after_a_leg_filled_in_part_was_closed_may_be_another_position(
    kind: OrderKind,
) -> None:
    """No list was without the former one, so that its root seems to go on."""

    async def story(account: Watched, position: Position) -> None:
        position.fills_at_most = D("0.04")
        await account.order(leg(0, "0.10"))
        await account.until(lambda: opened(account))
        await account.looked()
        await closes(account)
        await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
        position.lots = D("0.30")
        another = replace(
            position._listed(),
            ticket=Ticket(900),
            identifier=900,
            kind=kind,
            comment="",
            opened_at_broker=now().replace(tzinfo=None) + EASTERN,
        )
        account.bridge.orders = (another,)
        for _ in range(3):
            await account.looked()
        assert len(position.requests) == 2, "an owner's own is left alone"
        assert account.told(m.AlertRaised) == []

    on_netting(story, told_first=False)


def test_what_each_look_leaves_as_it_was_is_not_looked_for_as_fast_as_the_bridge_answers() -> None:
    """What we closed stands in the latest list, and the bridge gives none that can be believed."""

    async def story(account: Watched, position: Position) -> None:
        await stands(account, position, "0.10")
        account.bridge.margin = D("100")
        await closes(account)
        await account.until(lambda: account.told(m.CopyClosed, topics.EXECUTIONS))
        before = account.bridge.snapshots
        await account.order(replace(leg(0), copy=CopyId("another")))
        await asyncio.sleep(10.0)
        assert account.bridge.snapshots - before < 30

    on_netting(story, told_first=False)
