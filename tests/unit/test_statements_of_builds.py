"""What some builds and some settings of MetaTrader print and others do not."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from copypro.statements import read
from copypro.statements.checking import Check, check
from copypro.statements.ledger import ledger_of
from copypro.statistics.facts import Trade
from copypro.values import Side

from tests.unit import statement_writer as write

OPENED, CLOSED = "2024.05.01 10:00:00", "2024.05.02 11:30:00"


def checks(page: str) -> dict[str, Check]:
    return {figure.name: figure for figure in check(read(page.encode()))}


# --- the expert's number and comment under each order ---------------------------------------------


def order(ticket: int) -> str:
    prices, money = ("1.10000", "1.11234"), ("-7.00", "0.00", "7.56", "1234.00")
    return write.mt4_closed(ticket, OPENED, "buy", "1.00", "eurusd", prices, CLOSED, money)


def test_a_comment_that_is_a_number_is_no_sum_of_a_column() -> None:
    rows = [order(2), write.mt4_comment("21000", "777"), order(3), write.mt4_comment("0", "")]
    rows.append(write.mt4_sums("-14.00", "0.00", "15.12", "2468.00"))
    found = checks(write.mt4_statement(rows, [("Closed Trade P/L", "2469.12")]))
    assert [(name, figure.printed) for name, figure in found.items()] == [
        ("Closed Transactions Commission", "-14.00"),
        ("Closed Transactions Taxes", "0.00"),
        ("Closed Transactions Swap", "15.12"),
        ("Closed Transactions Profit", "2468.00"),
        ("Closed Trade P/L", "2469.12"),
    ]
    assert all(figure.equal for figure in found.values())


def test_a_comment_under_each_of_many_orders_is_no_reason_to_refuse() -> None:
    comment = write.mt4_comment("21000", "grid: 3")
    rows = [row for at in range(5_001) for row in (order(at + 2), comment)]
    assert len(read(write.mt4_statement(rows).encode()).closed) == 5_001


def test_a_deposit_that_metatrader_puts_before_the_first_trade_is_named() -> None:
    """Its rows may be saved in any order, and the time of a deposit is not the one it sorts by."""
    rows = [
        write.mt4_closed(2, OPENED, "buy", "1.00", "eurusd", ("1.1", "1.1"), time, costs)
        for time, costs in (
            ("2024.05.01 11:00:00", ("0.00", "0.00", "0.00", "-40.00")),
            ("2024.05.03 11:00:00", ("0.00", "0.00", "0.00", "-60.00")),
        )
    ]
    rows.append(write.mt4_operation(1, "2024.05.02 09:00:00", "balance", "400.00"))
    rows.append(write.mt4_operation(5, "2024.05.04 09:00:00", "balance", "-100.00"))
    drawdowns = [
        ("Balance", "200.00"), ("Absolute Drawdown", "100.00"),
        ("Maximal Drawdown", "100.00 (25.00%)"), ("Relative Drawdown", "25.00% (100.00)"),
    ]  # fmt: skip
    found = checks(write.mt4_statement(rows, drawdowns))
    why = "drawdowns all fit a curve that starts at 400.00; the rows start it at 0.00"
    assert why in str(found["Maximal Drawdown (%)"].why)


# --- a tester that settles swaps by reopening -----------------------------------------------------


def line(number: int, kind: str, ticket: int, price: str, *result: str) -> Sequence[str]:
    time = f"2018.01.0{1 + number // 3} 00:0{number}"
    return (str(number), time, kind, str(ticket), "0.10", price, "0.0000", "0.0000", *result)


SWAPPED = [
    line(1, "sell", 1, "1.3500"),
    line(2, "buy", 2, "1.3502"),
    line(3, "swap close", 1, "1.3480", "20.00", "1020.00"),
    line(4, "swap open", 3, "1.348012"),
    line(5, "s/l", 3, "1.3490", "-10.12", "1009.88"),
    line(6, "close by", 2, "1.3490", "-12.00", "997.88"),
]


def test_a_swap_by_reopening_ends_one_trade_and_begins_another_on_the_same_side() -> None:
    figures = [
        ("Initial deposit", "1000.00"), ("", ""), ("Spread", "2"),
        ("Total net profit", "-2.12"), ("Gross profit", "20.00"), ("Gross loss", "-22.12"),
        ("Total trades", "3"), ("Short positions (won %)", "2 (50.00%)"),
        ("Long positions (won %)", "1 (0.00%)"),
    ]  # fmt: skip
    page = write.mt4_tester(figures, SWAPPED)
    assert [name for name, figure in checks(page).items() if not figure.equal] == ["Spread"]
    trades = [r for r in ledger_of(read(page.encode())).records if isinstance(r, Trade)]
    assert [(trade.side, trade.open_price) for trade in trades] == [
        (Side.SELL, Decimal("1.3500")),
        (Side.SELL, Decimal("1.348012")),
        (Side.BUY, Decimal("1.3502")),
    ]


# --- a tester's losses of less than half a cent ---------------------------------------------------


def test_rows_of_zero_that_were_losses_are_named_where_the_counts_tell_which() -> None:
    rows = [
        line(1, "buy", 1, "1.3500"),
        line(2, "close", 1, "1.3501", "10.00", "1010.00"),
        line(3, "buy", 2, "1.3502"),
        line(4, "close", 2, "1.3502", "0.00", "1010.00"),
        line(5, "sell", 3, "1.3490"),
        line(6, "close", 3, "1.3495", "-5.00", "1005.00"),
        line(7, "buy", 4, "1.3490"),
        line(8, "close", 4, "1.3490", "0.00", "1005.00"),
    ]
    figures = [
        ("Initial deposit", "1000.00"), ("Total net profit", "5.00"), ("Total trades", "4"),
        ("Profit trades (% of total)", "2 (50.00%)"), ("Loss trades (% of total)", "2 (50.00%)"),
        ("", ""), ("Average profit trade", "5.00"), ("Average loss trade", "-2.50"), ("", ""),
        ("Maximum consecutive losses (loss in money)", "2 (-5.00)"),
    ]  # fmt: skip
    found = checks(write.mt4_tester(figures, rows))
    assert [name for name, figure in found.items() if figure.equal] == [
        "Initial deposit", "Total net profit", "Total trades",
        "Maximum consecutive losses (loss in money)",
    ]  # fmt: skip
    assert {str(figure.why).partition("; the report's")[0] for figure in found.values()} == {
        "None", "0.00 is a win; row 4 must have lost less than half a cent",
    }  # fmt: skip
    assert found["Profit trades"].ours == "3"


# --- figures that are words or have words beside them ----------------------------------------------


RUSSIAN = [
    ("Баров в истории", "1068"), ("Смоделировано тиков", "756107"), ("Качество", "n/a"),
    ("Ошибки рассогласования", "8969"), ("", ""), ("", ""),
    ("Начальный депозит", "1000.00"), ("", ""), ("Спред", "Текущий (2)"),
    ("Чистая прибыль", "-2.12"), ("Общая прибыль", "20.00"), ("Общий убыток", "-22.12"),
    ("Прибыльность", "0.90"), ("Матожидание выигрыша", "-0.71"), ("", ""),
    ("Абсолютная просадка", "2.12"), ("Максимальная просадка", "22.12 (2.17%)"),
    ("Относительная просадка", "2.17% (22.12)"),
    ("Всего сделок", "3"), ("Короткие позиции", "2 (50.00%)"), ("Длинные позиции", "1 (0.00%)"),
    ("Прибыльные сделки", "1 (33.33%)"), ("Убыточные сделки", "2 (66.67%)"), ("", ""),
    ("прибыльная сделка", "20.00"), ("убыточная сделка", "-12.00"), ("", ""),
    ("прибыльная сделка", "20.00"), ("убыточная сделка", "-11.06"), ("", ""),
    ("выигрышей", "1 (20.00)"), ("проигрышей", "2 (-22.12)"), ("", ""),
    ("прибыль", "20.00 (1)"), ("убыток", "-22.12 (2)"), ("", ""),
    ("выигрыш", "1"), ("проигрыш", "2"), ("", ""),
]  # fmt: skip


def test_a_quality_that_is_not_known_and_a_spread_with_a_word_do_not_hide_the_others() -> None:
    found = checks(write.mt4_tester(RUSSIAN, SWAPPED))
    assert (found["Modelling quality"].printed, found["Modelling quality"].ours) == ("n/a", None)
    assert (found["Spread"].printed, found["Spread"].ours) == ("2", None)
    assert found["Total net profit"].equal
    absent = [name for name, figure in found.items() if figure.ours is None]
    assert [name for name, f in found.items() if not f.equal and name not in absent] == []
    assert len(found) == 39


# --- MetaTrader 5 ---------------------------------------------------------------------------------


def deal(
    number: int, kind: str, direction: str, result: str, balance: str, cost: str = "0.00"
) -> write.Row:
    traded = ("EURUSD", kind, direction, "0.10", "1.10000", str(number)) if direction else (
        "", kind, "", "", "", "")  # fmt: skip
    return (
        f"2024.05.01 09:0{number}:00",
        str(number),
        *traded,
        cost,
        "0.00",
        "0.00",
        result,
        balance,
        "",
    )


DEALS = [
    deal(1, "balance", "", "1 000.00", "1 000.00"),
    deal(2, "buy", "in", "0.00", "1 000.00"),
    deal(3, "sell", "out", "10.00", "1 010.00"),
]


@pytest.mark.parametrize(
    "kind", ["agent daily", "commission daily", "dividend franked", "какая-то"]
)
def test_an_operation_is_known_by_what_it_moves_not_by_its_name(kind: str) -> None:
    deals = [*DEALS, deal(4, kind, "", "0.00", "1 008.00", cost="-2.00")]
    figures = [("Balance", "1 008.00"), ("Total Net Profit", "10.00"), ("Total Trades", "1")]
    found = checks(write.mt5_history((), deals, figures))
    assert [figure.equal for figure in found.values()] == [True, True, True]


@pytest.mark.parametrize("printed", ["0.00", ""])
def test_where_nothing_was_lost_or_is_open_nothing_or_zero_is_printed(printed: str) -> None:
    figures = [("Margin", "0.00"), ("Margin Level", printed), ("Profit Factor", printed)]
    found = checks(write.mt5_history((), DEALS, figures))
    assert [figure.equal for figure in found.values()] == [True, True, True]


@pytest.mark.parametrize(("level", "equal"), [("50 537.90%", True), ("50 700.00%", False)])
def test_a_level_is_as_exact_as_the_margin_that_is_printed(level: str, equal: bool) -> None:
    """1 010.00 / 1.9985, whose margin is printed as 2.00: 50 500.00 by what is printed."""
    figures = [("Balance", "1 010.00"), ("Margin", "2.00"), ("Margin Level", level)]
    assert checks(write.mt5_history((), DEALS, figures))["Margin Level"].equal is equal


def test_what_is_printed_in_place_of_a_number_is_not_left_out() -> None:
    figures = [("Profit Factor", "inf"), ("Balance", "n/a"), ("Total Trades", "1")]
    found = checks(write.mt5_history((), DEALS, figures))
    assert [(f.printed, f.ours, f.why) for f in found.values()] == [
        ("inf", None, "nothing was lost"),
        ("n/a", "1010.00", "'n/a' is printed, no number; 0.00 before the first deal; "
                           "operations 1000.00 + results 10.00 = 1010.00"),
        ("1", "1", None),
    ]  # fmt: skip


def test_the_quality_of_a_test_on_real_ticks_is_a_figure() -> None:
    labels = ["History Quality", *(f"Setting {at}" for at in range(15))]
    rows = [f"<tr><td>{label}:</td><td>100% real ticks</td></tr>" for label in labels]
    page = write.mt5_history((), DEALS).replace("<table>", "<table>" + "".join(rows), 1)
    found = checks(page)
    quality = found["History Quality"]
    assert (quality.printed, quality.ours) == ("100", None)
    assert "tester's prices" in str(quality.why)
