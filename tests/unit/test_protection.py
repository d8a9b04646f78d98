"""When an equity protector acts, and when it must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from copypro.protection import (
    Breach,
    Protector,
    ProtectorSettings,
    Seen,
    armed,
    is_reached,
    levels,
    looked,
    problem,
)
from hypothesis import given
from hypothesis import strategies as st

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)


def settings(**numbers: Any) -> ProtectorSettings:
    flags = {"enabled": True, "alert": True} | {
        name: value for name, value in numbers.items() if isinstance(value, bool)
    }
    limits = {
        name: Decimal(value) for name, value in numbers.items() if not isinstance(value, bool)
    }
    return ProtectorSettings(**flags, **limits)


def seen(equity: str | Decimal, balance: str | Decimal = "10000", **more: Any) -> Seen:
    fields: dict[str, Any] = {"credit": Decimal(0), "at_utc": T0, "clock_offset_minutes": 120}
    return Seen(balance=Decimal(balance), equity=Decimal(equity), **fields | more)


def after(protector: Protector, *looks: Seen) -> Protector:
    for look in looks:
        protector = looked(protector, look)
    return protector


def started(**numbers: Any) -> Protector:
    return after(armed(None, settings(**numbers)), seen("10000"))


@pytest.mark.parametrize(
    ("numbers", "last_safe", "reached", "breach"),
    [
        ({"stop_loss_percent": "5"}, "9500.01", "9500", Breach.STOP_LOSS),
        ({"stop_loss_value": "250"}, "9750.01", "9750", Breach.STOP_LOSS),
        ({"stop_loss_absolute": "9000"}, "9000.01", "9000", Breach.STOP_LOSS),
        ({"take_profit_percent": "10"}, "10999.99", "11000", Breach.TAKE_PROFIT),
        ({"take_profit_value": "300"}, "10299.99", "10300", Breach.TAKE_PROFIT),
        ({"take_profit_absolute": "12000"}, "11999.99", "12000", Breach.TAKE_PROFIT),
    ],
)
def test_each_limit_acts_where_it_is_reached_and_not_before(
    numbers: dict[str, str], last_safe: str, reached: str, breach: Breach
) -> None:
    safe = after(started(**numbers), seen(last_safe))
    assert safe.tripped is None
    trip = after(safe, seen(reached)).tripped
    assert trip is not None
    assert (trip.breach, trip.level, trip.equity) == (breach, Decimal(reached), Decimal(reached))
    assert trip.rule.replace("_", "").casefold() == next(iter(numbers)).replace("_", "")


def test_a_stop_that_is_gapped_over_says_what_equity_was() -> None:
    trip = after(started(stop_loss_percent="5"), seen("8000")).tripped
    assert trip is not None
    assert (trip.level, trip.equity) == (Decimal("9500"), Decimal("8000"))


def test_it_acts_once_until_it_is_armed_anew() -> None:
    acted = after(started(stop_loss_percent="5"), seen("9000"))
    assert after(acted, seen("8000"), seen("10000"), seen("9000")) == acted
    again = after(armed(acted, acted.settings), seen("9000", balance="9000"), seen("8550"))
    assert again.tripped is not None
    assert again.start_balance == 9000
    assert again.serial > acted.serial


def test_credit_counts_since_equity_includes_it() -> None:
    protector = armed(None, settings(take_profit_percent="5", stop_loss_percent="5"))
    with_credit = after(protector, seen("11000", credit=Decimal(1000)))
    assert with_credit.start_balance == 11000
    assert with_credit.tripped is None


@pytest.mark.parametrize("given", ["1000", "-1000"])
def test_credit_given_or_taken_is_no_result_whoever_shows_it_first(given: str) -> None:
    protector = armed(None, settings(take_profit_percent="5", stop_loss_percent="5"))
    before = after(protector, seen("11000", credit=Decimal(1000)))
    equity = Decimal(11000) + Decimal(given)
    frame = after(before, seen(equity, credit=None))
    assert frame.tripped is None
    assert is_reached(frame, seen(equity)), "a snapshot is asked for"
    snapshot = after(frame, seen(equity, credit=1000 + Decimal(given)))
    assert (snapshot.tripped, snapshot.start_balance) == (None, equity)
    assert not is_reached(snapshot, seen(equity))


def test_what_is_not_known_acts_on_nothing() -> None:
    """A session that has not loaded its account says zero for everything."""
    protector = started(stop_loss_percent="5", stop_loss_absolute="1")
    assert after(protector, seen("0", balance="0")) == protector
    assert after(protector, seen("NaN")) == protector
    assert (
        after(armed(None, settings(stop_loss_percent="5")), seen("0", balance="0")).start_balance
        is None
    )
    ruined = after(protector, seen("0", balance="10000", credit=Decimal(0)))
    assert ruined.tripped is not None, "all lost is not unknown: the balance is there"


def test_money_told_beside_figures_that_are_not_known_is_told_once_and_counts() -> None:
    """An account paid out shows nothing but zeros, and what is paid in again is no gain."""
    protector = started(stop_loss_percent="5", take_profit_percent="5")
    paid_out = after(protector, seen("0", balance="0", flows=(Decimal(-10000),)))
    assert (paid_out.start_balance, paid_out.tripped) == (0, None)
    unloaded = after(protector, seen("NaN", flows=(Decimal(-4000),)))
    again = after(paid_out, seen("6000", balance="6000", flows=(Decimal(6000),)))
    loaded = after(unloaded, seen("6000", balance="6000"))
    for protector in (again, loaded):
        assert (protector.start_balance, protector.tripped) == (6000, None)


def test_the_day_after_an_account_was_paid_out_starts_from_what_is_paid_in_then() -> None:
    protector = started(stop_loss_percent="5", daily_reset=True)
    paid_out = after(protector, seen("0", balance="0", flows=(Decimal(-10000),)))
    tomorrow = T0 + timedelta(days=1)
    paid_in = seen("6000", balance="6000", flows=(Decimal(6000),), at_utc=tomorrow)
    assert after(paid_out, paid_in).start_balance == 6000


def test_off_it_does_nothing() -> None:
    off = armed(None, settings(enabled=False, stop_loss_absolute="9999999"))
    assert after(off, seen("1")) == off


@pytest.mark.parametrize("paid", ["-5000", "5000"])
def test_money_paid_in_or_out_moves_the_start_and_is_no_result(paid: str) -> None:
    protector = started(stop_loss_percent="5", take_profit_percent="5")
    balance = 10000 + Decimal(paid)
    unexplained = after(protector, seen(balance, balance=balance, settled=False))
    assert unexplained.tripped is None, "it waits for history to tell why"
    explained = after(unexplained, seen(balance, balance=balance, flows=(Decimal(paid),)))
    assert explained.tripped is None
    assert [level.at for level in levels(explained)] == [
        balance * Decimal("0.95"),
        balance * Decimal("1.05"),
    ]


def test_an_absolute_level_stays_where_it_is() -> None:
    paid_in = after(
        started(stop_loss_absolute="9000"), seen("15000", "15000", flows=(Decimal(5000),))
    )
    assert [level.at for level in levels(paid_in)] == [Decimal(9000)]


def test_a_start_that_was_given_counts_from_the_first_look() -> None:
    protector = armed(None, settings(stop_loss_percent="10", start_balance="20000"))
    assert after(protector, seen("18000")).tripped is not None


def test_a_new_day_counts_from_the_balance_known_before_midnight() -> None:
    """The anchor is the last known value before the reset, also after downtime."""
    protector = started(stop_loss_percent="5", daily_reset=True)
    evening = T0 + timedelta(hours=9, minutes=59)  # 23:59 on the broker's clock
    closed = after(protector, seen("9000", balance="9000", at_utc=evening))
    assert closed.tripped is not None
    morning = evening + timedelta(minutes=1)
    new = after(closed, seen("8900", balance="8900", at_utc=morning))
    assert (new.day, new.start_balance, new.tripped) == ("2026-03-03", Decimal(9000), None)
    same_day = after(new, seen("8700", balance="8700", at_utc=morning + timedelta(hours=5)))
    assert same_day.start_balance == 9000, "a later look, or a restart, does not start the day anew"


@pytest.mark.parametrize(("flow", "credit"), [("1000", "0"), ("-1000", "0"), ("0", "1000")])
def test_money_told_before_midnight_is_no_result_of_the_new_day(flow: str, credit: str) -> None:
    """Also where the last look of the old day had other money in it that history had still to tell."""
    protector = started(stop_loss_percent="5", take_profit_percent="5", daily_reset=True)
    evening = T0 + timedelta(hours=9, minutes=59)  # 23:59 on the broker's clock
    balance = Decimal(10000) + Decimal(flow)
    equity = balance + Decimal(credit)
    paid: dict[str, Any] = {"flows": (Decimal(flow),)} if flow != "0" else {}
    told = seen(equity, balance, credit=Decimal(credit), at_utc=evening, settled=False, **paid)
    morning = seen(equity, balance, credit=Decimal(credit), at_utc=evening + timedelta(minutes=1))
    new = after(protector, told, morning)
    assert (new.day, new.start_balance, new.tripped) == ("2026-03-03", equity, None)


def test_without_the_broker_s_clock_no_day_begins() -> None:
    protector = started(stop_loss_percent="5", daily_reset=True)
    later = seen("10000", at_utc=T0 + timedelta(days=3), clock_offset_minutes=None)
    assert after(protector, later).day == "2026-03-02"


@given(hours=st.lists(st.integers(-12, 400), min_size=1, max_size=40))
def test_however_the_clock_is_learned_a_day_never_goes_back_and_begins_once(
    hours: list[int],
) -> None:
    protector = started(stop_loss_percent="5", daily_reset=True)
    begun: list[str] = []
    for hour in hours:
        before = protector
        protector = looked(protector, seen("10000", at_utc=T0 + timedelta(hours=hour)))
        assert protector.day >= before.day
        if protector.day != before.day:
            begun.append(protector.day)
    assert len(begun) == len(set(begun))


MONEY = st.decimals(min_value="0.01", max_value="100000", places=2)


@given(
    start=MONEY,
    stop=st.decimals("0.1", "99", places=1),
    target=st.decimals("0.1", "500", places=1),
    equities=st.lists(MONEY, min_size=1, max_size=30),
)
def test_it_acts_at_the_first_look_beyond_a_limit_and_at_no_other(
    start: Decimal, stop: Decimal, target: Decimal, equities: list[Decimal]
) -> None:
    protector = armed(
        None,
        settings(stop_loss_percent=stop, take_profit_percent=target, start_balance=start),
    )
    lowest, highest = start - start * stop / 100, start + start * target / 100
    first = next((e for e in equities if e <= lowest or e >= highest), None)
    acted = 0
    for equity in equities:
        before = protector
        protector = looked(protector, seen(equity, balance=start))
        acted += protector.tripped is not before.tripped
    assert acted == (first is not None)
    if first is not None:
        assert protector.tripped is not None
        assert protector.tripped.equity == first


@given(
    flows=st.lists(st.decimals("-4000", "9000", places=2), max_size=20),
)
def test_no_sequence_of_payments_is_ever_a_loss_or_a_gain(flows: list[Decimal]) -> None:
    protector = started(stop_loss_percent="1", take_profit_percent="1")
    balance = Decimal(10000)
    for flow in flows:
        if balance + flow <= 0:
            continue
        balance += flow
        protector = looked(protector, seen(balance, balance=balance, settled=False))
        protector = looked(protector, seen(balance, balance=balance, flows=(flow,)))
        assert protector.tripped is None
        assert protector.start_balance == balance


@pytest.mark.parametrize(
    ("numbers", "field", "said"),
    [
        ({}, "enabled", "needs a limit: one of stopLossPercent"),
        ({"alert": False, "stop_loss_value": "1"}, "enabled", "needs something to do"),
        (
            {"stop_loss_percent": "5", "stop_loss_value": "5"},
            "stopLossValue",
            "contradicts stopLossPercent",
        ),
        (
            {"take_profit_percent": "5", "take_profit_absolute": "5"},
            "takeProfitAbsolute",
            "contradicts takeProfitPercent",
        ),
        ({"stop_loss_percent": "100"}, "stopLossPercent", "less than 100"),
        ({"stop_loss_value": "-1"}, "stopLossValue", "not above 0"),
        ({"take_profit_value": "NaN"}, "takeProfitValue", "not above 0"),
        ({"take_profit_value": "1E+13"}, "takeProfitValue", "at most"),
        (
            {"stop_loss_absolute": "9000", "take_profit_absolute": "9000"},
            "stopLossAbsolute",
            "not below takeProfitAbsolute",
        ),
        (
            {"stop_loss_absolute": "9000", "start_balance": "9000"},
            "stopLossAbsolute",
            "not below startBalance",
        ),
        (
            {"take_profit_absolute": "9000", "start_balance": "9500"},
            "takeProfitAbsolute",
            "not above startBalance",
        ),
        (
            {"stop_loss_value": "9600", "start_balance": "9500", "take_profit_absolute": "1"},
            "takeProfitAbsolute",
            "not above startBalance",
        ),
    ],
)
def test_numbers_that_cannot_be_followed_are_refused_by_name(
    numbers: dict[str, Any], field: str, said: str
) -> None:
    found = problem(settings(**numbers))
    assert found is not None
    assert found[0] == field
    assert said in found[1]


def test_one_that_is_off_may_keep_whatever_numbers_it_has() -> None:
    assert problem(settings(enabled=False, alert=False)) is None
