"""What nobody answered, and history shows as begun and ended: it is told to its end."""

from __future__ import annotations

from datetime import timedelta

from copypro import messages as m
from copypro import topics
from copypro.trading import ClosedOrder, CloseReason
from copypro.values import OrderKind, Ticket
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.slave_builders import D, places
from tests.unit.watched import ACCOUNT, EASTERN, REGISTRATION, Watched, now, watched


def ended(account: Watched, *, cancelled: bool = False) -> ClosedOrder:
    """The last attempt's, under its tag."""
    started = account.told(m.AttemptStarted, topics.EXECUTIONS)[-1]
    moment = now().replace(tzinfo=None) + EASTERN
    return ClosedOrder(
        ticket=Ticket(77),
        deal=77 if cancelled else 9077,
        symbol="EURUSD",
        kind=started.request.kind,
        lots=D("0.10"),
        open_price=D("1.1"),
        close_price=D("1.09"),
        opened_at_broker=moment,
        closed_at_broker=moment + timedelta(seconds=1),
        profit=D("-10"),
        comment=started.tag,
        reason=CloseReason.UNKNOWN if cancelled else CloseReason.STOP_LOSS,
        cancelled=cancelled,
    )


def test_an_open_that_ended_before_it_was_found_is_followed_to_its_end() -> None:
    """Else it counts as standing until history is read for another reason, and its close fails."""

    async def work() -> None:
        async with watched() as account:
            await account.open()
            await account.until(lambda: account.told(m.AttemptStarted, topics.EXECUTIONS))
            account.bridge.closed = (ended(account),)
            account.bridge.balance -= 10
            account.bridge.equity -= 10
            await account.until(lambda: account.told(m.CopyReconciled, topics.EXECUTIONS))
            await account.until(lambda: account.told(m.CopyDetached, topics.EXECUTIONS))
            (left,) = account.told(m.CopyDetached, topics.EXECUTIONS)
            assert (left.ticket, left.reason) == (77, "CLOSED_BY_STOP_LOSS")

    run(work())


def test_a_mirrored_order_that_was_gone_before_it_was_found_is_told_as_removed() -> None:
    async def work() -> None:
        async with watched() as account:
            order = places(OrderKind.BUY_LIMIT, "1.099")
            await account.order(replace(order, slave=ACCOUNT, registration=REGISTRATION))
            await account.until(lambda: account.told(m.AttemptStarted, topics.EXECUTIONS))
            account.bridge.closed = (ended(account, cancelled=True),)
            await account.until(lambda: account.told(m.CopyPendingPlaced, topics.EXECUTIONS))
            await account.until(lambda: account.told(m.CopyPendingRemoved, topics.EXECUTIONS))

    run(work())
