"""The whole history of an account, fed in order and in blocks, into a report at any moment.

Memory does not grow with the number of trades, only with days, symbols and open positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby, islice

from copypro.statistics import ratios
from copypro.statistics.bars import Bar, Bars, by_day
from copypro.statistics.curve import BLOCK, Regression, Returns, Valleys, balances_after
from copypro.statistics.equity import Equity
from copypro.statistics.facts import ZERO, Entry, Operation, Record, Sample, Trade
from copypro.statistics.pips import PipTotals
from copypro.statistics.report import Report, Run, Streaks
from copypro.statistics.runs import Longest, Runs
from copypro.statistics.totals import Totals


class Statistics:
    """Feed records in the order of `facts.order`, then ask for the report; feed more, ask again."""

    def __init__(
        self,
        before: Decimal = ZERO,
        *,
        start: Decimal | None = None,
        restarts_at_withdrawals: bool = False,
    ) -> None:
        """`before`: the true balance before the first record. A first record that is a balance
        operation moves the start of the curve, later ones do not.

        `start` puts the curve elsewhere. `restarts_at_withdrawals`: as MT5's tester does, the search
        for the drawdown begins anew after each, and the largest one found is kept.
        """
        self._balance, self._growth = before, ratios.Growth(before)
        self._started, self._restarts = start is not None, restarts_at_withdrawals
        self._begin(before if start is None else start)
        self._totals, self._runs = Totals(), Runs()
        self._returns, self._equity = Returns(), Equity()
        self._pips, self._bars = PipTotals(), Bars()
        self._deposits = self._withdrawals = self._credit = self._entries = ZERO

    def _begin(self, start: Decimal) -> None:
        self._start = self._curve = start
        self._valleys, self._regression = Valleys(start), Regression(start)

    def feed(self, records: Iterable[Record]) -> None:
        for kind, group in groupby(records, type):
            if kind is Trade:
                while block := list(islice(group, BLOCK)):
                    self._trade(block)  # type: ignore[arg-type]
                continue
            for record in group:
                self._other(record)

    def _trade(self, trades: list[Trade]) -> None:
        """Column by column: each of these loops over a block is several times a call per trade."""
        self._started = True
        results = [trade.profit + trade.swap + trade.commission + trade.fee for trade in trades]
        won = [result >= ZERO for result in results]
        curve = balances_after(self._curve, results)
        offset = self._balance - self._curve
        self._totals.feed(trades, results, won)
        self._runs.feed(results, won)
        self._pips.feed(trades, won)
        self._returns.feed(results, curve[:-1])
        self._regression.feed(curve[1:])
        for day, first, end in by_day([trade.closed_at.date() for trade in trades]):
            bar = self._bars.on(day)
            self._valleys.feed(curve[first + 1 : end + 1])
            bar.results += curve[end] - curve[first]
            bar.balance, bar.curve, bar.peak = curve[end] + offset, curve[end], self._valleys.peak
            bar.growth = self._growth.until(bar.balance)
        self._curve, self._balance = curve[-1], curve[-1] + offset
        if self._equity.is_watching:
            for trade in trades:
                self._equity.closed(trade)

    def _other(self, record: Record) -> None:
        match record:
            case Operation():
                self._operate(record)
            case Entry():
                self._started = True
                self._entries += record.amount
                self._curve += record.amount
                self._balance += record.amount
                self._valleys.feed((self._curve,))
                self._bar(record).results += record.amount
            case Sample():
                self._sample(record)

    def _operate(self, operation: Operation) -> None:
        if self._started or operation.is_credit:
            self._equity.paid()
        if operation.is_credit:
            self._credit += operation.amount
            return
        if operation.amount >= 0:
            self._deposits += operation.amount
        else:
            self._withdrawals += operation.amount
        self._growth.cut(self._balance, operation.amount)
        self._balance += operation.amount
        if not self._started:
            self._started = True
            self._begin(self._balance)
        elif self._restarts and operation.amount < 0:
            self._valleys.restart(self._curve, operation.amount)
        self._bar(operation)

    def _bar(self, record: Record) -> Bar:
        bar = self._bars.on(record.closed_at.date())
        bar.balance, bar.curve, bar.peak = self._balance, self._curve, self._valleys.peak
        bar.growth = self._growth.until(self._balance)
        return bar

    def _sample(self, sample: Sample) -> None:
        operations = self._balance - self._curve + self._credit
        self._equity.sample(sample, operations)
        bar = self._bar(sample)
        bar.equity, bar.equity_curve = sample.equity, sample.equity - operations
        bar.equity_peak = self._equity.peak

    def report(self) -> Report:
        totals, pips = self._totals, self._pips.so_far()
        winning, losing = self._runs.so_far()
        gross_loss = totals.lost + self._entries
        net = totals.gross_profit + gross_loss
        drawdown, equity_drawdown = self._valleys.so_far(), self._equity.drawdown
        z_score = ratios.z_score(totals.wins, totals.losses, winning.count + losing.count)
        return Report(
            trades=totals.trades,
            longs=totals.longs,
            longs_won=totals.longs_won,
            shorts=totals.shorts,
            shorts_won=totals.shorts_won,
            wins=totals.wins,
            losses=totals.losses,
            gross_profit=totals.gross_profit,
            gross_loss=gross_loss,
            net_profit=net,
            entry_costs=self._entries,
            profit_factor=ratios.ratio(totals.gross_profit, -gross_loss, "nothing was lost"),
            expected_payoff=ratios.average(net, totals.trades, "no trades"),
            average_win=ratios.average(totals.gross_profit, totals.wins, "no winning trade"),
            average_loss=ratios.average(gross_loss, totals.losses, "no losing trade"),
            payoff_ratio=ratios.payoff(totals.gross_profit, totals.wins, gross_loss, totals.losses),
            best=totals.best,
            worst=totals.worst,
            winning=_streaks(winning),
            losing=_streaks(losing),
            start_balance=self._start,
            balance=self._balance,
            drawdown=drawdown,
            equity_drawdown=equity_drawdown,
            recovery_factor=ratios.recovery(net, drawdown),
            equity_recovery_factor=ratios.recovery(net, equity_drawdown),
            sharpe_ratio=ratios.sharpe(self._returns),
            ahpr=ratios.ahpr(self._returns),
            ghpr=ratios.ghpr(self._start, self._curve, totals.trades),
            z_score=z_score,
            z_confidence=ratios.z_confidence(z_score),
            lr_correlation=self._regression.correlation(),
            lr_standard_error=self._regression.standard_error(),
            deviation=totals.deviation(),
            profit_with_mfe=self._equity.profit_with_mfe,
            profit_with_mae=self._equity.profit_with_mae,
            mfe_with_mae=self._equity.mfe_with_mae,
            deposits=self._deposits,
            withdrawals=self._withdrawals,
            credit=self._credit,
            growth=self._growth.until(self._balance),
            absolute_gain=ratios.ratio(net, self._deposits, "nothing was deposited"),
            lots=totals.lots,
            swaps=totals.swaps,
            commissions=totals.commissions + self._entries,
            fees=totals.fees,
            average_length_s=totals.average_length_s(),
            symbols=dict(totals.symbols),
            pips=pips,
            bars=self._bars.bars,
            equity=None if self._equity.last is None else self._equity.last.equity,
        )


def _streaks(runs: Longest) -> Streaks:
    return Streaks(
        longest=Run(runs.length, runs.money),
        most_valuable=Run(runs.best_length, runs.best_money),
        average=runs.average,
    )
