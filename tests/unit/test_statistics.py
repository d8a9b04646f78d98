"""Figures worked out by hand, one rule each; the real statements are in test_statements_agree."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from copypro.statistics import Absent, Entry, Operation, Record, Report, Sample, Statistics, Trade
from copypro.statistics.bars import every_day, without_same
from copypro.statistics.original import stats_of
from copypro.statistics.pips import pip_size
from copypro.values import Side

START = datetime(2024, 5, 1, 10)


def trade(result: str, hour: int = 0, **given: object) -> Trade:
    fields: dict[str, object] = {
        "closed_at": START + timedelta(hours=hour),
        "ticket": hour,
        "side": Side.BUY,
        "symbol": "EURUSD",
        "lots": Decimal("0.10"),
        "profit": Decimal(result),
    }
    return Trade(**{**fields, **given})  # type: ignore[arg-type]


def deposit(amount: str, hour: int = 0) -> Operation:
    at = START + timedelta(hours=hour)
    return Operation(closed_at=at, ticket=-hour, amount=Decimal(amount))


def report_of(*records: Record, before: str = "0") -> Report:
    statistics = Statistics(Decimal(before))
    statistics.feed(records)
    return statistics.report()


def results(*values: str, start: str = "1000") -> Report:
    return report_of(*(trade(value, hour) for hour, value in enumerate(values)), before=start)


def why(figure: object) -> str:
    assert isinstance(figure, Absent), figure
    return figure.why


def rounded(figure: object) -> Decimal:
    assert isinstance(figure, Decimal), figure
    return round(figure, 6)


def test_a_result_of_zero_is_a_win_in_counts_and_in_runs() -> None:
    found = results("5", "0", "-3")
    assert (found.wins, found.losses) == (2, 1)
    assert (found.winning.longest.trades, found.winning.longest.money) == (2, 5)


def test_all_costs_are_part_of_a_result() -> None:
    costs = {"swap": Decimal("-1"), "commission": Decimal("-2"), "fee": Decimal("-3")}
    assert report_of(trade("10", 0, **costs)).gross_profit == 4


def test_later_deposits_do_not_move_the_curve_and_withdrawals_neither() -> None:
    found = report_of(deposit("100"), trade("-50", 1), deposit("1000", 2), trade("-40", 3))
    assert found.start_balance == 100
    assert found.drawdown.maximal == 90
    assert found.drawdown.maximal_percent == 90
    assert found.balance == 1010


def test_a_history_that_starts_inside_starts_at_the_balance_before_it() -> None:
    assert report_of(trade("-50", 1), before="500").start_balance == 500
    assert report_of(deposit("-100"), trade("-50", 1), before="500").start_balance == 400


def test_maximal_and_relative_drawdown_are_different_valleys() -> None:
    found = results("-50", "950", "-90", start="100").drawdown
    assert (found.absolute, found.maximal, found.maximal_percent) == (50, 90, 9)
    assert (found.relative_percent, found.relative) == (50, 50)


def test_a_valley_from_a_peak_of_zero_is_a_hundred_percent() -> None:
    found = results("-10", start="0").drawdown
    assert (found.maximal, found.maximal_percent, found.relative_percent) == (10, 100, 0)


def test_of_equal_runs_the_first_is_shown_unless_a_later_one_is_worth_more_than_any() -> None:
    first = results("1", "2", "-1", "2", "1").winning.longest
    later = results("1", "2", "-1", "3", "2").winning.longest
    beaten = results("1", "2", "-1", "9", "-1", "3", "2").winning.longest
    assert [run.money for run in (first, later, beaten)] == [3, 5, 3]


def test_the_average_run_is_rounded_half_up() -> None:
    assert results("1", "1", "-1", "1").winning.average == 2
    assert results("1", "1", "-1", "1", "-1", "1").winning.average == 1


def test_what_entries_cost_is_lost_and_belongs_to_no_trade() -> None:
    entry = Entry(closed_at=START, ticket=0, amount=Decimal("-7"))
    found = report_of(entry, trade("10", 1), before="100")
    assert (found.gross_loss, found.net_profit, found.losses) == (-7, 3, 0)
    assert found.drawdown.maximal == 7
    assert found.commissions == -7


def test_sharpe_is_mean_to_population_deviation_of_returns_trade_by_trade() -> None:
    found = results("100", "-110")
    assert found.sharpe_ratio == Decimal("0")  # +10 % and -10 %
    assert results("100", "110").sharpe_ratio != 0


def test_z_score_of_alternating_results() -> None:
    found = results("1", "-1", "1", "-1", "1", "-1")
    # N 6, R 6, P 18: (6 x 5.5 - 18) / sqrt(18 x 12 / 5)
    assert found.z_score == Decimal(15) / (Decimal(18 * 12) / 5).sqrt()


def test_a_straight_line_has_correlation_one_and_no_error() -> None:
    found = results("10", "10", "10")
    assert found.lr_correlation == 1
    assert found.lr_standard_error == 0


def test_ghpr_is_the_factor_of_each_trade() -> None:
    assert rounded(results("100", "110").ghpr) == Decimal("1.1")
    assert results("-2000", start="1000").ghpr == Decimal("0.001")


def test_growth_multiplies_the_pieces_between_balance_operations() -> None:
    found = report_of(deposit("100"), trade("10", 1), deposit("900", 2), trade("101", 3))
    assert rounded(found.growth) == Decimal("0.21")
    assert rounded(found.absolute_gain) == Decimal("0.111")


def test_only_losses_have_a_profit_factor_of_zero_and_no_average_win() -> None:
    found = results("-1", "-2")
    assert found.profit_factor == 0
    assert why(found.average_win) == "no winning trade"
    assert (found.largest_win, found.largest_loss) == (0, -2)


def test_nothing_lost_has_no_profit_factor() -> None:
    assert why(results("1").profit_factor) == "nothing was lost"
    assert why(results("1").recovery_factor) == "there was no drawdown"


def test_no_trades_are_no_error() -> None:
    found = report_of(deposit("100"))
    assert (found.trades, found.net_profit, found.balance, found.deposits) == (0, 0, 100, 100)
    assert why(found.expected_payoff) == "no trades"
    assert report_of().balance == 0


def test_an_account_without_any_history_has_no_days() -> None:
    assert list(every_day([])) == []


def test_a_negative_balance_has_no_returns() -> None:
    found = results("-1500", "10")
    assert "0 or below" in why(found.sharpe_ratio)
    assert found.drawdown.maximal_percent == 150


def test_credit_moves_no_balance() -> None:
    credit = Operation(closed_at=START, ticket=0, amount=Decimal(50), is_credit=True)
    found = report_of(credit, trade("1", 1), before="100")
    assert (found.credit, found.balance, found.deposits) == (50, 101, 0)


def test_without_samples_equity_figures_are_absent_and_say_so() -> None:
    found = results("1", "-1")
    assert "equity was not recorded" in why(found.equity_drawdown)
    assert "equity was not recorded" in why(found.profit_with_mfe)


def sample(hour: int, equity: str, low: str, high: str, **profits: tuple[str, str]) -> Sample:
    return Sample(
        closed_at=START + timedelta(hours=hour),
        balance=Decimal(100),
        equity=Decimal(equity),
        equity_low=Decimal(low),
        equity_high=Decimal(high),
        profit_low={name: Decimal(span[0]) for name, span in profits.items()},
        profit_high={name: Decimal(span[1]) for name, span in profits.items()},
    )


def test_equity_drawdown_comes_from_recorded_lows_below_earlier_highs() -> None:
    found = report_of(
        sample(0, "100", "100", "100"),
        sample(1, "110", "95", "120"),
        sample(2, "90", "80", "112"),
        before="100",
    ).equity_drawdown
    assert not isinstance(found, Absent)
    assert (found.maximal, found.absolute) == (40, 20)
    assert rounded(found.relative_percent) == Decimal("33.333333")


def test_a_deposit_is_no_rise_of_the_equity_curve() -> None:
    found = report_of(
        sample(0, "100", "100", "100"),
        deposit("1000", 1),
        sample(2, "1090", "1090", "1100"),
        before="100",
    ).equity_drawdown
    assert not isinstance(found, Absent)
    assert found.maximal == 10


@pytest.mark.parametrize(("amount", "low", "high"), [("-60", "40", "100"), ("900", "100", "1000")])
def test_a_sample_in_which_money_was_paid_tells_of_no_fall(
    amount: str, low: str, high: str
) -> None:
    """Its low is of after the withdrawal, or its high of after the deposit."""
    end = str(Decimal(100) + Decimal(amount))
    found = report_of(
        trade("0"),
        sample(0, "100", "100", "100"),
        deposit(amount, 1),
        sample(2, end, low, high),
        sample(3, end, end, end),
        before="100",
    ).equity_drawdown
    assert not isinstance(found, Absent)
    assert found.maximal == 0


def test_credit_given_and_taken_is_no_rise_and_no_fall_of_equity() -> None:
    def credit(amount: int, hour: int) -> Operation:
        at = START + timedelta(hours=hour)
        return Operation(closed_at=at, ticket=-hour, amount=Decimal(amount), is_credit=True)

    found = report_of(
        sample(0, "100", "100", "100"),
        credit(50, 1),
        sample(2, "145", "145", "145"),
        credit(-50, 3),
        sample(4, "95", "95", "95"),
        before="100",
    )
    assert not isinstance(found.equity_drawdown, Absent)
    assert found.equity_drawdown.maximal == 5
    assert [(bar.equity_peak, bar.equity_curve) for bar in found.bars] == [(100, 95)]


def test_mfe_and_mae_come_from_the_samples_of_each_position() -> None:
    records: list[Record] = []
    for at, (low, high, end) in enumerate([("-1", "2", "1"), ("-2", "4", "2"), ("-3", "6", "3")]):
        records.append(sample(2 * at, "100", "100", "100", **{f"p{at}": (low, high)}))
        records.append(trade(end, 2 * at + 1, position=f"p{at}"))
    found = report_of(*records, before="100")
    assert found.profit_with_mfe == 1
    assert found.profit_with_mae == -1
    assert found.mfe_with_mae == -1


PIPS = {
    ("EURUSD", 5): "0.0001", ("EURUSD", 4): "0.0001", ("USDJPY", 3): "0.01",
    ("USDJPY", 2): "0.01", ("XAUUSD.m", 2): "0.1", ("XAGUSD", 3): "0.01", ("US30", 1): "0.1",
}  # fmt: skip


@pytest.mark.parametrize(("symbol", "size"), PIPS.items())
def test_the_pip_of_a_symbol(symbol: tuple[str, int], size: str) -> None:
    assert pip_size(*symbol) == Decimal(size)


def test_pips_by_side_and_symbol() -> None:
    up = {"open_price": Decimal("1.10000"), "close_price": Decimal("1.10500")}
    yen = {"symbol": "USDJPY", "open_price": Decimal("150.000"), "close_price": Decimal("150.200")}
    found = report_of(trade("5", 0, **up), trade("-2", 1, side=Side.SELL, **yen)).pips
    assert (found.total, found.average_win, found.average_loss) == (30, 50, -20)
    assert found.best is not None
    assert (found.best.ticket, found.best.pips) == (0, 50)


def test_an_average_opening_price_has_no_say_in_the_size_of_a_pip() -> None:
    """Of a netting position that was added to: 28 digits made pips of 10 to the power of -28."""
    average = (Decimal("1.10000") + Decimal("1.10000") + Decimal("1.10010")) / 3
    found = report_of(trade("5", 0, open_price=average, close_price=Decimal("1.10500"))).pips
    assert found.sizes == {"EURUSD": Decimal("0.0001")}
    assert found.best is not None
    assert round(found.best.pips, 2) == Decimal("49.67")


def test_bars_are_days_and_the_same_ones_may_be_left_out() -> None:
    bars = report_of(deposit("100"), trade("5", 1), trade("-1", 73)).bars
    assert [(bar.day.day, bar.balance) for bar in bars] == [(1, 105), (4, 104)]
    assert [bar.day.day for bar in every_day(bars)] == [1, 2, 3, 4]
    assert [bar.day.day for bar in without_same(list(every_day(bars)))] == [1, 4]


def test_a_tester_searches_the_drawdown_anew_after_a_withdrawal() -> None:
    statistics = Statistics(Decimal(100), restarts_at_withdrawals=True)
    statistics.feed(
        [trade("100", 0), trade("-50", 1), deposit("-100", 2), trade("-20", 3), trade("-10", 4)]
    )
    found = statistics.report().drawdown
    assert (found.maximal, found.maximal_percent) == (50, 25)
    assert (found.relative, found.relative_percent) == (30, 60)


def test_what_a_trade_brings_in_pips_is_of_those_whose_pips_are_known() -> None:
    prices = {"open_price": Decimal("1.10000"), "close_price": Decimal("1.10100")}
    found = report_of(trade("10", 1, **prices), trade("10", 2), before="1000")
    assert found.pips.average_win == 10
    assert stats_of(found)["expectancy"] == {"pips": 10.0, "dollar": 10.0}
