"""What a lot costs is what the account's own trades were charged: by hand, and as FixedRisk counts it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from copypro import messages as m
from copypro import topics
from copypro.errors import Refused
from copypro.options import RiskType
from copypro.trading import ClosedOrder, CloseReason, Done, OpenOrder, TradeRequest
from copypro.values import AccountId, Mode, OrderKind, Platform
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.book import Book, Cost
from copypro_account_watcher.seen.costs import Known, cost_of, is_usual, note
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace

from tests.unit.diff_builders import Watch, broker, order, row
from tests.unit.slave_builders import D, opens
from tests.unit.watched import ACCOUNT, BEGAN, REGISTRATION, Watched, now, watched


class Seen(Watch):
    """Looks whose facts are noted, as an agent does."""

    def sees(self, *orders: OpenOrder, **more: object) -> list[m.OrderEvent]:
        told = super().sees(*orders, **more)  # type: ignore[arg-type]
        for event in (*told, *self.late):
            note(self.book, event)
        return told

    def cost(self, *standing: OpenOrder) -> Known:
        return cost_of("EURUSD", self.book.costs, standing)


def test_nothing_was_ever_seen() -> None:
    assert Seen().cost() == Known(D(0), "none")


def test_an_mt5_position_is_charged_as_it_opens_and_as_it_closes() -> None:
    """0.37 lots: 1.11 and 1.48 are 3 and 4 a lot."""
    watch = Seen()
    watch.sees(order(1, "0.37", commission=D("-1.11")))
    assert watch.cost() == Known(D(3), "open")
    watch.reads_history(closed=(row(1, "0.37", deal=9, commission=D("-1.00"), fee=D("-0.48")),))
    assert watch.cost() == Known(D(7), "closed")
    assert cost_of("GBPUSD", watch.book.costs, ()) == Known()


def test_a_broker_that_tells_of_an_openings_charge_with_the_close_alone() -> None:
    watch = Seen()
    watch.sees(order(1, "0.20"))
    watch.reads_history(closed=(row(1, "0.20", deal=9, entry_cost=D("-1.40")),))
    assert watch.cost() == Known(D(7), "closed")


def test_an_mt4_order_has_the_whole_of_it() -> None:
    """Its row is the round turn; until there is one, what the newest open order shows."""
    watch = Seen(Platform.MT4)
    standing = (
        order(1, "0.50", commission=D("-4.00"), opened=-60),
        order(2, "0.20", commission=D("-1.40")),
        order(3, "0.10", commission=D("-0.70"), opened=60, comment="from #2"),
        order(4, "0.10", opened=70),
        order(5, "0.10", OrderKind.BUY_LIMIT, opened=80),
        order(6, "0.10", commission=D("-1"), opened=90, symbol="GBPUSD"),
    )
    watch.sees(*standing)
    assert watch.cost(*standing) == Known(D(7), "open")
    watch.reads_history(*standing[1:], closed=(row(1, "0.50", commission=D("-3.00")),))
    assert watch.cost(*standing[1:]) == Known(D(6), "closed")


def test_what_closes_later_counts_instead() -> None:
    watch = Seen()
    for ticket, charged in ((1, "-0.70"), (2, "-0.60"), (3, "0")):
        watch.sees(order(ticket, "0.10", opened=ticket))
        closed = row(ticket, "0.10", deal=90 + ticket, closed=60 + ticket, commission=D(charged))
        watch.reads_history(closed=(closed,))
        assert watch.cost() == Known(-D(charged) * 10, "closed")


def test_a_part_tells_nothing_of_the_whole() -> None:
    """Some brokers charge it to the first part, some divide it."""
    watch = Seen(Platform.MT4)
    watch.sees(order(1, "1.00", commission=D("-7")))
    rest = order(2, "0.99", comment="from #1")
    watch.reads_history(rest, closed=(row(1, "0.01", commission=D("-7"), comment="to #2"),))
    watch.reads_history(closed=(row(2, "0.99", closed=90, comment="from #1"),))
    assert isinstance(watch.all[-1], m.PositionClosed)
    assert watch.cost() == Known()


def test_a_close_that_only_a_list_shows_is_not_free_of_charge() -> None:
    watch = Seen()
    watch.sees(order(1, "0.10", commission=D("-0.35")))
    closed = closing(row(1, "0.10"))
    note(watch.book, replace(closed, deal=replace(closed.deal, ticket=-5)))
    assert watch.cost() == Known(D("3.5"), "open")
    told = replace(closed.deal, ticket=-5, commission=D("-0.35"))
    note(watch.book, replace(closed, deal=told))
    assert watch.cost() == Known(D(7), "closed")


def closing(piece: ClosedOrder, **more: object) -> m.PositionClosed:
    watch = Watch()
    watch.sees(order(piece.ticket, str(piece.lots)))
    (closed,) = watch.reads_history(closed=(piece,))
    assert isinstance(closed, m.PositionClosed)
    return replace(closed, **more)


def test_a_close_by_tells_nothing() -> None:
    book = Book(AccountId("a" * 32))
    closed = closing(row(1, "0.10", commission=D("-7")), reason=CloseReason.CLOSE_BY)
    note(book, closed)
    assert book.costs == {}


def test_older_closings_are_told_after_newer_ones() -> None:
    """The past is read from its newest page on."""
    book = Book(AccountId("a" * 32))
    for at, charged in ((100, "-0.70"), (50, "-0.10"), (120, "-0.80")):
        note(book, closing(row(at, "0.10", closed=at, commission=D(charged))))
    assert book.costs == {"EURUSD": Cost(exit=D(8), exit_at=broker(120))}


def test_a_broker_may_pay_for_trades() -> None:
    book = Book(AccountId("a" * 32))
    note(book, closing(row(1, "0.10", commission=D("0.20"))))
    assert cost_of("EURUSD", book.costs, ()) == Known(D(-2), "closed")


def test_a_charge_beyond_all_measure_is_none() -> None:
    book = Book(AccountId("a" * 32))
    note(book, closing(row(1, "0.10", commission=D("1E+300"))))
    assert book.costs == {}


def test_a_restart_and_a_removal_keep_it_and_it_is_bounded() -> None:
    watch = Seen()
    watch.sees(order(1, "0.10", commission=D("-0.35")))
    watch.reads_history(closed=(row(1, "0.10", deal=9, commission=D("-0.35")),))
    assert watch.reopened().book.costs == watch.book.costs != {}
    assert watch.book.after_removal(is_past_told=True).costs == watch.book.costs
    for number in range(watch.book.limits.costs + 5):
        watch.book.learn_cost(f"S{number}", Cost())
    assert len(watch.book.costs) == watch.book.limits.costs
    assert "EURUSD" not in watch.book.costs


# --- in an account's agent ------------------------------------------------------------------------

ONE_PAGE = WatcherLimits(import_days=60)


@pytest.mark.parametrize(
    ("closed", "by", "lots"),
    [
        # 1 % of 10,000 USD by a stop 0.00500 away: 100 / 500
        ((), "none", "0.2"),
        # 100 / (500 + 7)
        ((row(5, "0.50", deal=6, commission=D("-1.75"), entry_cost=D("-1.75")),), "closed", "0.19"),
    ],
)
def test_fixed_risk_counts_what_the_accounts_past_was_charged(
    closed: tuple[ClosedOrder, ...], by: str, lots: str
) -> None:
    """Also after a restart, which does not read the past again."""
    past = BEGAN - timedelta(days=3)
    closed = tuple(replace(each, closed_at_utc=past, opened_at_utc=past) for each in closed)

    async def work() -> None:
        async with watched(ONE_PAGE, closed=closed) as account:
            await account.until(lambda: len(account.told(m.PositionClosed)) == len(closed))
            await account.looked()
            await opens_by_risk(account)
            assert counted(account) == [(by, lots)]
            log = account.log
        async with watched(log=log) as account:
            await account.looked()
            await opens_by_risk(account)
            assert counted(account) == [(by, lots)] * 2

    async def opens_by_risk(account: Watched) -> None:
        count = len(account.told(m.AttemptStarted, topics.EXECUTIONS))
        account.bridge.profit_currency, account.bridge.does = "USD", refuses
        risk = opens(sl="1.09502", risk_type=RiskType.FIXED_RISK, risk_value=D(1), same_server=True)
        copy = replace(
            risk,
            copy=str(count) * 32,
            slave=ACCOUNT,
            registration=REGISTRATION,
            seen_at_utc=now(),
            fresh_from_utc=now(),
        )
        await account.order(copy)
        await account.until(lambda: len(account.told(m.AttemptStarted, topics.EXECUTIONS)) > count)

    def counted(account: Watched) -> list[tuple[str, str]]:
        return [
            (started.numbers["cost_by"], str(started.request.lots.normalize()))
            for started in account.told(m.AttemptStarted, topics.EXECUTIONS)
        ]

    async def refuses(_: TradeRequest) -> Done:
        raise Refused("NO_MONEY")

    run(work())


def test_parts_of_an_mt4_order_in_the_past_tell_nothing() -> None:
    past = BEGAN - timedelta(days=3)
    parts = (
        row(5, "0.01", commission=D("-7"), comment="to #6"),
        row(6, "0.99", closed=90, comment="from #5"),
        row(7, "0.50", commission=D("-3.5"), closed=-90),
    )
    closed = tuple(replace(each, closed_at_utc=past, opened_at_utc=past) for each in parts)

    async def work() -> None:
        async with watched(ONE_PAGE, closed=closed, platform=Platform.MT4) as account:
            await account.until(lambda: len(account.told(m.PositionClosed)) == 3)
            await account.looked()
            assert costs_of(account) == {"EURUSD": Cost(exit=D(7), exit_at=broker(-90))}

    run(work())


def test_the_latest_closing_of_the_past_counts_whatever_their_tickets() -> None:
    past = BEGAN - timedelta(days=3)
    closings = ((5, -90, "-0.70"), (6, -30, "-0.70"), (7, -60, "-0.10"))
    closed = tuple(
        replace(
            row(ticket, "0.10", closed=at, commission=D(charged)),
            closed_at_utc=past,
            opened_at_utc=past,
        )
        for ticket, at, charged in closings
    )

    async def work() -> None:
        async with watched(ONE_PAGE, closed=closed, platform=Platform.MT4) as account:
            await account.until(lambda: len(account.told(m.PositionClosed)) == 3)
            await account.looked()
            assert costs_of(account) == {"EURUSD": Cost(exit=D(7), exit_at=broker(-30))}

    run(work())


def costs_of(account: Watched) -> dict[str, Cost]:
    book = Book(ACCOUNT)
    for part in account.log.states[topics.WATCHER_STATE.name]:
        record = part.get(f"book/{ACCOUNT}")
        if record is not None and record.value:
            book.restore_rest(record.value)
    return book.costs


@pytest.mark.parametrize(
    ("charged", "is_known"),
    [
        ("0", True),
        ("-1.05", True),
        ("-1.04", False),
        ("-1.0463", True),
        ("-1.06", False),
        ("1.05", False),
        ("-0.70", False),
        ("3.95", False),
    ],
)
def test_what_openings_were_charged_before_is_usual_to_the_cent(
    charged: str, is_known: bool
) -> None:
    """One by itself and one that was added; for the third its own deal tells it."""
    opened, added, told = opened_in_steps()
    costs = {"EURUSD": Cost(entry=D(7))}
    events = (opened, added, told, closing(row(9)))
    assert is_usual(D(charged), events, costs) is is_known


def test_where_no_opening_was_ever_charged_none_is_usual() -> None:
    opened, added, _ = opened_in_steps()
    for costs in ({}, {"EURUSD": Cost()}, {"GBPUSD": Cost(entry=D(7))}):
        assert is_usual(D(0), (opened, added), costs)
        assert not is_usual(D("0.005"), (opened, added), costs)


def test_a_charge_of_less_than_a_cent_hides_nothing() -> None:
    """An account in bitcoin counts in less."""
    opened, _, _ = opened_in_steps()
    costs = {"EURUSD": Cost(entry=D("0.0001"))}
    assert not is_usual(D("0.004"), (opened,), costs)


def opened_in_steps() -> list[m.OrderEvent]:
    watch = Watch(mode=Mode.NETTING)
    watch.sees(order(1, "0.10"))
    watch.sees(order(1, "0.15"))
    watch.sees(order(1, "0.15"), order(2, "0.20", symbol="GBPUSD", commission=D("-1.40")))
    return watch.all
