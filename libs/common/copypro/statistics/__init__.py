"""Trading statistics that agree with MetaTrader's own: closed trades in, every figure out. Pure.

    statistics = Statistics(before=balance_before_the_first_record)
    statistics.feed(in_order(records))
    report = statistics.report()

`facts` has what goes in, `report` what comes out, `metatrader` the names and roundings of the printed
reports, `original` the shape of the original API's TradeStats.
"""

from copypro.statistics.facts import (
    Absent,
    Entry,
    Figure,
    Operation,
    Record,
    Sample,
    Trade,
    in_order,
    merged,
    moves_balance,
)
from copypro.statistics.history import Statistics
from copypro.statistics.report import Report

__all__ = [
    "Absent",
    "Entry",
    "Figure",
    "Operation",
    "Record",
    "Report",
    "Sample",
    "Statistics",
    "Trade",
    "in_order",
    "merged",
    "moves_balance",
]
