"""Money that moved and that nothing has told of yet: a limit waits for history, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.messages import OrderEvent, Seen
from copypro.values import RootId, Side, Ticket
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.accounted import Accounted, unexplained
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import order, row
from tests.unit.slave_builders import D
from tests.unit.watched import ACCOUNT, BEGAN, REGISTRATION, Watched, watched

# --- the rule -------------------------------------------------------------------------------------


def paid(amount: str, kind: str = "Balance") -> m.BalanceChanged:
    return m.BalanceChanged(
        account=ACCOUNT,
        ticket=Ticket(1),
        kind=kind,
        amount=D(amount),
        time_broker=BEGAN.replace(tzinfo=None),
        seen=Seen.LIVE,
        seen_at_utc=BEGAN,
    )


def closed(profit: str, commission: str = "0") -> m.PositionClosed:
    return m.PositionClosed(
        account=ACCOUNT,
        root=RootId("1"),
        ticket=Ticket(1),
        symbol="EURUSD",
        side=Side.BUY,
        seen=Seen.LIVE,
        seen_at_utc=BEGAN,
        deal=m.Deal(
            ticket=1,
            sequence=1,
            lots=D("0.1"),
            price=D("1.1"),
            profit=D(profit),
            commission=D(commission),
        ),
    )


MODIFIED = m.PositionModified(
    account=ACCOUNT,
    root=RootId("1"),
    ticket=Ticket(1),
    stop_loss=D("1.05"),
    take_profit=None,
    seen_at_utc=BEGAN,
)


@pytest.mark.parametrize(
    ("before", "moved", "told", "left"),
    [
        ("0", "0", [], "0"),
        ("0", "-5000", [], "-5000"),
        ("0", "-5000", [MODIFIED], "-5000"),  # a stop that was moved moves no money
        ("0", "-5000", [paid("-5000")], "0"),
        ("-5000", "0", [], "-5000"),  # an empty history is no explanation
        ("-5000", "0", [paid("-5000")], "0"),
        ("-5000", "0", [paid("-5000"), paid("100", "Credit")], "0"),
        ("0", "-20.07", [closed("-20")], "0"),  # in its own frame, costs and all
        ("0", "-120", [closed("-20")], "0"),
        ("0", "-5020", [closed("-20")], "-5000"),  # more than any costs
        ("-5000", "-20", [closed("-20")], "-5000"),  # a trade explains no withdrawal
        ("-5020.5", "0", [closed("-20", "-0.5")], "-5000"),
        ("-20", "0", [closed("-20")], "0"),
        ("0", "0", [paid("-5000")], "5000"),  # told before the figures show it
        ("5000", "-5000", [], "0"),
    ],
)
def test_what_is_told_explains_its_own_money_and_no_other(
    before: str, moved: str, told: Sequence[OrderEvent], left: str
) -> None:
    assert unexplained(D(before), D(moved), told, costs=D(100)) == D(left)


@pytest.mark.parametrize(
    ("before", "moved", "left"),
    [("0", "-20", "0"), ("0", "-5020", "-5000"), ("-5000", "-20", "-5000")],
)
def test_a_list_may_show_a_withdrawal_beside_a_trade(before: str, moved: str, left: str) -> None:
    assert unexplained(D(before), D(moved), [closed("-20")], costs=D(0)) == D(left)


def test_a_doubt_ends_when_it_has_waited_long_enough_and_the_next_one_waits_anew() -> None:
    accounted = Accounted(wait_s=5)
    accounted.looked(D(10000), [], is_frame=False, has_history=False)
    for at, balance in ((100.0, 5000), (200.0, 2000)):
        assert accounted.looked(D(balance), [], is_frame=False, has_history=False, is_trading=True)
        assert not accounted.settle(at)
        assert not accounted.looked(D(balance), [], is_frame=False, has_history=True)
        assert not accounted.settle(at + 5)
        assert accounted.settle(at + 5.1)
        assert accounted.settle(at + 5.2)


@pytest.mark.parametrize(
    ("looks", "paid", "explained"),
    [
        ([("5000", [], False)], "-5000", "10000"),
        ([("5000", [], False), ("5000", [paid("-5000")], False)], "0", "5000"),
        ([("5000", [], False), ("4980", [closed("-20")], False)], "-5000", "9980"),
        ([("5000", [], False), ("4980", [closed("-20"), paid("-5000")], False)], "0", "4980"),
        ([("10000", [paid("-5000")], False), ("5000", [], False)], "0", "5000"),
        ([("9400", [], False), ("9400", [closed("-600")], False)], "0", "9400"),
        ([("9400", [], True)], "0", "10000"),  # something ended, and nobody knows yet how
        ([("5000", [], False), ("4400", [], True)], "-5000", "10000"),
        ([("5000", [], False), ("4400", [], True), ("4400", [paid("-5000")], True)], "0", "5000"),
        ([("0", [], False), ("10000", [], False)], "0", "10000"),  # of a session that loads
    ],
)
def test_what_moves_while_no_trade_does_is_paid_until_it_is_told(
    looks: Sequence[tuple[str, Sequence[OrderEvent], bool]], paid: str, explained: str
) -> None:
    accounted = Accounted(wait_s=5)
    accounted.looked(D(10000), [], is_frame=False, has_history=False)
    for balance, told, is_trading in looks:
        accounted.looked(D(balance), told, is_frame=False, has_history=False, is_trading=is_trading)
    assert (accounted.paid, accounted.explained) == (D(paid), D(explained))


def test_what_was_before_the_first_look_is_in_its_balance() -> None:
    accounted = Accounted(wait_s=5)
    accounted.owe()
    accounted.looked(D(10000), [closed("-20")], is_frame=False, has_history=False)
    assert not accounted.settle(0), "nobody has read what happened meanwhile"
    accounted.looked(D(10000), [paid("-5000")], is_frame=False, has_history=True)
    assert accounted.settle(0)


# --- at work --------------------------------------------------------------------------------------


def triggered(account: Watched) -> list[Any]:
    return account.told(m.EquityProtectorTriggered)


def at_work(
    work: Callable[[Watched], Awaitable[None]], limits: WatcherLimits | None = None
) -> None:
    async def in_its_loop() -> None:
        async with watched(limits) as account:
            await work(account)

    run(in_its_loop())


@pytest.mark.parametrize("seen_by", ["frame", "snapshot"])
def test_a_withdrawal_that_history_tells_late_is_no_loss(seen_by: str) -> None:
    async def work(account: Watched) -> None:
        bridge = account.bridge
        bridge.orders = (order(7),)
        await account.protect(stop_loss_percent=D(5))
        bridge.history_lags_s = 3.5
        bridge.orders = (order(7, sl="1.05"),)  # moved in the same look
        snapshots, histories = bridge.snapshots, bridge.histories
        bridge.pays("-5000")
        if seen_by == "frame":
            bridge.frame()
        await account.until(lambda: account.start() == 5000 or triggered(account))
        assert triggered(account) == []
        assert bridge.histories - histories <= 6, "asked each second, not again and again"
        assert bridge.snapshots - snapshots <= 15

    at_work(work)


def test_money_that_is_in_doubt_when_its_owner_is_lost_is_so_for_the_next_one() -> None:
    async def work(account: Watched) -> None:
        await account.protect(stop_loss_percent=D(5))
        account.bridge.history_lags_s = 3.5
        account.bridge.pays("-5000")
        account.log.lose(topics.ACCOUNT_WATCHER, 0)
        await account.until(lambda: account.start() == 5000 or triggered(account))
        assert triggered(account) == []

    at_work(work)


@pytest.mark.parametrize("seen_by", ["frame", "snapshot"])
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_withdrawal_is_no_loss_however_long_history_lags(seen_by: str, is_lost: bool) -> None:
    async def work(account: Watched) -> None:
        bridge = account.bridge
        bridge.orders = (order(7),)
        await account.protect(stop_loss_percent=D(5), take_profit_percent=D(5))
        bridge.history_lags_s = 45
        bridge.pays("-5000")
        histories = bridge.histories
        if seen_by == "frame":
            bridge.frame()
        await asyncio.sleep(20)
        if is_lost:
            account.log.lose(topics.ACCOUNT_WATCHER, 0)
        await account.until(lambda: account.start() == 5000 or triggered(account))
        assert triggered(account) == []
        assert bridge.histories - histories <= 20, "asked ever more seldom"

    at_work(work)


def test_a_loss_beside_a_withdrawal_that_nobody_has_told_is_seen_at_once() -> None:
    async def work(account: Watched) -> None:
        bridge = account.bridge
        bridge.orders = (order(7),)
        await account.protect(stop_loss_percent=D(5))
        bridge.history_lags_s = 1e6
        bridge.pays("-5000")
        bridge.frame()
        await asyncio.sleep(10)
        bridge.equity -= 249
        bridge.frame()
        await asyncio.sleep(10)
        assert triggered(account) == []
        bridge.equity -= 1
        bridge.frame()
        await account.until(lambda: triggered(account))
        assert triggered(account)[0].protector.numbers["limit"] == "4750"

    at_work(work)


def test_what_looked_paid_and_was_a_trade_is_a_loss_once_history_tells() -> None:
    """It opened and closed between two looks."""

    async def work(account: Watched) -> None:
        bridge = account.bridge
        await account.protect(stop_loss_percent=D(5))
        bridge.balance, bridge.equity = D(9400), D(9400)
        at = BEGAN.replace(tzinfo=None) + timedelta(hours=14, minutes=2)
        hidden = row(77, deal=78, profit=D(-600))
        await asyncio.sleep(30)
        assert triggered(account) == []
        bridge.closed = (replace(hidden, opened_at_broker=at, closed_at_broker=at),)
        await account.until(lambda: triggered(account))

    at_work(work)


def test_money_that_moved_beside_a_trade_is_judged_though_nobody_ever_explains_it() -> None:
    async def work(account: Watched) -> None:
        bridge = account.bridge
        bridge.orders = (order(7),)
        await account.protect(stop_loss_percent=D(5))
        bridge.history_lags_s = 1e6
        bridge.orders = ()
        bridge.pays("-5000")
        bridge.frame()
        await account.until(lambda: triggered(account))
        assert triggered(account)[0].protector.start_balance == 10000

    at_work(work)


@pytest.mark.parametrize("lags_s", [0, 3])
@pytest.mark.parametrize("is_opened", [True, False])
def test_a_withdrawal_just_before_the_frame_of_a_trade_is_told_and_no_loss(
    is_opened: bool, lags_s: float
) -> None:
    """No look was between the two."""

    async def work(account: Watched) -> None:
        bridge = account.bridge
        bridge.orders = (order(7),)
        await account.protect(stop_loss_percent=D(5))
        await asyncio.sleep(10)
        bridge.history_lags_s = lags_s
        bridge.pays("-5000")
        bridge.balance, bridge.equity = bridge.balance - 7, bridge.equity - 7
        bridge.orders = (order(7), order(8)) if is_opened else ()
        bridge.frame(None if is_opened else row(7, deal=78, profit=D(-7)))
        await asyncio.sleep(15)
        assert [event.amount for event in account.told(m.BalanceChanged)] == [-5000]
        assert triggered(account) == []
        assert account.start() == 5000

    at_work(work)


def test_what_was_paid_while_the_account_was_removed_is_in_its_first_look() -> None:
    async def work(account: Watched) -> None:
        bridge = account.bridge
        await account.command(m.RemoveAccount(account=ACCOUNT, registration=REGISTRATION))
        await account.until(lambda: account.told(m.AccountRemoved))
        bridge.history_lags_s = 1e6
        bridge.pays("-5000")
        await account.register()
        await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
        await account.protect(stop_loss_percent=D(5))
        assert account.start() == 5000

    at_work(work)


def test_an_attempt_that_is_not_settled_says_nothing_of_money() -> None:
    """Its own wait for history is long: a limit that is reached meanwhile acts at once."""

    async def work(account: Watched) -> None:
        await account.protect(stop_loss_percent=D(5))
        await account.open()
        await account.until(lambda: account.told(m.CopyUnresolved, topics.EXECUTIONS))
        account.bridge.equity = Decimal(9000)
        account.bridge.frame()
        await account.until(lambda: triggered(account))

    never = 1e9
    at_work(work, WatcherLimits(absence_wait_mt5_s=never, flow_wait_s=never))


def test_what_only_history_tells_is_told_though_frames_overtake_every_list() -> None:
    """And lists are asked for with rests."""

    async def work(account: Watched) -> None:
        bridge = account.bridge
        bridge.overtaken = True
        bridge.pays("-1")  # only history tells, and it is read with a list
        bridge.frame()
        snapshots = bridge.snapshots
        await asyncio.sleep(20)
        assert account.told(m.BalanceChanged)
        assert bridge.snapshots - snapshots <= 100, "a few tries each second"

    at_work(work)
