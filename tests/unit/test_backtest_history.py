"""What a backtest replays: events, deals and tables as one history, and what symbols are taken to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from copypro.messages import (
    BalanceChanged,
    Context,
    Deal,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    Seen,
)
from copypro.statements.rows import DealRow
from copypro.trading import Figures
from copypro.values import AccountId, Mode, Platform, RootId, Side, Ticket
from copypro_standalone.backtest import netting, terms
from copypro_standalone.backtest.account_events import Told, live_start, of_events
from copypro_standalone.backtest.history import (
    Closed,
    Happening,
    History,
    Increased,
    Opened,
    Paid,
    begun,
    booked,
    in_order,
    with_stops,
)

ACCOUNT = AccountId("a" * 32)
MORNING = datetime(2026, 3, 2, 9, 0)
AT = MORNING.replace(tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(
    ticket: int, lots: str, closed_after: int, comment: str = "", opened: datetime = MORNING
) -> list[PositionOpened | PositionClosed]:
    """One line of a report, as its import records it."""
    root = RootId(f"statement:{ticket}")
    open_deal = Deal(ticket=ticket, sequence=0, lots=Decimal(lots), price=Decimal("1.1"))
    close_deal = Deal(
        ticket=ticket,
        sequence=1,
        lots=Decimal(lots),
        price=Decimal("1.2"),
        profit=Decimal(10),
        swap=Decimal(-1),
        time_broker=MORNING + closed_after * MINUTE,
    )
    return [
        PositionOpened(
            account=ACCOUNT, root=root, ticket=Ticket(ticket), symbol="EURUSD", side=Side.BUY,
            lots=Decimal(lots), open_price=Decimal("1.1"), opened_at_broker=opened,
            opened_at_utc=None, seen=Seen.IMPORTED, seen_at_utc=AT, deal=open_deal,
            stop_loss=Decimal("1.0"), comment=comment,
        ),
        PositionClosed(
            account=ACCOUNT, root=root, ticket=Ticket(ticket), symbol="EURUSD", side=Side.BUY,
            seen=Seen.IMPORTED, seen_at_utc=AT, deal=close_deal,
        ),
    ]  # fmt: skip


def told(balance: str = "1000") -> Told:
    return Told(name="x", platform=Platform.MT4, currency="USD", balance=Decimal(balance))


def history(*happenings: Happening) -> History:
    return History(
        name="x",
        platform=Platform.MT5,
        mode=Mode.HEDGING,
        currency="USD",
        balance=Decimal(1000),
        happenings=happenings,
    )


# --- events --------------------------------------------------------------------------------------


def test_rows_of_one_partly_closed_trade_are_one_position() -> None:
    """MT4 says so in comments, in both directions, and gives each piece a ticket of its own."""
    rows = [*row(7, "0.10", 5, "to #8"), *row(8, "0.20", 9), *row(9, "0.30", 11, "from #8")]
    other = row(
        10, "0.50", 20, "from #7", opened=MORNING + MINUTE
    )  # another trade, whatever it says
    made = of_events([*rows, *other], told(), None)
    assert [(one.ticket, one.lots) for one in made.opened()] == [
        (7, Decimal("0.60")),
        (10, Decimal("0.50")),
    ]
    first = next(made.opened()).position
    pieces = [one.lots for one in made.closed() if one.position == first]
    assert pieces == [Decimal("0.10"), Decimal("0.20"), Decimal("0.30")]


def test_the_first_balance_follows_from_the_last_one() -> None:
    made = of_events([*row(7, "0.10", 5), *row(8, "0.10", 6)], told("1018"), None)
    assert made.balance == 1000
    assert booked(made.happenings) == 18
    assert of_events(row(7, "0.10", 5), told("1018"), Decimal(5)).balance == 5


def test_a_closing_without_an_opening_moves_the_balance_and_is_no_trade() -> None:
    opened, closed = row(7, "0.10", 5)
    made = of_events([closed], told(), None)
    assert list(made.unopened) == ["7"]
    assert [(type(one), one.at) for one in made.happenings] == [(Paid, AT + 5 * MINUTE)]
    assert (made.balance, booked(made.happenings)) == (991, 9)
    assert list(of_events([opened, closed], told(), None).unopened) == []


def test_what_stood_when_its_account_was_added_again_is_one_position() -> None:
    opened, closed = row(7, "0.30", 5)
    live = msgspec.structs.replace(opened, root=RootId("7"), seen=Seen.LIVE)
    again = msgspec.structs.replace(live, lots=Decimal("0.10"), seen=Seen.BASELINE)
    made = of_events([live, again, msgspec.structs.replace(closed, root=RootId("7"))], told(), None)
    assert [one.lots for one in made.opened()] == [Decimal("0.30")]


def test_a_live_account_began_with_what_its_first_look_tells() -> None:
    """By the watcher's clock: the broker's says the same second for what came before and after."""

    def seen(event: Any, after_s: float, how: Seen, balance: str = "") -> Any:
        at = AT + timedelta(seconds=after_s)
        changed: dict[str, Any] = {"seen": how, "seen_at_utc": at}
        if balance:
            figures = Figures(balance=Decimal(balance), equity=Decimal(0))
            changed["context"] = Context(figures=figures, currency="USD")
        return msgspec.structs.replace(event, **changed)

    (past, before), (one, closed_one), (two, closed_two) = (row(n, "0.1", 5) for n in (1, 2, 3))
    events = [
        seen(one, 10.0, Seen.LIVE),
        seen(closed_one, 20.2, Seen.LIVE),
        seen(two, 20.4, Seen.LIVE, balance="118"),
        seen(before, 20.6, Seen.IMPORTED),  # read from its history later on
        seen(closed_two, 20.8, Seen.LIVE),
    ]
    assert live_start(events) == 100
    assert live_start([seen(one, 10.0, Seen.LIVE)]) is None
    late = AT + timedelta(seconds=20.6)
    part = PositionReduced(
        account=ACCOUNT, root=before.root, ticket=before.ticket, open_lots=Decimal("0.1"),
        ever_lots=Decimal("0.2"), seen_at_utc=late, deal=before.deal,
    )  # fmt: skip
    assert live_start([seen(past, 20.6, Seen.IMPORTED), part, *events]) == 91
    deal = msgspec.structs.replace(before.deal, time_utc=AT + 5 * MINUTE)
    unseen = msgspec.structs.replace(before, deal=deal)
    assert live_start([*events, seen(unseen, 400.0, Seen.IMPORTED)]) == 100, "a part told late"


@pytest.mark.parametrize("told_when", ["opening", "closing", "both"])
def test_what_an_entry_cost_moved_the_balance_when_it_opened(told_when: str) -> None:
    opening, closing = row(7, "0.1", 5)
    cost = Decimal("-3.50")
    if told_when != "closing":
        deal = msgspec.structs.replace(opening.deal, entry_cost=cost)
        opening = msgspec.structs.replace(opening, deal=deal)
    if told_when != "opening":
        deal = msgspec.structs.replace(closing.deal, entry_cost=cost)
        closing = msgspec.structs.replace(closing, deal=deal)
    figures = Figures(balance=Decimal("996.50"), equity=Decimal(0))
    opening = msgspec.structs.replace(
        opening, seen=Seen.LIVE, context=Context(figures=figures, currency="USD")
    )
    closing = msgspec.structs.replace(closing, seen=Seen.LIVE, seen_at_utc=AT + MINUTE)
    assert live_start([opening, closing]) == 1000
    made = of_events([opening, closing], told("1005.50"), None)
    assert made.balance == 1000
    assert [one.cost for one in made.opened()] == [cost]
    assert [one.costs for one in made.closed()] == [-1]


def test_stops_of_a_report_are_played_only_where_that_is_asked() -> None:
    made = of_events(row(7, "0.10", 5), told(), None)
    assert [one.stop_loss for one in with_stops(made, wanted=True).opened()] == [Decimal("1.0")]
    assert [one.stop_loss for one in with_stops(made, wanted=False).opened()] == [None]


def test_a_stop_that_was_trailed_beyond_the_opening_never_stood_there() -> None:
    buy = msgspec.structs.replace(
        opened("1", AT), stop_loss=Decimal("1.15"), take_profit=Decimal("1.3")
    )
    sell = msgspec.structs.replace(
        buy, position="2", side=Side.SELL, stop_loss=Decimal("1.2"), take_profit=Decimal("1.1")
    )
    made = with_stops(history(buy, sell), wanted=True)
    assert [(one.stop_loss, one.take_profit) for one in made.opened()] == [
        (None, Decimal("1.3")),
        (Decimal("1.2"), None),
    ]


# --- order ----------------------------------------------------------------------------------------


def opened(position: str, at: datetime, symbol: str = "EURUSD", price: str = "1.1") -> Opened:
    return Opened(
        at=at, position=position, ticket=1, symbol=symbol, side=Side.BUY, lots=Decimal(1),
        price=Decimal(price),
    )  # fmt: skip


def closed(position: str, at: datetime, price: str = "1.2", profit: str | None = None) -> Closed:
    made = None if profit is None else Decimal(profit)
    return Closed(at=at, position=position, lots=Decimal(1), price=Decimal(price), profit=made)


def test_of_one_moment_older_positions_close_first_and_new_ones_open_before_they_close() -> None:
    later = AT + MINUTE
    told_in_any_order = [
        closed("new", later), opened("new", later), closed("old", later), opened("old", AT),
    ]  # fmt: skip
    assert [(type(one).__name__, getattr(one, "position", "")) for one in in_order(told_in_any_order)] == [
        ("Opened", "old"), ("Closed", "old"), ("Opened", "new"), ("Closed", "new"),
    ]  # fmt: skip


def test_what_was_paid_before_the_first_trade_is_its_balance() -> None:
    made = begun(
        history(
            Paid(at=AT - MINUTE, amount=Decimal(500)),
            Paid(at=AT - MINUTE, amount=Decimal(50), is_credit=True),
            opened("1", AT),
            Paid(at=AT + MINUTE, amount=Decimal(7)),
        )
    )
    assert made.balance == 1500
    assert [one.amount for one in made.happenings if isinstance(one, Paid)] == [50, 7]


def test_what_the_first_entry_cost_was_not_paid_before_it() -> None:
    """An imported report tells it as an operation, of the second in which the trade opened."""
    cost = BalanceChanged(
        account=ACCOUNT, ticket=Ticket(7), kind="EntryCost", amount=Decimal("-3.50"),
        time_broker=MORNING, seen=Seen.IMPORTED, seen_at_utc=AT,
    )  # fmt: skip
    deposit = msgspec.structs.replace(cost, kind="Balance", amount=Decimal(1000))
    made = begun(of_events([deposit, cost, *row(7, "0.10", 5)], told("1005.50"), None))
    assert made.balance == 1000
    assert [type(one).__name__ for one in made.happenings] == ["Opened", "Paid", "Closed"]


# --- netting ----------------------------------------------------------------------------------------


def deal(ticket: int, kind: str, direction: str, lots: str, seconds: int = 0) -> DealRow:
    return DealRow(
        line=1, ticket=ticket, time=MORNING + timedelta(seconds=seconds), symbol="EURUSD",
        kind=kind, direction=direction, lots=Decimal(lots), price=Decimal("1.1"), order=ticket,
        commission=Decimal(0), fee=Decimal(0), swap=Decimal(0), profit=Decimal(0), balance=None,
    )  # fmt: skip


def test_deals_of_a_netting_account_open_increase_reduce_and_reverse() -> None:
    deals = [
        deal(1, "sell", "out", "3"),  # of what was open before the report began
        deal(2, "buy", "in", "1"),
        deal(3, "buy", "in", "2"),
        deal(4, "sell", "out", "1"),
        deal(5, "sell", "in/out", "5"),
        deal(6, "buy", "out", "3"),
    ]
    made = list(netting.happenings(deals))
    assert [(type(one).__name__, getattr(one, "position", ""), getattr(one, "lots", 0)) for one in made] == [
        ("Opened", "2", 1), ("Increased", "2", 2), ("Closed", "2", 1), ("Closed", "2", 2),
        ("Opened", "5", 3), ("Closed", "5", 3),
    ]  # fmt: skip
    assert [one.at for one in made] == sorted(
        {one.at for one in made}
    )  # one second, in their order
    sides = [one.side for one in made if isinstance(one, Opened)]
    assert sides == [Side.BUY, Side.SELL]


def test_a_reversal_of_a_position_from_before_the_report_opens_nothing_that_is_known() -> None:
    deals = [
        deal(1, "buy", "in/out", "3"),  # one that was open, and two more
        deal(2, "sell", "out", "2", 60),
        deal(3, "sell", "in", "1", 120),
        deal(4, "buy", "out", "1", 180),
    ]
    made = [one for one in netting.happenings(deals) if isinstance(one, Opened | Closed)]
    assert [(type(one).__name__, one.position, one.lots) for one in made] == [
        ("Opened", "3", 1),
        ("Closed", "3", 1),
    ]
    assert isinstance(made[0], Opened)
    assert made[0].side is Side.SELL


# --- terms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("EURUSD", "EURUSD"), ("eurusd.", "EURUSD"), ("#GBPJPYm", "GBPJPY"), ("XAUUSD.r", "XAUUSD"),
        ("JP225", None), ("BTCUSD", None), ("USDUSD", None), ("", None),
    ],
)  # fmt: skip
def test_a_pair_is_found_in_a_brokers_name(name: str, pair: str | None) -> None:
    assert terms.pair_in(name) == pair


def test_a_slave_names_the_bare_symbol_with_its_own_suffix() -> None:
    assert terms.slave_name("EURUSDm", None) == "EURUSDm"
    assert terms.slave_name("EURUSDm", ".r") == "EURUSD.r"
    assert terms.slave_name("GOLDm", ".r") == "GOLDm.r"


def test_a_contract_is_what_profits_in_the_prices_currency_say() -> None:
    """Gold at 10 ounces, an index in points: 0.1 at 1 lot of 10 is a dollar."""
    said = terms.terms_of(
        history(
            opened("1", AT, "XAUUSD", "2000.0"), closed("1", AT + MINUTE, "2001.5", "15.00"),
            opened("2", AT, "NAS100", "15000.0"), closed("2", AT + MINUTE, "14990.0", "-250.00"),
            opened("3", AT, "USDCHF", "0.90000"), closed("3", AT + MINUTE, "0.90100", "111.00"),
        )
    )  # fmt: skip
    found = {name: (one.contract_size, one.how, one.profit_currency) for name, one in said.items()}
    assert found == {
        "XAUUSD": (10, "profits", "USD"),
        "NAS100": (25, "profits", "USD"),
        "USDCHF": (100_000, "usual", "CHF"),
    }
    assert {name: one.digits for name, one in said.items()} == {
        "XAUUSD": 1,
        "NAS100": 1,
        "USDCHF": 5,
    }


@pytest.mark.parametrize(
    ("prices", "digits"),
    [
        (("1.10000", "1.20000"), 5),
        (("1286.5", "1286.44"), 2),
        (("18000.0", "18010"), 1),
        (("150", "151"), 0),
    ],
)
def test_a_symbol_has_the_digits_that_its_prices_are_written_with(
    prices: tuple[str, str], digits: int
) -> None:
    one = msgspec.structs.replace(opened("1", AT), price=Decimal(prices[0]))
    two = msgspec.structs.replace(closed("1", AT + MINUTE), price=Decimal(prices[1]))
    assert terms.terms_of(history(one, two))["EURUSD"].digits == digits


def test_profits_that_do_not_agree_say_nothing_of_a_contract() -> None:
    said = terms.terms_of(
        history(
            opened("1", AT, "XAUUSD", "2000"), closed("1", AT + MINUTE, "2001", "100"),
            opened("2", AT, "XAUUSD", "2000"), closed("2", AT + MINUTE, "2001", "300"),
            opened("3", AT, "XAUUSD", "2000"), closed("3", AT + MINUTE, "2001", "50"),
        )
    )  # fmt: skip
    assert (said["XAUUSD"].contract_size, said["XAUUSD"].how) == (100, "usual")


def test_a_profit_tells_what_the_other_currency_is_worth() -> None:
    made = history(
        opened("1", AT, "EURGBP", "0.85000"),
        closed("1", AT + MINUTE, "0.85100", "125.00"),
        opened("2", AT, "EURGBP", "0.85000"),
        Increased(at=AT, position="2", lots=Decimal(1), price=Decimal("0.85")),
        closed("2", AT + MINUTE, "0.85100", "999.00"),  # its opening is an average
    )
    rates = terms.implied_rates(made, terms.terms_of(made))
    assert rates == {1: terms.Rate("GBPUSD", Decimal("1.25"))}


def test_what_somebody_knows_of_a_symbol_wins() -> None:
    made = history(opened("1", AT, "JP225"), closed("1", AT + MINUTE))
    said = terms.terms_of(made, {"JP225": {"contract_size": "100", "profit_currency": "JPY"}})
    one = said["JP225"]
    assert (one.contract_size, one.profit_currency, one.how) == (100, "JPY", "given")
