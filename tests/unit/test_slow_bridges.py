"""A bridge whose snapshots take a second, and an account that shows a frame several times a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise

import pytest
from copypro import messages as m
from copypro import topics
from copypro.adapters.memory_log import MemoryLog
from copypro.trading import ClosedOrder, Done, History, OpenOrder, TradeRequest
from copypro.values import Mode, OrderKind, Ticket
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import order, row
from tests.unit.slave_builders import opens
from tests.unit.watched import ACCOUNT, EASTERN, D, Watched, now, watched

pytestmark = pytest.mark.slow

LIMITS = WatcherLimits()
EVERY_S = 0.3
After = Callable[[int, tuple[OpenOrder, ...]], tuple[OpenOrder, ...]]


@asynccontextmanager
async def flooded(account: Watched, after: After) -> AsyncIterator[None]:
    """So often the account's list is what `after` makes of it, and a frame shows it."""

    async def flood() -> None:
        count = 0
        while True:
            await asyncio.sleep(EVERY_S)
            count += 1
            account.bridge.orders = after(count, account.bridge.orders)
            account.bridge.frame()

    task = asyncio.create_task(flood())
    try:
        yield
    finally:
        task.cancel()


def moved(count: int, orders: tuple[OpenOrder, ...]) -> tuple[OpenOrder, ...]:
    """An expert trails its stops."""
    stop = D("1.0") + D("0.0001") * count
    return tuple(replace(each, stop_loss=stop) for each in orders)


def scalped(count: int, orders: tuple[OpenOrder, ...]) -> tuple[OpenOrder, ...]:
    """Besides, something opens and closes all the time."""
    kept = tuple(each for each in orders if each.ticket < 100)
    return (*kept, order(100 + count))


def closed(account: Watched) -> set[str]:
    return {event.root for event in account.told(m.PositionClosed)}


def opened_roots(account: Watched) -> list[str]:
    return [event.root for event in account.told(m.PositionOpened)]


def broker_time() -> datetime:
    return now().replace(tzinfo=None) + EASTERN


@pytest.mark.parametrize("after", [moved, scalped])
def test_what_opened_and_closed_unseen_is_told(after: After) -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            account.bridge.snapshot_takes_s = 1.0
            async with flooded(account, after):
                unseen = row(8, deal=80, profit=D(5))
                at = broker_time()
                account.bridge.closed = (replace(unseen, opened_at_broker=at, closed_at_broker=at),)
                account.bridge.balance += D(5)
                await account.until(lambda: "8" in closed(account))
            assert "7" not in closed(account)

    run(work())


@pytest.mark.parametrize("is_executed", [True, False])
@pytest.mark.parametrize("after", [moved, scalped])
def test_an_open_without_an_answer_is_settled_as_the_books_show(
    after: After, is_executed: bool
) -> None:
    """Absent after its time, and not before, since it may be executed late."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7),)
            account.bridge.snapshot_takes_s = 1.0
            async with flooded(account, after):
                await account.open()
                await account.until(lambda: account.told(m.AttemptStarted, topics.EXECUTIONS))
                (attempt,) = account.told(m.AttemptStarted, topics.EXECUTIONS)
                await asyncio.sleep(LIMITS.absence_wait_mt5_s - 3)
                assert not account.told(m.CopyReconciled, topics.EXECUTIONS)
                if is_executed:
                    ours = order(50, comment=attempt.tag)
                    account.bridge.orders = (*account.bridge.orders, ours)
                await account.until(lambda: account.told(m.CopyReconciled, topics.EXECUTIONS))
                (settled,) = account.told(m.CopyReconciled, topics.EXECUTIONS)
                assert (settled.found is not None) is is_executed
            assert "7" not in closed(account)

    run(work())


def test_a_close_without_an_answer_is_made_again_by_a_list_of_after_it() -> None:
    """Frames, which may be late, settle none."""

    async def fills(_: TradeRequest) -> Done:
        return Done(ticket=Ticket(50), lots=D("0.10"), price=D("1.1"))

    async def work() -> None:
        async with watched() as account:
            account.bridge.does = fills
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            account.bridge.orders = (order(7), order(50))
            account.bridge.snapshot_takes_s = 1.0
            account.bridge.does = None
            async with flooded(account, scalped):
                close = m.CloseCopy(copy=opens().copy, slave=ACCOUNT, reason="MASTER_FLAT")
                await account.order(close)
                await account.until(
                    lambda: len(account.told(m.AttemptStarted, topics.EXECUTIONS)) > 2
                )

    run(work())


def test_trades_that_open_and_close_all_the_time_are_each_told_once() -> None:
    async def work() -> None:
        async with watched() as account:
            account.bridge.tick(EASTERN)
            account.bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            account.bridge.snapshot_takes_s = 1.0
            bridge, ended = account.bridge, 0
            for count in range(400):
                await asyncio.sleep(EVERY_S)
                rows: list[ClosedOrder] = []
                if count % 3:
                    opened = replace(order(100 + count), opened_at_broker=broker_time())
                    bridge.orders = (*bridge.orders, opened)
                if len(bridge.orders) > 3 or not count % 3:
                    over = next((each for each in bridge.orders if each.ticket > 7), None)
                    if over is not None:
                        ended += 1
                        rows = [
                            replace(
                                row(over.ticket, deal=9000 + count),
                                opened_at_broker=over.opened_at_broker,
                                closed_at_broker=broker_time(),
                            )
                        ]
                        bridge.orders = tuple(o for o in bridge.orders if o is not over)
                bridge.closed = (*bridge.closed, *rows)
                if count % 7:  # else its frame is lost
                    bridge.frame(*rows)
            standing = {str(each.ticket) for each in bridge.orders}
            await account.until(lambda: len(closed(account)) == ended)
            roots = opened_roots(account)
            assert len(roots) == len(set(roots))
            assert set(roots) - closed(account) == standing

    run(work())


def test_no_frame_waits_for_a_list_that_nobody_waits_for() -> None:
    """It is asked for once in a while all the same: what is traded meanwhile is told as it comes."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            account.bridge.snapshot_takes_s = 1.0
            bridge, loop = account.bridge, asyncio.get_running_loop()
            slowest = 0.0
            for count in range(200):
                bridge.orders = (*bridge.orders, order(100 + count))
                bridge.frame()
                begun, told = loop.time(), count + 2
                await account.until(lambda told=told: len(account.told(m.PositionOpened)) == told)
                slowest = max(slowest, loop.time() - begun)
                await asyncio.sleep(EVERY_S)
            assert slowest < EVERY_S

    run(work())


def test_stops_that_an_expert_trails_wait_for_no_list_and_never_go_back() -> None:
    """Though an open without an answer needs one: what the frames show of trades is what it shows."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            account.bridge.snapshot_takes_s = 1.0
            async with flooded(account, moved):
                await account.open()
                await account.until(lambda: account.told(m.CopyReconciled, topics.EXECUTIONS))
            told = account.told(m.PositionModified)
            stops = [event.stop_loss for event in told]
            assert len(stops) > 50
            assert stops == sorted(set(stops))
            times = [event.seen_at_utc for event in told]
            gaps = [(after - at).total_seconds() for at, after in pairwise(times)]
            assert max(gaps) < 2 * EVERY_S

    run(work())


def test_a_symbol_whose_terms_nobody_tells_holds_up_no_other() -> None:
    """Its own trade is told without them after the read's limit, once."""

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.orders = (order(7), order(8))
            await account.until(lambda: len(account.told(m.PositionOpened)) == 2)
            bridge.silent_on = {"XYZ"}
            bridge.orders = (*bridge.orders, order(9, symbol="XYZ"))
            bridge.frame()
            await asyncio.sleep(EVERY_S)
            begun = loop.time()
            bridge.orders = (*bridge.orders[1:], order(10))
            bridge.frame(row(7))
            await account.until(lambda: "10" in opened_roots(account) and closed(account) == {"7"})
            assert loop.time() - begun < 1.5
            await account.until(lambda: "9" in opened_roots(account))
            assert loop.time() - begun < 22
            await account.looked()
            assert sorted(opened_roots(account)) == ["10", "7", "8", "9"]

    run(work())


@pytest.mark.parametrize("after", ["more", "the other side", "filled", "merged"])
def test_a_known_order_whose_terms_nobody_tells_holds_up_no_other_symbol(after: str) -> None:
    """A close of another one waited for the read's limit. It stood since before the watcher started."""
    log, mode = MemoryLog(), Mode.HEDGING if after == "filled" else Mode.NETTING
    limit, position = order(10, kind=OrderKind.BUY_LIMIT, symbol="XYZ"), order(9, symbol="XYZ")
    before = {"filled": (limit,), "merged": (position, limit)}
    now_is = {
        "more": order(9, "0.30", symbol="XYZ"),
        "the other side": order(11, "0.05", OrderKind.SELL, symbol="XYZ", opened=30),
        "filled": order(10, symbol="XYZ"),
        "merged": order(9, "0.20", symbol="XYZ"),
    }
    told = {
        "more": m.PositionIncreased,
        "the other side": m.PositionOpened,
        "filled": m.PositionOpened,
        "merged": m.PositionIncreased,
    }

    async def work() -> None:
        orders = (order(7), *before.get(after, (position,)))
        async with watched(mode=mode, log=log, orders=orders) as account:
            await account.looked()
        async with watched(mode=mode, log=log, orders=orders) as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            await account.looked()
            bridge.silent_on = {"XYZ"}
            bridge.orders, begun = (order(7), now_is[after]), loop.time()
            bridge.frame()
            await asyncio.sleep(EVERY_S)
            bridge.orders = bridge.orders[1:]
            bridge.frame(row(7))
            await account.until(lambda: len(closed(account)) == 1 + (after == "the other side"))
            assert loop.time() - begun < 3.0

            def is_told() -> bool:
                return any(each.symbol == "XYZ" for each in account.told(told[after])[-1:])

            await account.until(is_told)
            assert loop.time() - begun < 22
            await account.looked()
            assert not account.told(m.AlertRaised)

    run(work())


@pytest.mark.parametrize("kind", [OrderKind.BUY, OrderKind.BUY_LIMIT])
def test_the_terms_of_many_symbols_are_asked_for_at_the_same_time(kind: OrderKind) -> None:
    symbols = [f"XYZ{count}" for count in range(5)]

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.silent_on = set(symbols)
            begun = loop.time()
            bridge.orders = tuple(
                order(20 + at, kind=kind, symbol=symbol) for at, symbol in enumerate(symbols)
            )
            bridge.ends_session(reconnects_s=1.0)
            told = m.PendingPlaced if kind.is_pending else m.PositionOpened
            await account.until(lambda: len(account.told(told)) == len(symbols))
            assert loop.time() - begun < 25

    run(work())


def test_a_pending_order_in_a_market_that_does_not_move_holds_up_nothing() -> None:
    """It is told with the market's price or, after the read's limit, without: what closes, at once."""

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.orders = (order(7), order(8))
            await account.until(lambda: len(account.told(m.PositionOpened)) == 2)
            bridge.quiet_s = {"EURUSD": 60.0}
            bridge.orders = (*bridge.orders, order(9, kind=OrderKind.BUY_LIMIT))
            bridge.frame()
            await asyncio.sleep(EVERY_S)
            begun = loop.time()
            bridge.orders = (*bridge.orders[1:], order(10, kind=OrderKind.SELL))
            bridge.frame(row(7))
            await account.until(lambda: closed(account) == {"7"} and "10" in opened_roots(account))
            assert loop.time() - begun < 1.5
            await account.until(lambda: account.told(m.PendingPlaced))
            assert loop.time() - begun < 22
            await account.looked()
            assert len(account.told(m.PendingPlaced)) == 1
            assert sorted(opened_roots(account)) == ["10", "7", "8"]

    run(work())


def test_the_rest_of_an_order_in_a_market_that_does_not_move_holds_up_nothing() -> None:
    """Nothing that is told of it has the market's price."""

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.orders = (order(7), order(9, kind=OrderKind.BUY_LIMIT))
            await account.until(lambda: account.told(m.PendingPlaced))
            bridge.quiet_s = {"EURUSD": 60.0}
            await asyncio.sleep(10.0)
            rest = order(9, "0.06", kind=OrderKind.BUY_LIMIT)
            bridge.orders = (*bridge.orders[:1], order(9, "0.04"), rest)
            bridge.frame()
            await asyncio.sleep(10.0)
            begun = loop.time()
            bridge.orders = bridge.orders[1:]
            bridge.frame(row(7))
            await account.until(lambda: closed(account) == {"7"})
            assert loop.time() - begun < 1.5

    run(work())


@pytest.mark.parametrize("ticket", [9, 10])
def test_a_pending_order_that_fills_before_it_is_told_is_told_first(ticket: int) -> None:
    """Who ignores pending orders would copy it as a trade of the market's. Its position may have another
    ticket.
    """

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.quiet_s = {"EURUSD": 60.0}
            bridge.orders = (order(9, kind=OrderKind.BUY_LIMIT),)
            bridge.frame()
            await asyncio.sleep(2.0)
            assert not account.told(m.PendingPlaced)
            bridge.orders = (order(ticket, identifier=9),)
            bridge.frame()
            await account.until(lambda: account.told(m.PositionOpened))
            (placed,) = account.told(m.PendingPlaced)
            (opened,) = account.told(m.PositionOpened)
            assert (placed.ticket, opened.ticket, opened.from_pending) == (9, ticket, True)
            await account.looked()
            assert len(account.told(m.PendingPlaced)) == 1

    run(work())


@pytest.mark.parametrize("ticket", [9, 10])
def test_a_pending_order_that_fills_before_its_terms_are_known_waits_for_them(
    ticket: int,
) -> None:
    """Also where the server gives its position another ticket."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.answers_in_s = {"XYZ": 5.0}
            bridge.orders = (order(9, kind=OrderKind.BUY_LIMIT, symbol="XYZ"),)
            bridge.frame()
            await asyncio.sleep(2.0)
            bridge.orders = (order(ticket, symbol="XYZ", identifier=9),)
            bridge.frame()
            await account.until(lambda: account.told(m.PositionOpened))
            (placed,) = account.told(m.PendingPlaced)
            (opened,) = account.told(m.PositionOpened)
            assert placed.context.spec is not None
            assert opened.context.spec is not None
            assert opened.from_pending

    run(work())


@pytest.mark.parametrize("is_rest_first", [False, True])
@pytest.mark.parametrize("quiet", [0.0, 60.0])
def test_a_pending_order_that_fills_in_part_before_it_is_told_is_told_whole(
    is_rest_first: bool, quiet: float
) -> None:
    """A copy of its rest alone would be too small. Its fill waits for no price of the market's."""

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.answers_in_s, bridge.quiet_s = {"EURUSD": 5.0}, {"EURUSD": quiet}
            bridge.orders = (order(9, kind=OrderKind.BUY_LIMIT),)
            bridge.frame()
            await asyncio.sleep(2.0)
            begun = loop.time()
            parts = (order(9, "0.04"), order(9, "0.06", kind=OrderKind.BUY_LIMIT))
            bridge.orders = parts[::-1] if is_rest_first else parts
            bridge.frame()
            await account.until(lambda: account.told(m.PositionOpened))
            assert loop.time() - begun < 5.0
            (placed,) = account.told(m.PendingPlaced)
            (opened,) = account.told(m.PositionOpened)
            assert (placed.lots, opened.lots, opened.from_pending) == (D("0.10"), D("0.04"), True)

    run(work())


def test_a_pending_order_that_fills_before_it_is_told_hurries_no_other_trade() -> None:
    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.quiet_s = {"EURUSD": 60.0}
            bridge.answers_in_s = {"XYZ": 5.0}
            bridge.orders = (order(9, kind=OrderKind.BUY_LIMIT), order(10, symbol="XYZ"))
            bridge.frame()
            await asyncio.sleep(2.0)
            bridge.orders = (order(9), order(10, symbol="XYZ"))
            bridge.frame()
            await account.until(lambda: opened_roots(account) == ["9", "10"])
            assert all(opened.context.spec for opened in account.told(m.PositionOpened))

    run(work())


def test_what_ends_before_it_is_told_is_found_in_history() -> None:
    """Its frame is lost, and its profit is taken for the costs of what has opened since."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.tick(EASTERN)
            await account.looked()
            bridge.silent_on = {"XYZ"}
            at = broker_time()
            bridge.orders = (replace(order(9, symbol="XYZ"), opened_at_broker=at),)
            bridge.frame()
            await asyncio.sleep(2.0)
            ended = replace(row(9, symbol="XYZ", profit=D(5)), opened_at_broker=at)
            bridge.closed = (replace(ended, closed_at_broker=broker_time()),)
            bridge.balance += D(5)
            bridge.orders = (replace(order(10), opened_at_broker=broker_time()),)
            bridge.frame()
            await account.until(lambda: closed(account) == {"9"})

    run(work())


def test_a_price_that_came_late_once_is_asked_for_again() -> None:
    """By the time of the next order it is no price of now any more."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.answers_in_s = {"EURUSD": 3.0}
            bridge.orders = (order(9, kind=OrderKind.BUY_LIMIT),)
            bridge.frame()
            await account.until(lambda: account.told(m.PendingPlaced))
            bridge.answers_in_s = {}
            await asyncio.sleep(60.0)
            bridge.orders = (*bridge.orders, order(10, kind=OrderKind.BUY_LIMIT))
            bridge.frame()
            await account.until(lambda: len(account.told(m.PendingPlaced)) == 2)
            assert all(placed.context.quote for placed in account.told(m.PendingPlaced))

    run(work())


def test_terms_that_nobody_told_in_time_for_a_trade_are_asked_for_again_for_the_next() -> None:
    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.tick(EASTERN)
            await account.looked()
            bridge.silent_on = {"XYZ"}
            bridge.orders = (replace(order(9, symbol="XYZ"), opened_at_broker=broker_time()),)
            bridge.frame()
            await asyncio.sleep(2.0)
            bridge.orders = ()
            bridge.frame(replace(row(9, symbol="XYZ"), closed_at_broker=broker_time()))
            await asyncio.sleep(60.0)
            bridge.silent_on = set()
            bridge.orders = (replace(order(10, symbol="XYZ"), opened_at_broker=broker_time()),)
            bridge.frame()
            await account.until(lambda: "10" in opened_roots(account))
            (opened,) = [each for each in account.told(m.PositionOpened) if each.root == "10"]
            assert opened.context.spec is not None

    run(work())


def test_a_trade_that_costs_something_at_its_open_holds_up_no_other() -> None:
    """History is read for what its balance has lost: no look at that waits for its symbol's terms either."""

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.orders = (order(7),)
            await account.until(lambda: account.told(m.PositionOpened))
            bridge.silent_on = {"XYZ"}
            bridge.balance -= D("3.5")
            bridge.orders = (*bridge.orders, order(9, symbol="XYZ", commission=D("-3.5")))
            bridge.frame()
            await asyncio.sleep(8.0)
            begun = loop.time()
            bridge.orders = bridge.orders[1:]
            bridge.frame(row(7))
            await account.until(lambda: closed(account) == {"7"})
            assert loop.time() - begun < 1.5
            await account.until(lambda: "9" in opened_roots(account))
            assert loop.time() - begun < 22

    run(work())


def test_what_history_lacks_it_may_have_lacked_when_it_was_asked_for() -> None:
    """Its answer takes longer than it may lag. By the time of that the row that came was the last."""
    answered: list[float] = []

    async def work() -> None:
        async with watched() as account:
            bridge, loop = account.bridge, asyncio.get_running_loop()
            bridge.orders = (order(7, "0.30"),)
            await account.until(lambda: account.told(m.PositionOpened))
            bridge.orders = (order(7, "0.10"),)
            await account.until(lambda: account.told(m.PositionReduced))

            def tells(*_: datetime) -> History:
                answered.append(loop.time())
                return History(closed=(row(7, deal=70),), operations=())

            bridge.history_takes_s, bridge.tells, bridge.orders = 6.0, tells, ()
            await account.until(lambda: account.told(m.PositionClosed))
            asked = answered[-1] - bridge.history_takes_s
            assert asked >= answered[0] + LIMITS.history_lag_s

    run(work())
